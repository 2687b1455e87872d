//! Fields joined so that no two lists of them look alike: what every MAC here is computed over.

/// Feeds each field with its length before it, so that no byte can move from one to the next.
pub(crate) fn length_prefixed<'a>(
    fields: impl IntoIterator<Item = &'a [u8]>,
    mut feed: impl FnMut(&[u8]),
) {
    for field in fields {
        feed(&(field.len() as u64).to_be_bytes()); // usize to u64 widens on every target
        feed(field);
    }
}
