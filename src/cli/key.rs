//! `sealwright key`: signing keys.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::api::keys::KeyJson;
use crate::app::Opened;
use crate::config::Config;
use crate::domain::rejection::Rejection;
use crate::service::key_rotation::RotationMode;
use crate::service::manage::view::KeyView;
use crate::service::reseal::Resealed;

use super::failure::{CommandFailure, tell};
use super::input::Why;
use super::output::{Printer, Sheet};
use super::runtime::open;

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// List signing keys, oldest first
    List,
    /// Announce a new key, which signs once it was published long enough
    Rotate(KeyRotateArgs),
    /// Seal all keys under another master key, once every process has both (`keys.master_key_previous`)
    Reseal(KeyResealArgs),
}

#[derive(Debug, Args)]
pub(super) struct KeyResealArgs {
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(super) struct KeyRotateArgs {
    /// Let the announced key sign at once; without one, a new key
    #[arg(long)]
    now: bool,
    /// With --now: take all keys that have signed so far away at once, and kill all tokens that they signed
    #[arg(long, requires = "now")]
    revoke: bool,
    #[command(flatten)]
    why: Why,
}

/// What a command that revokes a key cannot do.
const STILL_TRUSTED: &str = "all tokens that the earlier keys signed are dead at every server. Who verifies tokens by a JWKS that he \
    keeps, for a day at most, learns it when he reads the JWKS again: restart such verifiers to be sure at once";

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
        KeyCommand::Reseal(args) => reseal(&opened, args, config, out).await,
        KeyCommand::Rotate(rotate) => {
            let act = opened.operator().because(rotate.why.reason);
            let rotation = RotationMode::of(rotate.now, rotate.revoke)
                .ok_or_else(|| Rejection::of_field("--revoke", RotationMode::RULE))?;
            let key = opened.keys.rotate(rotation, &act).await?;
            let key = KeyJson::from(KeyView::from(&key));
            if rotation == RotationMode::NowRevoking {
                tell(STILL_TRUSTED);
            }
            out.print(&key, || Sheet::list(&HEAD, vec![row(&key)]))
        }
    }
}

async fn reseal(
    opened: &Opened,
    args: KeyResealArgs,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let act = opened.operator().because(args.why.reason);
    let (keys, foreign) = match opened.keys.reseal(&act).await? {
        Resealed::Done { keys, foreign } => (keys, foreign),
        Resealed::InTheWay(who) => {
            return Err(CommandFailure::Failed(format!(
                "nothing was changed: not every process that serves from this store has the new master key. Restart \
                 each with keys.master_key and keys.master_key_previous; one that was killed counts for another \
                 minute: {}",
                who.join("; ")
            )));
        }
    };
    if foreign > 0 {
        tell(&format!(
            "{foreign} rows are no keys of this store and stay as they are: `sealwright key list` tells why"
        ));
    }
    if config.keys.master_key_previous.is_some() {
        tell(
            "everything is sealed under keys.master_key: take keys.master_key_previous away and restart every \
             process. Backups made before open only with the master key of their day",
        );
    }
    out.print(&json!({ "keys": keys }), || {
        Sheet::of(vec![("keys sealed anew", keys.to_string())])
    })
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
