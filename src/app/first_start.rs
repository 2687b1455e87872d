//! The first start on an empty SQLite store: it creates an agent named operator and writes the
//! agent's secret to a file.
//!
//! Owns when that file is written. Must not know what the agent does with its secret.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock as _;
use crate::config::{Config, DatabaseUrl};
use crate::domain::about::About;
use crate::domain::act::Act;
use crate::domain::agent::{AgentName, Profile, Terms};
use crate::domain::id::AgentId;
use crate::domain::quota::PlanName;
use crate::domain::scope::{BUILT_IN, Scope};
use crate::service::manage::ManageError;
use crate::service::manage::agents::NewAgent;
use crate::telemetry::error_chain;

use super::error::{AppError, system};
use super::files::publish_file;
use super::open::Opened;
use super::operator_file::{credentials, operator_file};

/// On the first start with an empty SQLite store, creates the agent `operator` with all built-in
/// scopes and writes its secret to a file of mode 0600. Returns the path of that file.
///
/// The file is written before the agent is created. Otherwise a failure between both steps would
/// leave an agent whose secret is lost.
pub(super) async fn create_operator(
    config: &Config,
    opened: &Opened,
) -> Result<Option<PathBuf>, AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Ok(None);
    };
    if !opened
        .records
        .agents(None, 1)
        .await
        .map_err(crate::service::Error::from)?
        .is_empty()
    {
        return Ok(None);
    }
    let invalid = |rule: crate::domain::Invalid| AppError::Other(rule.to_string());
    let agent_id = AgentId::parse("operator").map_err(invalid)?;
    // The built-in defaults contain this plan, and no other layer can remove a plan.
    let plan = PlanName::parse("unlimited").map_err(invalid)?;
    let scopes: Result<Vec<Scope>, _> = BUILT_IN.iter().map(|b| Scope::parse(b.name)).collect();
    let profile = Profile {
        name: AgentName::parse("operator").map_err(invalid)?,
        about: About::default(),
        terms: Arc::new(Terms {
            scopes: scopes.map_err(invalid)?,
            ttl: None,
            plan,
            audiences: vec![],
            redirect_uris: vec![],
            user_ids: vec![],
        }),
        expires_at: None,
    };
    let drawn = opened
        .secrets
        .generate(&agent_id)
        .map_err(crate::service::Error::from)?;
    let (secret, _) =
        drawn.ok_or_else(|| AppError::Other("the store has no tag key".to_owned()))?;
    let path = operator_file(database);
    let text = credentials(&agent_id, &secret);
    let shown = path.display().to_string();
    // An earlier start may have failed before it created the agent. Its file then holds a secret
    // that belongs to no agent.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(system(format!("cannot replace {shown}"))(error));
        }
        Ok(()) | Err(_) => {}
    }
    publish_file(&path, text.as_bytes(), database)
        .map_err(system(format!("cannot write {shown}")))?;
    let new = NewAgent {
        agent_id: Some(agent_id),
        org_id: None,
        secret: Some(secret),
        profile,
    };
    let created = opened
        .agents(config)
        .create(new, &Act::system(opened.clock.moment()))
        .await;
    created.map_err(|error| {
        // Of any other failure it is unknown whether the agent was created.
        if matches!(error, ManageError::Rejected(_)) {
            let _ = fs::remove_file(&path);
        }
        AppError::Other(format!(
            "cannot create the operator agent: {}",
            error_chain(&error)
        ))
    })?;
    Ok(Some(path))
}
