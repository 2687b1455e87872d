//! `sealwright key`: signing keys.

use clap::Subcommand;

use crate::api::keys::KeyJson;
use crate::config::Config;
use crate::service::manage::view::KeyView;

use super::failure::CommandFailure;
use super::input::Why;
use super::output::{Printer, Sheet};
use super::runtime::open;

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// List signing keys, oldest first
    List,
    /// Announce a new key, which signs once it was published long enough
    Rotate(Why),
}

const HEAD: [&str; 7] = [
    "kid",
    "state",
    "announced at",
    "signs from",
    "signs until",
    "published until",
    "unusable",
];

pub(super) async fn run(
    command: KeyCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let opened = open(config).await?;
    match command {
        KeyCommand::List => {
            let keys = opened.keys.list().await?;
            let keys: Vec<KeyJson> = keys.into_iter().map(KeyJson::from).collect();
            out.print(&keys, || Sheet::list(&HEAD, keys.iter().map(row).collect()))
        }
        KeyCommand::Rotate(why) => {
            let act = opened.operator().because(why.reason);
            let key = KeyJson::from(KeyView::from(&opened.keys.rotate(&act).await?));
            out.print(&key, || Sheet::list(&HEAD, vec![row(&key)]))
        }
    }
}

fn row(key: &KeyJson) -> Vec<String> {
    let (until, published) = (key.signs_until.clone(), key.published_until.clone());
    let (kid, state) = (key.kid.clone(), key.state.to_owned());
    let (announced, from) = (key.announced_at.clone(), key.signs_from.clone());
    vec![
        kid,
        state,
        announced,
        from,
        until.unwrap_or_default(),
        published.unwrap_or_default(),
        key.unusable.clone().unwrap_or_default(),
    ]
}
