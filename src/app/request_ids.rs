//! The ids of requests that come without one. Must not know the requests.

use crate::entropy::Entropy;
use crate::http::state::RequestIds;
use crate::service;

/// Ids that differ from those of other processes.
pub(super) fn request_ids(entropy: &dyn Entropy) -> Result<RequestIds, service::Error> {
    let mut process = [0u8; 8];
    entropy.fill(&mut process)?;
    Ok(RequestIds::new(u64::from_be_bytes(process)))
}
