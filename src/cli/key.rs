//! `sealwright key`: signing keys.

use clap::Subcommand;
use serde::Serialize;

use crate::app;
use crate::config::Config;
use crate::domain::event::Actor;
use crate::domain::time::Timestamp;
use crate::store::KeyRecord;

use super::failure::Failure;
use super::output::{Printer, Sheet};

#[derive(Subcommand)]
pub enum KeyCommand {
    /// List signing keys, oldest first
    List,
    /// Announce a new key, which signs once it was published long enough
    Rotate,
}

/// What may be shown of a key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyView {
    kid: String,
    state: &'static str,
    announced_at: String,
    signs_from: String,
    signs_until: Option<String>,
    published_until: Option<String>,
}

impl KeyView {
    fn of(key: &KeyRecord) -> Self {
        Self {
            kid: key.kid.to_string(),
            state: key.state.as_str(),
            announced_at: key.announced_at.to_rfc3339(),
            signs_from: key.signs_from.to_rfc3339(),
            signs_until: key.signs_until.map(Timestamp::to_rfc3339),
            published_until: key.published_until.map(Timestamp::to_rfc3339),
        }
    }

    fn row(&self) -> Vec<String> {
        let (until, published) = (self.signs_until.clone(), self.published_until.clone());
        let (kid, state) = (self.kid.clone(), self.state.to_owned());
        let (announced, from) = (self.announced_at.clone(), self.signs_from.clone());
        vec![kid, state, announced, from, until.unwrap_or_default(), published.unwrap_or_default()]
    }
}

const HEAD: [&str; 6] = ["kid", "state", "announced at", "signs from", "signs until", "published until"];

pub async fn run(command: KeyCommand, config: &Config, out: Printer) -> Result<(), Failure> {
    let opened = app::open(config).await?;
    match command {
        KeyCommand::List => {
            let keys = opened.keys.list().await?;
            let keys: Vec<KeyView> = keys.iter().map(KeyView::of).collect();
            out.print(&keys, || Sheet::list(&HEAD, keys.iter().map(KeyView::row).collect()))
        }
        KeyCommand::Rotate => {
            let key = KeyView::of(&opened.keys.rotate(Actor::Operator).await?);
            out.print(&key, || Sheet::list(&HEAD, vec![key.row()]))
        }
    }
}
