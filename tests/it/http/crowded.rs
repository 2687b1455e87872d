//! The table of connections is full of requests whose bodies never arrive.

use std::net::TcpListener;
use std::time::Duration;

use sealwright::testing::http;
use sealwright::testing::http::serve::{Caps, Rules, serve};

use super::on_both;
use crate::harness::app::{TOKEN, TestApp};
use crate::harness::wire::Wire;

on_both! {
    requests_whose_bodies_stall_make_room_for_those_that_come,
}

/// A connection that still waits for a body may be closed for a new one, like a connection that
/// waits for a request.
async fn requests_whose_bodies_stall_make_room_for_those_that_come(app: &TestApp<'_>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let rules = Rules {
        caps: Caps {
            total: 8,
            per_source: 0,
        },
        ..Rules::default()
    };
    let router = http::public_router(&app.state);
    tokio::spawn(serve(
        listener,
        router,
        rules,
        std::future::pending(),
        Duration::ZERO,
    ));
    let agent = app.agent("agents:read").await;
    let form = format!("grant_type=client_credentials&{}", agent.form());
    let request = format!(
        "POST {TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut stalled = Vec::new();
    for path in [
        TOKEN,
        "/oauth/token",
        "/livez",
        "/nothing",
        TOKEN,
        TOKEN,
        "/api/oauth2/Token",
        TOKEN,
    ] {
        let mut wire = Wire::connect(address).await;
        wire.send(request[..request.len() - 10].replacen(TOKEN, path, 1))
            .await;
        stalled.push(wire);
    }
    for number in 0..3 {
        let mut wire = Wire::connect(address).await;
        wire.send(&request).await;
        assert_eq!(
            wire.answer("POST").await.unwrap().status,
            200,
            "number {number}"
        );
    }
    // A client whose connection was closed to make room gets a response that says so.
    let told = stalled[0]
        .answer("POST")
        .await
        .expect("an answer to the one that waited longest");
    assert_eq!((told.status, told.header("retry-after")), (503, "1"));
}
