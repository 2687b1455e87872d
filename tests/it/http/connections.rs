//! Several requests on one connection: whether the connection lives on after an early response (RFC
//! 9112 §9), and whether a client that still sends can read that response.

use futures_util::future::join_all;
use sealwright::testing::http::manage::MANAGE_ROUTES;
use sealwright::testing::http::token::TOKEN_ROUTES;
use sealwright::testing::http::{OPS_ROUTES, PUBLIC_ROUTES};

use super::on_both;
use crate::harness::app::{TOKEN, TestApp};
use crate::harness::wire::Wire;

on_both! {
    after_every_answer_the_connection_ends_as_announced_or_serves_the_next_request,
    a_small_body_that_nobody_wants_is_read_and_the_connection_kept,
    a_body_that_never_comes_is_not_waited_for_without_end,
    an_unknown_transfer_coding_is_refused_and_the_connection_ends,
    a_message_that_could_be_read_in_two_ways_is_the_connections_last,
    an_answer_is_read_although_the_client_still_writes,
    a_host_that_is_none_is_refused_and_any_other_is_served,
    what_may_be_read_in_one_way_only_is_served_although_it_is_oddly_written,
}

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "X-OWN",
];

/// What comes between the request line and the next request: header fields, then a body in a
/// separate packet.
const REASONS: &[(&str, &str)] = &[
    ("", ""),
    ("content-length: 0\r\n", ""),
    (
        "content-type: application/json\r\ncontent-length: 7\r\n",
        "{\"a\":1}",
    ),
    (
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: 7\r\n",
        "a=b&c=d",
    ),
    (
        "content-type: text/plain\r\ncontent-length: 7\r\n",
        "whatnot",
    ),
    ("content-length: 7\r\n", "whatnot"),
    ("host: other\r\ncontent-length: 7\r\n", "whatnot"),
    (
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n",
        "7\r\n{\"a\":1}\r\n0\r\n\r\n",
    ),
    (
        "content-type: text/plain\r\ntransfer-encoding: chunked\r\n",
        "zz\r\nwhatnot\r\n0\r\n\r\n",
    ),
    (
        "content-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n",
        "zz\r\n",
    ),
    (
        "transfer-encoding: gzip, chunked\r\n",
        "7\r\nwhatnot\r\n0\r\n\r\n",
    ),
    (
        "content-type: text/plain\r\nexpect: 100-continue\r\ncontent-length: 7\r\n",
        "",
    ),
    ("content-length: 70000\r\n", "LARGE"),
    (
        "content-type: application/x-www-form-urlencoded\r\ncontent-length: 70000\r\n",
        "LARGE",
    ),
];

/// Every path of both listeners, and a path that does not exist.
fn paths(app: &TestApp<'_>) -> Vec<(std::net::SocketAddr, String)> {
    let public = TOKEN_ROUTES
        .iter()
        .chain(PUBLIC_ROUTES)
        .chain(MANAGE_ROUTES)
        .map(|route| (app.address, route.path));
    let ops = OPS_ROUTES.iter().map(|route| (app.ops_address, route.path));
    let none = [(app.address, "/nothing"), (app.ops_address, "/nothing")];
    let plain = |path: &str| path.replace("{id}", "x").replace("{*rest}", "a/b");
    public
        .chain(ops)
        .chain(none)
        .map(|(address, path)| (address, plain(path)))
        .collect()
}

async fn after_every_answer_the_connection_ends_as_announced_or_serves_the_next_request(
    app: &TestApp<'_>,
) {
    for (address, path) in paths(app) {
        for query in ["", "?client_secret=x"] {
            let tries = METHODS
                .iter()
                .flat_map(|method| REASONS.iter().map(move |reason| (*method, *reason)));
            join_all(tries.map(|(method, (headers, body))| {
                let path = format!("{path}{query}");
                async move {
                    let sent = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
                    let mut wire = Wire::connect(address).await;
                    wire.send(&sent).await;
                    let large = "x".repeat(70_000);
                    wire.send_apart(if body == "LARGE" { &large } else { body })
                        .await;
                    let answer = wire
                        .answer(method)
                        .await
                        .unwrap_or_else(|| panic!("no answer: {sent}"));
                    if answer
                        .headers
                        .get("connection")
                        .is_some_and(|value| value == "close")
                    {
                        return wire.ends().await;
                    }
                    assert!(answer.status >= 200, "{sent}{answer:?}");
                    wire.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
                    let next = wire
                        .answer("GET")
                        .await
                        .unwrap_or_else(|| panic!("closed: {sent}{answer:?}"));
                    assert_eq!(
                        (next.status, &*next.body),
                        (200, "{\"status\":\"ok\"}"),
                        "{sent}{answer:?}"
                    );
                }
            }))
            .await;
        }
    }
}

/// Clients behind a proxy share a connection. A refused request of one client must not cost the
/// others the connection.
async fn a_small_body_that_nobody_wants_is_read_and_the_connection_kept(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let form = format!("grant_type=client_credentials&{}", agent.form());
    let good = format!(
        "POST {TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut wire = Wire::connect(app.address).await;
    for (line, status) in [
        (format!("POST {TOKEN}"), 400),
        (format!("PUT {TOKEN}"), 405),
        (format!("POST {TOKEN}?client_id=x"), 400),
        ("POST /.well-known/jwks.json".to_owned(), 405),
        ("PUT /api/v1/agents".to_owned(), 405),
        ("POST /api/v1/agents".to_owned(), 401),
        ("POST /nothing".to_owned(), 404),
    ] {
        let head = "host: x\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n";
        wire.send(format!("{line} HTTP/1.1\r\n{head}")).await;
        wire.send_apart("{\"a\":1}").await;
        let answer = wire.answer("POST").await.unwrap();
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.header("connection"), "", "{line}");
        wire.send(&good).await;
        assert_eq!(wire.answer("POST").await.unwrap().status, 200, "{line}");
    }
}

async fn a_body_that_never_comes_is_not_waited_for_without_end(app: &TestApp<'_>) {
    for (path, length) in [
        ("/nothing", 7),
        ("/livez", 7),
        (TOKEN, 7),
        ("/forward-auth", 7),
        (TOKEN, 70_000),
    ] {
        let mut wire = Wire::connect(app.address).await;
        wire.send(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        let answer = wire.answer("POST").await.unwrap();
        assert!(answer.status >= 400, "{path}: {answer:?}");
        assert_eq!(answer.header("connection"), "close", "{path}");
        wire.ends().await;
    }
}

/// RFC 9112 §6.1, §7.
async fn an_unknown_transfer_coding_is_refused_and_the_connection_ends(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let form = format!("grant_type=client_credentials&{}", agent.form());
    let chunks = format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len());
    for coding in [
        "gzip, chunked",
        "gzip,chunked",
        "deflate, chunked",
        "chunked, chunked",
        "x, chunked",
    ] {
        for lines in [
            format!("transfer-encoding: {coding}\r\n"),
            coding.split(',').fold(String::new(), |all, one| {
                format!("{all}transfer-encoding: {}\r\n", one.trim())
            }),
        ] {
            let mut wire = Wire::connect(app.address).await;
            let head = "host: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
            wire.send(format!(
                "POST {TOKEN} HTTP/1.1\r\n{head}{lines}\r\n{chunks}"
            ))
            .await;
            let answer = wire.answer("POST").await.unwrap();
            assert_eq!(answer.status, 400, "{lines}: {answer:?}");
            assert_eq!(answer.header("connection"), "close", "{lines}");
            wire.ends().await;
        }
    }
}

/// RFC 9112 §6.3: a message that could hide a second request is refused, or the connection ends
/// after it.
async fn a_message_that_could_be_read_in_two_ways_is_the_connections_last(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let form = format!("grant_type=client_credentials&{}", agent.form());
    let chunks = format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len());
    let hidden = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut faults = Vec::new();
    for (headers, body) in [
        // RFC 9112 §6.1: the chunked coding decides the length, and the connection ends.
        (
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            &*chunks,
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
            &*chunks,
        ),
        ("content-length: +5\r\n", "a=b&c"),
        ("content-length: 5\r\ncontent-length: 6\r\n", "a=b&cd"),
        ("content-length: 5, 5\r\n", "a=b&c"),
        ("transfer-encoding: chunked\r\n", "+5\r\na=b&c\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "5;\na=b&c\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\n", "5\na=b&c\n0\n\n"),
        (
            "transfer-encoding: chunked\r\n",
            "0x5\r\na=b&c\r\n0\r\n\r\n",
        ),
        (
            "transfer-encoding: chunked\r\n",
            "5 5\r\na=b&c\r\n0\r\n\r\n",
        ),
        (
            "transfer-encoding: chunked\r\n",
            "10000000000000005\r\na=b&c\r\n0\r\n\r\n",
        ),
        ("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: \u{b}chunked\r\n", "0\r\n\r\n"),
        (" content-length: 5\r\n", "a=b&c"),
    ] {
        let mut wire = Wire::connect(app.address).await;
        let head = "content-type: application/x-www-form-urlencoded\r\n";
        wire.send(format!(
            "POST {TOKEN} HTTP/1.1\r\nhost: x\r\n{head}{headers}\r\n{body}{hidden}"
        ))
        .await;
        let answer = wire.answer("POST").await.unwrap();
        let status = if body == chunks { 200 } else { 400 };
        if answer.status != status || answer.header("connection") != "close" {
            faults.push(format!("{headers:?} {body:?}: {answer:?}"));
            continue;
        }
        wire.ends().await;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// If the server closed the connection while the client still sends, TCP would reset it and the
/// response would be lost.
async fn an_answer_is_read_although_the_client_still_writes(app: &TestApp<'_>) {
    let (long, body) = ("x".repeat(60_000), "x".repeat(2_000_000));
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for (request, status) in [
        (
            format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n"),
            431,
        ),
        (
            format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {long}{body}\r\n\r\n"),
            431,
        ),
        (format!("no request\r\n{body}"), 400),
        (
            format!(
                "POST {TOKEN} HTTP/1.1\r\nhost: x\r\n{form}content-length: 2000000\r\n\r\n{body}"
            ),
            413,
        ),
        (
            format!("POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n{body}"),
            404,
        ),
        (
            format!("POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n{body}"),
            405,
        ),
        (
            format!("POST {TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n{body}"),
            400,
        ),
        (
            format!(
                "POST /forward-auth HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n{body}"
            ),
            401,
        ),
        (
            format!(
                "POST {TOKEN} HTTP/1.1\r\nhost: x\r\n{form}transfer-encoding: chunked\r\n\r\nzz{body}"
            ),
            400,
        ),
    ] {
        let mut wire = Wire::connect(app.address).await;
        // Send in pieces, as a client does that writes for a while before it reads the response.
        for piece in request.as_bytes().chunks(30_000) {
            wire.send(piece).await;
            tokio::task::yield_now().await;
        }
        let line = &request[..40];
        let answer = wire
            .answer("GET")
            .await
            .unwrap_or_else(|| panic!("no answer: {line}"));
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.header("connection"), "close", "{line}");
        wire.ends().await;
    }
}

/// RFC 9112 §3.2: 400 where Host is missing, repeated or invalid, on every path.
async fn a_host_that_is_none_is_refused_and_any_other_is_served(app: &TestApp<'_>) {
    let one = |host: &str| format!("host: {host}\r\n");
    let refused = [
        String::new(),
        one("x") + &one("x"),
        one("a b"),
        one("a, b"),
        one("user@x"),
        one("http://x"),
        one("x/path"),
        one("x:80a"),
        one("x:80:90"),
        one("x:-1"),
        one("[::1"),
        one("::1"),
        one("[x]"),
        one("[::1]x"),
        one("%zz"),
        one("x%2"),
        one("\"x\""),
        one("é"),
    ];
    let served = [
        "x",
        "",
        "X.example:8443",
        "a_b",
        "192.0.2.1:80",
        "[::1]:3000",
        "x:",
        "%41",
        "a,b",
        "x.",
    ];
    let paths = [
        "/livez",
        "/nothing",
        "/.well-known/jwks.json",
        "/forward-auth/x",
    ];
    for path in paths {
        for lines in &refused {
            let mut wire = Wire::connect(app.address).await;
            wire.send(format!("GET {path} HTTP/1.1\r\n{lines}\r\n"))
                .await;
            let answer = wire.answer("GET").await.unwrap();
            assert_eq!(answer.status, 400, "{path} {lines:?}: {answer:?}");
        }
        let mut wire = Wire::connect(app.address).await;
        for host in served {
            wire.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
                .await;
            let answer = wire.answer("GET").await.unwrap();
            assert_ne!(answer.status, 400, "{path} {host:?}: {answer:?}");
        }
    }
}

/// RFC 9112 §2.2, RFC 9110 §8.6: a recipient may accept these messages. The bytes that follow are
/// still the next request.
async fn what_may_be_read_in_one_way_only_is_served_although_it_is_oddly_written(
    app: &TestApp<'_>,
) {
    let agent = app.agent("agents:read").await;
    let form = format!("grant_type=client_credentials&{}", agent.form());
    let length = format!("content-length: {}\r\n", form.len());
    let head = "host: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let mut wire = Wire::connect(app.address).await;
    for sent in [
        format!("POST {TOKEN} HTTP/1.1\r\n{head}{length}{length}\r\n{form}"),
        format!(
            "POST {TOKEN} HTTP/1.1\n{}{}\n{form}",
            head.replace('\r', ""),
            length.replace('\r', "")
        ),
        format!("\r\nPOST {TOKEN} HTTP/1.1\r\n{head}{length}\r\n{form}"),
        format!(
            "POST {TOKEN} HTTP/1.1\r\n{}{length}\r\n{form}",
            head.replace(": ", ":\t  ")
        ),
    ] {
        wire.send(&sent).await;
        wire.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(wire.answer("POST").await.unwrap().status, 200, "{sent}");
        assert_eq!(
            wire.answer("GET").await.unwrap().body,
            "{\"status\":\"ok\"}",
            "{sent}"
        );
    }
}
