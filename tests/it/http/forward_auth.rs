//! `/forward-auth`: what the server answers to a gateway that asks about a request.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{airisk, on_both};
use crate::harness::answer::Answer;
use crate::harness::app::{TestApp, basic, bearer, claims};

const GATE: &str = "/forward-auth";
const SCOPE: &str = "x-required-scope";
const AUDIENCE: &str = "x-required-audience";
const NO_TOKEN: &str = "Bearer realm=\"sealwright\"";
const LACKS: &str = "Bearer realm=\"sealwright\", error=\"insufficient_scope\"";

on_both! {
    a_live_token_passes_and_is_described,
    any_method_and_any_path_below_is_answered_alike,
    every_demand_must_hold_wherever_it_stands,
    a_client_adds_demands_and_takes_none_away,
    a_query_of_the_client_that_cannot_be_decoded_is_its_own_affair,
    a_demand_that_cannot_be_read_lets_nobody_in,
    a_demanded_audience_must_be_the_tokens,
    a_token_for_any_service_and_any_user_passes,
    no_token_is_challenged_without_an_error_and_a_bad_one_with_it,
    two_authorization_headers_let_nobody_in,
    what_is_revoked_suspended_or_expired_is_refused_at_once_on_every_process,
    a_body_is_ignored_however_it_is_announced,
    a_body_that_never_came_is_not_looked_for_in_the_next_request,
    nothing_of_the_request_comes_back,
}

#[track_caller]
fn passes<'a>(answer: &'a Answer, token: &str) -> &'a Answer {
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, ""),
        "{answer:?}"
    );
    let claims = claims(token);
    let told = |name: &str, claim: &str| {
        assert_eq!(
            Value::from(answer.header(name)),
            claims[claim],
            "{answer:?}"
        );
    };
    told("x-client-id", "client_id");
    told("x-scopes", "scope");
    told("x-token-jti", "jti");
    assert!(!answer.header("x-subject").is_empty());
    answer.is_not_kept()
}

#[track_caller]
fn refuses<'a>(answer: &'a Answer, status: u16, error: &str) -> &'a Answer {
    let code = if status == 401 {
        "UNAUTHORIZED"
    } else {
        "FORBIDDEN"
    };
    for name in ["x-client-id", "x-subject", "x-scopes", "x-token-jti"] {
        assert_eq!(answer.header(name), "", "{answer:?}");
    }
    answer.is_bearer_error(status, error, code)
}

/// Asks as a gateway does, with the client's token and these header fields, which may be the
/// gateway's or the client's.
async fn ask(app: &TestApp<'_>, token: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let authorization = bearer(token);
    let all: Vec<(&str, &str)> = headers
        .iter()
        .copied()
        .chain([("authorization", authorization.as_str())])
        .collect();
    app.send("GET", path, &all, vec![]).await
}

async fn a_live_token_passes_and_is_described(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read agents:read").await;
    let token = app.token(&agent).await;
    let answer = ask(app, &token, GATE, &[]).await;
    passes(&answer, &token);
    assert_eq!(answer.header("x-client-id"), agent.id);
    assert_eq!(answer.header("x-subject"), agent.id);
    assert_eq!(answer.header("x-scopes"), "agents:read tokens:read");
    assert_eq!(answer.header("content-length"), "0");
}

/// Envoy sends the client's own method, and appends the client's path to its prefix.
async fn any_method_and_any_path_below_is_answered_alike(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    let authorization = bearer(&token);
    for path in [
        "/forward-auth",
        "/forward-auth/",
        "/forward-auth//",
        "/forward-auth/a/b.html",
        "/forward-auth/%2e%2e/%ff",
        "/forward-auth/../livez",
        "/forward-auth/api/v1/agents?q=1",
    ] {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE",
        ] {
            let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
            let granted = format!("{head}authorization: {authorization}\r\n\r\n");
            passes(&app.raw(granted.as_bytes()).await.unwrap(), &token);
            let refused = app.raw(format!("{head}\r\n").as_bytes()).await.unwrap();
            assert_eq!(
                (refused.status, refused.header("www-authenticate")),
                (401, NO_TOKEN),
                "{method} {path}"
            );
        }
    }
    for path in [
        "/forward-authx",
        "/Forward-Auth",
        "/forward-aut",
        "//forward-auth",
    ] {
        assert_eq!(ask(app, &token, path, &[]).await.status, 404, "{path}");
    }
}

async fn every_demand_must_hold_wherever_it_stands(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read").await;
    let token = app.token(&agent).await;
    for (query, headers, met) in [
        ("?scope=agents:read", vec![], true),
        ("?scope=agents:read+tokens%3Aread", vec![], true),
        ("?scope=agents:read&scope=tokens:read", vec![], true),
        (
            "/x/y?scope=agents:read&x=y",
            vec![(SCOPE, "tokens:read agents:read")],
            true,
        ),
        (
            "",
            vec![(SCOPE, "tokens:read"), (SCOPE, "agents:read")],
            true,
        ),
        ("?scope=audit:read", vec![], false),
        ("?scope=agents:read+audit:read", vec![], false),
        ("?scope=agents:read&scope=audit:read", vec![], false),
        ("?scope=audit:read&scope=agents:read", vec![], false),
        ("?scope=agents:read", vec![(SCOPE, "audit:read")], false),
        ("?scope=audit:read", vec![(SCOPE, "agents:read")], false),
        (
            "",
            vec![(SCOPE, "agents:read"), (SCOPE, "audit:read")],
            false,
        ),
        ("", vec![(SCOPE, "agents:read audit:read")], false),
        // Proxies may join header fields of one name with a comma, and a comma is a valid character
        // in a scope.
        ("", vec![(SCOPE, "agents:read,tokens:read")], false),
        ("?scope=AGENTS:READ", vec![], false),
        ("?scope=agents", vec![], false),
        ("?scope=agents:read%00", vec![], false),
        ("?scope=agents:read%22", vec![], false),
    ] {
        let answer = ask(app, &token, &format!("{GATE}{query}"), &headers).await;
        if met {
            passes(&answer, &token);
        } else {
            assert_eq!(
                refuses(&answer, 403, "insufficient_scope").header("www-authenticate"),
                LACKS
            );
        }
    }
}

/// A client may add header fields of its own. It still has to meet the gateway's demand.
async fn a_client_adds_demands_and_takes_none_away(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    for query in [
        "",
        "?",
        "?scope=",
        "?scope",
        "?scope=agents:read",
        "?scope=&scope=&audience=",
        "/?SCOPE=x",
        "/x?a=%",
        "/#",
    ] {
        for own in [None, Some(""), Some(" "), Some("agents:read")] {
            let mut headers = vec![(SCOPE, "audit:read")];
            headers.extend(own.map(|own| (SCOPE, own)));
            for _ in 0..2 {
                let answer = ask(app, &token, &format!("{GATE}{query}"), &headers).await;
                refuses(&answer, 403, "insufficient_scope");
                headers.reverse();
            }
        }
    }
    // An empty demand adds no condition (D14), but a token is still needed.
    passes(
        &ask(
            app,
            &token,
            "/forward-auth?scope=&audience=",
            &[(SCOPE, "")],
        )
        .await,
        &token,
    );
    assert_eq!(app.get("/forward-auth?scope=").await.status, 401);
}

async fn a_query_of_the_client_that_cannot_be_decoded_is_its_own_affair(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    for query in [
        "q=100%",
        "q=%ff&x=%zz",
        "%=1",
        "%ff=scope",
        "scope%=x",
        "&&=&;",
        "a=b?scope=x",
        "q=%2",
    ] {
        let path = format!("{GATE}/search?{query}");
        let head = |demand: &str| {
            format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{SCOPE}: {demand}\r\nauthorization: {}\r\n\r\n",
                bearer(&token)
            )
        };
        passes(
            &app.raw(head("agents:read").as_bytes()).await.unwrap(),
            &token,
        );
        refuses(
            &app.raw(head("audit:read").as_bytes()).await.unwrap(),
            403,
            "insufficient_scope",
        );
    }
}

async fn a_demand_that_cannot_be_read_lets_nobody_in(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    let many = "scope=agents:read&".repeat(65);
    for query in [
        "scope=%",
        "scope=%ff",
        "%73cope=%zz",
        "audience=%",
        "scope=agents:read&scope=%",
        &many,
    ] {
        let head = format!("GET {GATE}?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        let request = format!("{head}authorization: {}\r\n\r\n", bearer(&token));
        app.raw(request.as_bytes())
            .await
            .unwrap()
            .is_error(400, "invalid_request");
    }
    for name in [SCOPE, AUDIENCE] {
        let head = format!(
            "GET {GATE} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {}\r\n",
            bearer(&token)
        );
        let request = [head.as_bytes(), name.as_bytes(), b": \xff\r\n\r\n"].concat();
        app.raw(&request)
            .await
            .unwrap()
            .is_error(400, "invalid_request");
    }
}

/// RFC 9068 §4: a resource must reject a token that was issued for another resource.
async fn a_demanded_audience_must_be_the_tokens(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let one = app.token_with(&agent, "audience=https://svc").await;
    let two = app
        .token_with(&agent, "audience=https://svc&resource=https://other")
        .await;
    let none = app.token(&agent).await;
    for (token, query, headers, met) in [
        (&one, "?audience=https://svc", vec![], true),
        (
            &one,
            "?audience=https%3A%2F%2Fsvc",
            vec![(AUDIENCE, "https://svc")],
            true,
        ),
        (
            &two,
            "?audience=https://svc",
            vec![(AUDIENCE, "https://other")],
            true,
        ),
        (&two, "?audience=https://svc+https://other", vec![], true),
        (
            &one,
            "?audience=https://svc",
            vec![(AUDIENCE, "https://other")],
            false,
        ),
        (
            &one,
            "?audience=https://svc&audience=https://other",
            vec![],
            false,
        ),
        (&one, "?audience=https://svc/", vec![], false),
        (&one, "?audience=https://sv", vec![], false),
        (&none, "?audience=https://svc", vec![], false),
        (&none, "", vec![(AUDIENCE, "https://svc")], false),
    ] {
        let answer = ask(app, token, &format!("{GATE}{query}"), &headers).await;
        if met {
            passes(&answer, token)
        } else {
            refuses(&answer, 401, "invalid_token")
        };
    }
}

/// Contract §3 limits which tokens this server's own endpoints accept. At a gateway, only its
/// demands decide.
async fn a_token_for_any_service_and_any_user_passes(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let elsewhere = app.token_with(&agent, "audience=https://elsewhere").await;
    passes(&ask(app, &elsewhere, GATE, &[]).await, &elsewhere);
    for (user, told) in [("user_42", "user_42"), (" é%", "%20%C3%A9%25")] {
        let agent = airisk::agent_for(app, "agents:read", &[user]).await;
        let token = airisk::user_token(app, &agent, user).await;
        let answer = ask(app, &token, GATE, &[]).await;
        passes(&answer, &token);
        assert_eq!(
            (answer.header("x-subject"), answer.header("x-client-id")),
            (told, &*agent.id)
        );
    }
}

/// RFC 6750 §3.1.
async fn no_token_is_challenged_without_an_error_and_a_bad_one_with_it(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let path = "/forward-auth?scope=agents:read";
    for answer in [
        app.get(path).await,
        app.get_as(&agent.basic(), path).await,
        app.get_as(&basic("nobody", "x"), path).await,
        app.get_as("Digest x", path).await,
        app.get_as("", path).await,
    ] {
        assert_eq!(
            refuses(&answer, 401, "invalid_token").header("www-authenticate"),
            NO_TOKEN
        );
    }
    let token = app.token(&agent).await;
    let forged = format!("{}x", &token[..token.len() - 1]);
    let (twice, by_tab) = (
        format!("Bearer {token} {token}"),
        format!("Bearer\t{token}"),
    );
    let beyond_ascii = format!("Bearer {token}\u{e9}");
    for bad in [
        "Bearer",
        "Bearer ",
        "Bearer x",
        &bearer(&forged),
        &twice,
        &by_tab,
        &beyond_ascii,
    ] {
        let answer = app.get_as(bad, path).await;
        let challenge = refuses(&answer, 401, "invalid_token")
            .header("www-authenticate")
            .to_owned();
        assert!(
            challenge.starts_with(&format!("{NO_TOKEN}, error=\"invalid_token\"")),
            "{challenge}"
        );
    }
    // The token is read from the `Authorization` header only (item 29).
    assert_eq!(
        app.get(&format!("{GATE}?access_token={token}"))
            .await
            .status,
        401
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("access_token={token}").into_bytes();
    assert_eq!(app.send("POST", GATE, &form, body).await.status, 401);
}

async fn two_authorization_headers_let_nobody_in(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = bearer(&app.token(&agent).await);
    for other in [&*token, "Bearer x", "Basic x", ""] {
        for pair in [[&*token, other], [other, &*token]] {
            let headers = pair.map(|value| ("authorization", value));
            app.send("GET", GATE, &headers, vec![])
                .await
                .is_error(400, "invalid_request");
        }
    }
}

async fn what_is_revoked_suspended_or_expired_is_refused_at_once_on_every_process(
    app: &TestApp<'_>,
) {
    let other = app.beside().await;
    let agent = app.agent("agents:read").await;
    let (revoked, expired, killed) = (
        app.token(&agent).await,
        app.token(&agent).await,
        app.token(&agent).await,
    );
    for gate in [app, &other] {
        for token in [&revoked, &expired, &killed] {
            passes(&ask(gate, token, GATE, &[]).await, token);
        }
    }
    app.revoke(&agent, &revoked).await.is(200, "{}");
    for gate in [app, &other] {
        refuses(&ask(gate, &revoked, GATE, &[]).await, 401, "invalid_token");
        passes(&ask(gate, &killed, GATE, &[]).await, &killed);
    }
    app.suspend(&agent).await;
    for gate in [app, &other] {
        refuses(&ask(gate, &killed, GATE, &[]).await, 401, "invalid_token");
    }
    app.reactivate(&agent).await;
    let last = app.token(&agent).await;
    app.clock.advance(599);
    passes(&ask(&other, &last, GATE, &[]).await, &last);
    refuses(&ask(&other, &killed, GATE, &[]).await, 401, "invalid_token");
    app.clock.advance(1);
    refuses(&ask(app, &last, GATE, &[]).await, 401, "invalid_token");
    refuses(&ask(app, &expired, GATE, &[]).await, 401, "invalid_token");
}

/// Sends the whole request, then demands a 200. Returns whether the connection may be used again.
async fn is_let_through(
    stream: &mut TcpStream,
    authorization: &str,
    headers: &str,
    body: &[u8],
) -> bool {
    let head = format!(
        "POST {GATE}/x?y=z HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        assert_ne!(
            stream.read_buf(&mut reply).await.unwrap(),
            0,
            "no answer: {headers}"
        );
    }
    let text = String::from_utf8(reply).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("x-client-id: "),
        "{text}"
    );
    !text.contains("connection: close\r\n")
}

/// The server answers a gateway at once, whether or not the announced body ever arrives. It ignores
/// a body that arrives.
async fn a_body_is_ignored_however_it_is_announced(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let authorization = bearer(&app.token(&agent).await);
    let connect = async || TcpStream::connect(app.address).await.unwrap();
    let large = vec![b'x'; 3_000_000];
    let sized = format!("content-length: {}\r\n", large.len());
    let mut stream = connect().await;
    for headers in ["", "content-length: 0\r\n", ""] {
        assert!(is_let_through(&mut stream, &authorization, headers, b"").await);
    }
    for (headers, body) in [
        (
            "content-length: 5\r\ncontent-type: application/json\r\n",
            &b"hello"[..],
        ),
        ("transfer-encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (&sized, &large),
        // A gateway may pass on its client's `Content-Length` without the body.
        ("content-length: 5\r\n", b""),
        ("content-length: 5000000000\r\n", b"x"),
        ("content-length: 5\r\nexpect: 100-continue\r\n", b""),
        ("transfer-encoding: chunked\r\n", b"5\r\nhel"),
    ] {
        assert!(
            !is_let_through(&mut connect().await, &authorization, headers, body).await,
            "{headers}"
        );
    }
}

/// Otherwise a client that chose the length could make this server read the head of the next
/// client's request as a body, and a value in that client's header fields as a request.
async fn a_body_that_never_came_is_not_looked_for_in_the_next_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let authorization = bearer(&app.token(&agent).await);
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let next = format!("GET {GATE} HTTP/1.1\r\nhost: x\r\nx-required-scope: agents:write\r\nx-a: ");
    let hidden = format!("GET {GATE} HTTP/1.0\r\nauthorization: {authorization}\r\n\r\n");
    let announced = format!("content-length: {}\r\n", next.len());
    is_let_through(&mut stream, &authorization, &announced, b"").await;
    // The server may have closed the connection already.
    let _ = stream.write_all(format!("{next}{hidden}").as_bytes()).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    assert_eq!(String::from_utf8(reply).unwrap(), "");
}

async fn nothing_of_the_request_comes_back(app: &TestApp<'_>) {
    const MARK: &str = "zQ7xK9wV";
    let agent = app.agent("agents:read").await;
    let token = app.token(&agent).await;
    for (path, headers) in [
        (format!("{GATE}/{MARK}?scope={MARK}"), vec![]),
        (format!("{GATE}?audience={MARK}&{MARK}=1"), vec![]),
        (GATE.to_owned(), vec![(SCOPE, MARK), (AUDIENCE, MARK)]),
        (
            format!("{GATE}?{MARK}"),
            vec![
                ("x-client-id", MARK),
                ("x-scopes", MARK),
                ("x-subject", MARK),
            ],
        ),
    ] {
        let answer = ask(app, &token, &path, &headers).await;
        assert!(
            !format!("{:?} {}", answer.headers, answer.body).contains(MARK),
            "{answer:?}"
        );
    }
}
