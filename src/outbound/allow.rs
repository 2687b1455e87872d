//! Which targets an operator allows, wherever their addresses are.

use crate::domain::host_port::HostPort;

/// The targets of `outbound.allow`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedTargets(Vec<HostPort>);

impl AllowedTargets {
    /// Allows these.
    pub(crate) fn new(targets: Vec<HostPort>) -> Self {
        Self(targets)
    }

    /// Whether this target is allowed, as the URL names it.
    pub(super) fn names(&self, target: &HostPort) -> bool {
        self.0.contains(target)
    }
}
