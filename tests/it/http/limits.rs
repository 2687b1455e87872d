//! The limits of what the server reads of a request: paths, sizes, heads, request ids (D6, D13;
//! items 1, 11, 24).

use super::on_both;
use crate::harness::app::{AGENTS, INTROSPECT, REVOKE, REVOKED, TOKEN, TestApp};

const FORM: &[u8] = b"content-type: application/x-www-form-urlencoded\r\n";

on_both! {
    a_body_of_64_kib_is_read_and_one_byte_more_is_not,
    a_body_without_a_length_is_cut_at_the_same_size,
    a_client_that_asks_first_is_told_to_go_on_or_stop,
    a_head_beyond_the_limit_is_431,
    an_unknown_path_is_not_found_by_any_method,
    a_request_id_is_kept_when_it_keeps_to_its_alphabet,
    every_reply_names_its_request,
    connections_are_kept_and_requests_may_be_pipelined,
    a_message_with_two_lengths_never_hides_another,
    a_request_names_its_host_exactly_once,
    what_is_not_http_is_answered_with_400,
    a_compressed_body_is_not_unpacked,
}

/// A form that asks for a token and has exactly this length.
fn padded(form: &str, length: usize) -> String {
    let start = format!("grant_type=client_credentials&{form}&pad=");
    format!("{start}{}", "x".repeat(length - start.len()))
}

/// D6.
async fn a_body_of_64_kib_is_read_and_one_byte_more_is_not(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for (length, status) in [
        (65_535, 200),
        (65_536, 200),
        (65_537, 413),
        (1_000_000, 413),
    ] {
        let body = padded(&agent.form(), length);
        let head = [FORM, format!("content-length: {length}\r\n").as_bytes()].concat();
        let answer = app.raw_post(TOKEN, &head, body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{length}");
        if status == 413 {
            answer.is_error(413, "invalid_request");
        }
    }
    // On every path that reads a body, a `Content-Length` beyond the limit is refused before a byte
    // of the body arrives.
    for path in [TOKEN, INTROSPECT, REVOKE, "/oauth/revoke"] {
        let head = [FORM, b"content-length: 10000000000\r\n"].concat();
        app.raw_post(path, &head, b"")
            .await
            .unwrap()
            .is_error(413, "invalid_request");
    }
    // The response to a client that would keep the connection says `close`. Otherwise the unread
    // body would be read as the next request.
    let kept = format!("POST {TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\n");
    let answer = app
        .raw(&[kept.as_bytes(), FORM, b"\r\n"].concat())
        .await
        .unwrap();
    assert_eq!(
        answer.is_error(413, "invalid_request").header("connection"),
        "close"
    );
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(1_000) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

/// Known failure 31.
async fn a_body_without_a_length_is_cut_at_the_same_size(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let head = [FORM, b"transfer-encoding: chunked\r\n"].concat();
    for (length, status) in [(1_000, 200), (65_536, 200), (65_537, 413), (500_000, 413)] {
        let body = chunked(padded(&agent.form(), length).as_bytes());
        let answer = app.raw_post(TOKEN, &head, &body).await.unwrap();
        assert_eq!(answer.status, status, "{length}");
        if status == 413 {
            answer.is_error(413, "invalid_request");
        }
    }
}

async fn a_client_that_asks_first_is_told_to_go_on_or_stop(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let body = padded(&agent.form(), 2_000);
    let expecting = |length: u64| {
        [
            FORM,
            format!("expect: 100-continue\r\ncontent-length: {length}\r\n").as_bytes(),
        ]
        .concat()
    };
    let answer = app
        .raw_post(TOKEN, &expecting(2_000), body.as_bytes())
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    app.raw_post(TOKEN, &expecting(70_000), b"")
        .await
        .unwrap()
        .is_error(413, "invalid_request");
    let json = b"content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 9\r\n";
    app.raw_post(TOKEN, json, b"")
        .await
        .unwrap()
        .is_error(400, "invalid_request");
}

/// Item 11.
async fn a_head_beyond_the_limit_is_431(app: &TestApp<'_>) {
    for line in [
        "authorization: Basic ",
        "authorization: Bearer ",
        "x-request-id: ",
        "x-other: ",
    ] {
        let head = format!(
            "GET {AGENTS} HTTP/1.1\r\nhost: x\r\n{line}{}\r\n\r\n",
            "x".repeat(65_536)
        );
        assert_eq!(
            app.raw(head.as_bytes()).await.unwrap().status,
            431,
            "{line}"
        );
    }
    let many = format!(
        "GET {AGENTS} HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "a: b\r\n".repeat(5_000)
    );
    assert_eq!(app.raw(many.as_bytes()).await.unwrap().status, 431);
    // Above the limit, but small enough to arrive completely before its size is compared.
    for length in [33_000, 40_000, 60_000, 70_000] {
        let long = "x".repeat(length);
        for head in [
            format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
            format!("GET {AGENTS} HTTP/1.1\r\nhost: x\r\nx-a: {long}\r\n\r\n"),
        ] {
            let status = app.raw(head.as_bytes()).await.unwrap().status;
            assert!([414, 431].contains(&status), "{length}: {status}");
        }
    }
    // A head far below the limit is accepted.
    let some = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\na: {}\r\n\r\n",
        "x".repeat(16_000)
    );
    assert_eq!(app.raw(some.as_bytes()).await.unwrap().status, 200);
}

async fn an_unknown_path_is_not_found_by_any_method(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for path in [
        "/",
        "/nothing",
        "/api/v1/token/",
        "//api/v1/token",
        "/api/v1/Token",
        "/api/v1/token/introspect/",
        "/api/v1/token/nothing",
        "/api/v1/agents/",
        "/api/v1/agents/a/b",
        "/api/v1/token%2Fintrospect",
        "/.well-known/",
        "/%00",
        "/%ff",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let body = format!("grant_type=client_credentials&{}", agent.form());
            let answer = app.send(method, path, &headers, body.into()).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            answer.is_management_error(404, "NOT_FOUND");
        }
        assert_eq!(app.send("HEAD", path, &[], vec![]).await.status, 404);
    }
}

/// D13.
async fn a_request_id_is_kept_when_it_keeps_to_its_alphabet(app: &TestApp<'_>) {
    let long = "x".repeat(64);
    for id in ["a", "A.b_c-9", &long, "-", "..", "0"] {
        for path in [
            "/livez",
            REVOKED,
            TOKEN,
            AGENTS,
            "/nothing",
            "/.well-known/jwks.json",
        ] {
            let answer = app.send("GET", path, &[("x-request-id", id)], vec![]).await;
            assert_eq!(answer.header("x-request-id"), id, "{path}");
        }
    }
    let too_long = "x".repeat(65);
    for id in [
        "", "a b", "a/b", "a,b", "a\"b", "<b>", "a:b", "a%0db", &too_long,
    ] {
        let answer = app
            .send("GET", "/livez", &[("x-request-id", id)], vec![])
            .await;
        assert_ne!(answer.header("x-request-id"), id);
        answer.names_its_request();
    }
    let head = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: a\xc3\xa9\xff\r\n\r\n";
    app.raw(head).await.unwrap().names_its_request();
}

async fn every_reply_names_its_request(app: &TestApp<'_>) {
    let mut seen = std::collections::HashSet::new();
    for method in ["GET", "POST", "HEAD", "OPTIONS"] {
        for path in [
            "/livez", "/readyz", REVOKED, TOKEN, INTROSPECT, AGENTS, "/nothing",
        ] {
            let answer = app.send(method, path, &[], vec![]).await;
            answer.names_its_request();
            assert!(
                seen.insert(answer.header("x-request-id").to_owned()),
                "an id came twice"
            );
        }
    }
    let other = app.beside().await;
    assert!(seen.insert(other.get("/livez").await.header("x-request-id").to_owned()));
}

async fn connections_are_kept_and_requests_may_be_pipelined(app: &TestApp<'_>) {
    let one = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = app
        .raw(format!("{one}{one}{last}").as_bytes())
        .await
        .unwrap();
    assert_eq!(
        answer.body.matches("HTTP/1.1 200 OK").count(),
        2,
        "{answer:?}"
    );
}

/// Known failure 33: one message gets at most one response.
async fn a_message_with_two_lengths_never_hides_another(app: &TestApp<'_>) {
    let hidden = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    for lengths in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 0x5\r\n",
        "content-length: -1\r\n",
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: x\r\n",
    ] {
        let head = [FORM, lengths.as_bytes()].concat();
        let answer = app
            .raw_post(TOKEN, &head, format!("0\r\n\r\n{hidden}").as_bytes())
            .await
            .unwrap();
        assert!((400..500).contains(&answer.status), "{lengths}: {answer:?}");
        assert!(!answer.body.contains("HTTP/1.1"), "{lengths}: {answer:?}");
    }
}

/// RFC 9112 §3.2; HTTP/1.0 does not demand Host.
async fn a_request_names_its_host_exactly_once(app: &TestApp<'_>) {
    for (line, hosts, status) in [
        ("GET /livez HTTP/1.1", "host: a\r\n", 200),
        ("GET /livez HTTP/1.1", "", 400),
        ("GET /livez HTTP/1.1", "host: a\r\nhost: b\r\n", 400),
        ("GET /livez HTTP/1.0", "", 200),
    ] {
        let request = format!("{line}\r\n{hosts}connection: close\r\n\r\n");
        let answer = app.raw(request.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{line} {hosts:?}");
    }
}

async fn what_is_not_http_is_answered_with_400(app: &TestApp<'_>) {
    for request in [
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\na: b\u{0}c\r\n\r\n",
        "G\u{0}T / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        // The server may also close the connection without a response.
        if let Some(answer) = app.raw(request.as_bytes()).await {
            assert!(
                (400..500).contains(&answer.status),
                "{request:?}: {answer:?}"
            );
        }
    }
    assert_eq!(app.get("/livez").await.status, 200);
}

async fn a_compressed_body_is_not_unpacked(app: &TestApp<'_>) {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-encoding", "gzip"),
    ];
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00".to_vec();
    app.send("POST", TOKEN, &headers, gzip)
        .await
        .is_error(400, "invalid_request");
}
