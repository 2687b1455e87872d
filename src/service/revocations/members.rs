//! The tokens of the agents of killed organizations, for clients that read only `revoked_jtis`. Must
//! not know how a kill is listed.

use crate::clock::Clock as _;
use crate::service::error::Error;
use crate::store::KilledTokens;

use super::RevocationList;

/// For how many agents of a killed organization the tokens are listed one by one. Readers of the feed
/// get one entry for all agents.
const MAX_MEMBERS: i64 = 10_000;

impl RevocationList {
    /// Looks up the tokens as those of killed agents are.
    pub(super) async fn find_tokens_of_orgs(&self, settled: Option<i64>) -> Result<(), Error> {
        let sought = self.entries().sought_orgs();
        for org in sought {
            let org_id = &org.org.org_id;
            let mut members = self.records.org_members(org_id, MAX_MEMBERS + 1).await?;
            let most = usize::try_from(MAX_MEMBERS).unwrap_or(usize::MAX);
            if members.len() > most {
                members.truncate(most);
                // The first look-up alone says so.
                if org.after.is_none() {
                    tracing::warn!(
                        org_id = org_id.as_str(),
                        listed = most,
                        "a killed organization has more agents than are expanded in revoked_jtis: verifiers that \
                         read no revoked_orgs accept the tokens of the others until they expire"
                    );
                }
            }
            let queries = org.queries(members, self.default_ttl);
            let now = self.clock.now();
            let found = self
                .records
                .killed_tokens(&queries, org.after, now, self.max_tokens)
                .await?;
            let found = KilledTokens::merged(found);
            let version = org.org.version;
            // Each agent's tokens were bounded one by one.
            self.entries()
                .put_tokens(version, found, settled, usize::MAX);
        }
        Ok(())
    }
}
