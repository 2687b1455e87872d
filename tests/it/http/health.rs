//! `/livez` and `/readyz` on both listeners, and `/metrics` on the operators' alone.

use super::on_both;
use crate::harness::app::TestApp;

on_both! {
    a_server_that_can_issue_is_alive_and_ready,
    a_draining_server_is_alive_and_not_ready,
    metrics_are_served_to_operators_alone,
    operators_paths_are_not_public,
}

const OK: &str = "{\"status\":\"ok\"}";

async fn a_server_that_can_issue_is_alive_and_ready(app: &TestApp<'_>) {
    for (address, path) in [
        (app.address, "/livez"),
        (app.address, "/readyz"),
        (app.ops_address, "/livez"),
        (app.ops_address, "/readyz"),
        (app.ops_address, "/healthz"),
    ] {
        app.send_to(address, "GET", path, &[], vec![]).await.is(200, OK);
        assert_eq!(app.send_to(address, "HEAD", path, &[], vec![]).await.status, 200);
    }
}

async fn a_draining_server_is_alive_and_not_ready(app: &TestApp<'_>) {
    app.draining.begin();
    app.get("/livez").await.is(200, OK);
    let answer = app.get("/readyz").await;
    answer.is(503, "{\"status\":\"unavailable\",\"reason\":\"draining\"}");
    assert_eq!(answer.header("retry-after"), "1");
    // What still arrives is served.
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
}

async fn metrics_are_served_to_operators_alone(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    let answer = app.send_to(app.ops_address, "GET", "/metrics", &[], vec![]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(answer.body.contains("sealwright_token_requests_total{outcome=\"issued\"}"));
    assert!(!answer.body.contains(&agent.id), "a label names an agent");
    app.get("/metrics").await.is_management_error(404, "NOT_FOUND");
}

async fn operators_paths_are_not_public(app: &TestApp<'_>) {
    app.get("/healthz").await.is_management_error(404, "NOT_FOUND");
    let answer = app.send_to(app.ops_address, "POST", "/api/v1/token", &[], vec![]).await;
    answer.is_management_error(404, "NOT_FOUND");
}
