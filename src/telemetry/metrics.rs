//! stub
/// A hash was shed.
pub fn hash_shed() {}
/// A proven secret was remembered, or not.
pub fn credential_cache(_hit: bool) {}
/// A batch was formed.
pub fn batch_size(_grants: usize) {}
