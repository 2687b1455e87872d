//! What an operator does after a backup was restored.

use std::sync::Arc;

use sealwright::testing::app::{self, Wrapping};
use sealwright::testing::clock::Clock;
use sealwright::testing::entropy::SystemEntropy;
use sealwright::testing::service::restore::{Acknowledged, Unmarked};

use super::app::TestApp;

/// Acknowledges as the command does, which is a process of its own.
pub async fn acknowledge(app: &TestApp<'_>, unmarked: Unmarked) -> Option<Acknowledged> {
    let clock: Arc<dyn Clock> = app.clock.process(0);
    let entropy = Arc::new(SystemEntropy::default());
    let opened = app::open_with(&app.config, Wrapping::Direct, clock, entropy)
        .await
        .unwrap();
    let restores = opened.restores(&app.config);
    restores
        .acknowledge(&opened.operator(), unmarked)
        .await
        .unwrap()
}
