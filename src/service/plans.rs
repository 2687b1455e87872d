//! The plans that this process knows.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::quota::Plans;

/// The configured plans, which can change while the process runs.
pub(crate) type SharedPlans = Arc<ArcSwap<Plans>>;
