//! Joins fields so that two different lists never give the same bytes. Every MAC here is computed
//! over such bytes.

/// Feeds each field with its length before it, so that no byte can move from one field to the next.
pub(crate) fn length_prefixed<'a>(
    fields: impl IntoIterator<Item = &'a [u8]>,
    mut feed: impl FnMut(&[u8]),
) {
    for field in fields {
        feed(&(field.len() as u64).to_be_bytes()); // usize to u64 widens on every target
        feed(field);
    }
}
