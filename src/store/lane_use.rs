//! How many connections a lane to the database has. Must not know what a lane is for.

/// The connections of a lane: one kind of traffic to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneUse {
    /// The lane's name.
    pub lane: &'static str,
    /// Connections in use.
    pub used: usize,
    /// Connections that are open and idle.
    pub idle: usize,
}
