//! The operator file: shell variables with the credentials of the agent of the first start.
//!
//! Owns its lines, and when an old secret in it is replaced or removed. Must not know how a secret
//! is made. The file is the operator's: lines of his own stay as they are, and a symbolic link at
//! its place stays a link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{Config, DatabaseUrl};
use crate::domain::id::AgentId;
use crate::service::clients::secret::Secret;

use super::beside::{OPERATOR_FILE, demand_same_owner};
use super::error::{AppError, system};
use super::files::{folder_of, read_bounded, replace_file};

/// The path of the operator file.
pub(super) fn operator_file(database: &Path) -> PathBuf {
    folder_of(database).join(OPERATOR_FILE)
}

/// The content of a new operator file.
pub(super) fn credentials(agent_id: &AgentId, secret: &Secret) -> String {
    format!("CLIENT_ID={agent_id}\nCLIENT_SECRET={}", secret.expose())
}

/// Keeps the operator file free of a dead secret. If the file holds the credentials of `agent_id`,
/// writes the new `secret` into it, or takes them out of it when `secret` is `None`. A file that
/// holds nothing else is removed then. Returns the path if something was changed.
pub(crate) fn renew_operator_file(
    config: &Config,
    agent_id: &AgentId,
    secret: Option<&Secret>,
) -> Result<Option<PathBuf>, AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Ok(None);
    };
    let path = operator_file(database);
    let shown = path.display().to_string();
    let text = match read_bounded(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system(format!("cannot read {shown}"))(error)),
    };
    let Some(text) = renewed(&text, agent_id, secret) else {
        return Ok(None);
    };
    // Whoever may write into the folder could link to a file of his own, and get the secret there.
    demand_same_owner(&path, database)?;
    if text.trim().is_empty() {
        let cannot = || system(format!("cannot remove {shown}"));
        let target = fs::canonicalize(&path).map_err(cannot())?;
        fs::remove_file(&target).map_err(cannot())?;
        if fs::symlink_metadata(&path).is_ok() {
            fs::remove_file(&path).map_err(cannot())?;
        }
    } else {
        replace_file(&path, text.as_bytes()).map_err(system(format!("cannot write {shown}")))?;
    }
    Ok(Some(path))
}

/// The text with the new secret, or without the agent's credentials. `None` if the text does not
/// name the agent. A secret belongs to the agent whose id stands before it.
fn renewed(text: &str, agent_id: &AgentId, secret: Option<&Secret>) -> Option<Zeroizing<String>> {
    let mut named = false;
    let (mut is_agents, mut is_written) = (false, false);
    let mut renewed = Zeroizing::new(String::with_capacity(text.len() + 128));
    for line in text.split_inclusive('\n') {
        if let Some(id) = value_of(line, "CLIENT_ID") {
            is_agents = &line[id] == agent_id.as_str();
            named |= is_agents;
            if is_agents && secret.is_none() {
                continue;
            }
        } else if let Some(old) = value_of(line, "CLIENT_SECRET")
            && is_agents
        {
            if let Some(secret) = secret {
                renewed.push_str(&line[..old.start]);
                renewed.push_str(secret.expose());
                renewed.push_str(&line[old.end..]);
                is_written = true;
            }
            continue;
        }
        renewed.push_str(line);
    }
    if !named {
        return None;
    }
    // The id stands there alone, or behind its secret.
    if let Some(secret) = secret
        && !is_written
    {
        return Some(Zeroizing::new(appended(text, agent_id, secret)));
    }
    Some(renewed)
}

/// The text with the agent's credentials at its end, where a shell reads them last.
fn appended(text: &str, agent_id: &AgentId, secret: &Secret) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{}\n", credentials(agent_id, secret))
}

/// Where the value of this variable stands in a line, as a shell reads it: with or without `export`
/// and quotes.
fn value_of(line: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("export ").map_or(rest, str::trim_start);
    let value = rest.strip_prefix(name)?.strip_prefix('=')?;
    let start = line.len() - value.len();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
    let (start, value) = match quote {
        Some(_) => (start + 1, &value[1..]),
        None => (start, value),
    };
    let length = match quote {
        Some(quote) => value.find(quote).unwrap_or(value.trim_end().len()),
        None => value.find(char::is_whitespace).unwrap_or(value.len()),
    };
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn renew(text: &str, secret: Option<&str>) -> Option<String> {
        let secret = secret.map(|secret| Secret::parse(secret).unwrap());
        let agent_id = AgentId::parse("operator").unwrap();
        renewed(text, &agent_id, secret.as_ref()).map(|text| text.to_string())
    }

    #[test]
    fn only_the_agents_secret_is_replaced() {
        for (before, after) in [
            (
                "CLIENT_ID=operator\nCLIENT_SECRET=old\n",
                "CLIENT_ID=operator\nCLIENT_SECRET=new\n",
            ),
            (
                "# mine\nexport CLIENT_ID=\"operator\"\n export CLIENT_SECRET='old' # see wiki\r\nPROXY=p\n",
                "# mine\nexport CLIENT_ID=\"operator\"\n export CLIENT_SECRET='new' # see wiki\r\nPROXY=p\n",
            ),
            (
                "CLIENT_ID=other\nCLIENT_SECRET=theirs\nCLIENT_ID=operator\nCLIENT_SECRET=old",
                "CLIENT_ID=other\nCLIENT_SECRET=theirs\nCLIENT_ID=operator\nCLIENT_SECRET=new",
            ),
            (
                "CLIENT_ID=operator",
                "CLIENT_ID=operator\nCLIENT_ID=operator\nCLIENT_SECRET=new\n",
            ),
        ] {
            assert_eq!(renew(before, Some("new")).as_deref(), Some(after));
        }
        for foreign in [
            "",
            "CLIENT_ID=other\nCLIENT_SECRET=x\n",
            "#CLIENT_ID=operator\n",
        ] {
            assert_eq!(renew(foreign, Some("new")), None, "{foreign}");
        }
    }

    #[test]
    fn credentials_that_are_dead_are_taken_out_and_nothing_else() {
        let ours = "CLIENT_ID=operator\nCLIENT_SECRET=old\n";
        assert_eq!(renew(ours, None).as_deref(), Some(""));
        let mixed = format!("# mine\n{ours}PROXY=p\n");
        assert_eq!(renew(&mixed, None).as_deref(), Some("# mine\nPROXY=p\n"));
    }

    proptest! {
        #[test]
        fn every_line_of_the_operators_own_stays(before in "([ -~]{0,20}\n){0,4}", after in "([ -~]{0,20}\n){0,4}") {
            prop_assume!(!before.contains("CLIENT_") && !after.contains("CLIENT_"));
            let text = |secret: &str| format!("{before}CLIENT_ID=operator\nCLIENT_SECRET={secret}\n{after}");
            prop_assert_eq!(renew(&text("old"), Some("new")), Some(text("new")));
            prop_assert_eq!(renew(&text("old"), None), Some(format!("{before}{after}")));
        }
    }
}
