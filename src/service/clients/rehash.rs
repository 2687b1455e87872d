//! Replacing an imported hash once its secret is known. Must not know how the secret was verified.

use crate::domain::act::Act;
use crate::domain::context::RequestContext;
use crate::domain::credential::{Credential, SecretHash};
use crate::domain::time::Moment;
use crate::store::{Change, CredentialChange, Store, Write};
use crate::telemetry::error_chain;

/// Replaces an imported hash by argon2id. If this fails, the next success tries it again.
pub(super) async fn replace_hash(
    store: &dyn Store,
    credential: &Credential,
    to: SecretHash,
    at: Moment,
    context: &RequestContext,
) {
    let (agent_id, proven) = (credential.agent_id.clone(), Some(credential.credential_id));
    let act = Act::of_request(context, agent_id, proven, at);
    let change = Change::Credential(CredentialChange::Rehash {
        agent_id: credential.agent_id.clone(),
        credential_id: credential.credential_id,
        from: credential.hash.clone(),
        to,
    });
    if let Err(error) = store.commit(vec![Write::new(act, change)]).await {
        tracing::warn!(
            error = error_chain(&error),
            "an imported hash was not replaced"
        );
    }
}
