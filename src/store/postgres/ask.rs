//! One read on a connection of a lane, written as a call of the function that reads.
//!
//! Owns which reads are repeated. Must not know how a connection is taken.

/// `ask!(lane, function, arguments…)`: one read on a connection of that lane.
macro_rules! ask {
    ($lane:expr, $function:expr $(, $argument:expr)*) => {
        $lane.read(|mut held| async move {
            let answer = $function(&mut held.conn $(, $argument)*).await;
            held.settle(answer)
        })
    };
}
pub(super) use ask;

/// Like `ask!`, but repeated while the database cannot be reached, until the call's timeout. No
/// wrapper of a store repeats these reads.
macro_rules! ask_again {
    ($($read:tt)*) => { $crate::store::retry::again(|| crate::store::postgres::ask::ask!($($read)*)) };
}
pub(super) use ask_again;
