//! Properties: no bytes anywhere in a request give a 5xx or come back in a reply, and errors keep to
//! their alphabet (items 22–24; known failures 14, 36).

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, INTROSPECT, REVOKE, REVOKED, TOKEN, TestApp, basic, bearer};

/// How many requests a property makes for each place that it looks at.
const CASES: usize = 48;

/// Stands in every generated value; the server's own texts do not hold it.
const MARK: &str = "zQ7xK9wV";

on_both! {
    no_form_body_gives_a_fault_or_comes_back,
    no_byte_in_any_parameter_gives_a_fault_or_comes_back,
    no_query_gives_a_fault_or_comes_back,
    no_authorization_gives_a_fault_or_comes_back,
    no_presented_token_gives_a_fault_or_comes_back,
    no_header_or_path_gives_a_fault_or_comes_back,
    no_request_line_stops_the_server,
}

/// Values drawn from `strategy`, a new series at each run; a failure names its own.
fn drawn<S: Strategy>(strategy: &S) -> impl Iterator<Item = S::Value> {
    let mut runner = TestRunner::default();
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current()).take(CASES)
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let marked = |mut bytes: Vec<u8>, at: usize| {
        let at = at.min(bytes.len());
        bytes.splice(at..at, MARK.bytes());
        bytes
    };
    (prop::collection::vec(any::<u8>(), 0..most), 0..most).prop_map(move |(bytes, at)| marked(bytes, at))
}

/// Percent-encodes every byte, so that it arrives whatever it is.
fn percent(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("%{b:02X}"))
}

/// What holds for every answer to whatever was sent.
#[track_caller]
fn holds(answer: &Answer, sent: &dyn std::fmt::Debug) {
    assert!((200..500).contains(&answer.status), "{sent:?}: {answer:?}");
    let told = format!("{:?} {}", answer.headers, answer.body);
    assert!(!told.contains(MARK), "{sent:?}: {answer:?}");
    if answer.status >= 400 && !answer.body.is_empty() {
        let body = answer.json();
        let member = if body.get("error").is_some() { "error" } else { "code" };
        assert!(body[member].is_string(), "{sent:?}: {answer:?}");
        if member == "error" {
            answer.keeps_to_the_alphabet();
        }
        answer.is_not_kept();
    }
}

const FORM: &[u8] = b"content-type: application/x-www-form-urlencoded\r\n";

fn sized(body: &[u8]) -> Vec<u8> {
    [FORM, format!("content-length: {}\r\n", body.len()).as_bytes()].concat()
}

async fn no_form_body_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    for body in drawn(&bytes(300)) {
        for path in [TOKEN, INTROSPECT, REVOKE] {
            holds(&app.raw_post(path, &sized(&body), &body).await.unwrap(), &body);
            // Behind valid parameters, so that more than the parser sees it.
            let valid = format!("grant_type=client_credentials&{}&token=", agent.form());
            let body = [valid.as_bytes(), &body].concat();
            holds(&app.raw_post(path, &sized(&body), &body).await.unwrap(), &body);
        }
    }
}

/// Item 22: every single byte once, and random runs of them.
async fn no_byte_in_any_parameter_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let single = (0..=u8::MAX).map(|byte| [MARK.as_bytes(), &[byte]].concat());
    let names = ["grant_type", "scope", "client_id", "client_secret", "audience", "resource", "foo"];
    let (form, grant) = (agent.form(), "grant_type=client_credentials");
    for (i, value) in single.chain(drawn(&bytes(80))).enumerate() {
        let name = names[i % names.len()];
        let value = percent(&value);
        let body = match name {
            "grant_type" => format!("grant_type={value}&{form}"),
            "client_id" => format!("{grant}&client_id={value}&client_secret={}", agent.secret),
            "client_secret" => format!("{grant}&client_id={}&client_secret={value}", agent.id),
            name => format!("{grant}&{form}&{name}={value}"),
        };
        let answer = app.post(TOKEN, &body).await;
        // An audience that is allowed stands in the token, which is base64.
        holds(&answer, &body);
    }
}

async fn no_query_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read").await;
    let token = bearer(&app.token(&agent).await);
    for value in drawn(&bytes(60)) {
        let value = percent(&value);
        for name in ["limit", "cursor", "x"] {
            holds(&app.get_as(&token, &format!("{AGENTS}?{name}={value}")).await, &value);
        }
        holds(&app.get(&format!("{REVOKED}?{value}")).await, &value);
        for query in ["scope=", "audience=", ""] {
            holds(&app.get_as(&token, &format!("/forward-auth/{value}?{query}{value}")).await, &value);
        }
        for name in ["client_id", "scope", "x"] {
            let path = format!("{TOKEN}?{name}={value}");
            let body = format!("grant_type=client_credentials&{}", agent.form());
            holds(&app.post(&path, &body).await, &value);
        }
    }
    // Not percent-encoded at all.
    for value in drawn(&"[!-~&&[^#]]{0,40}") {
        let head = format!("GET {AGENTS}?{value}{MARK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        holds(&app.raw(head.as_bytes()).await.unwrap(), &value);
    }
}

async fn no_authorization_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    for value in drawn(&bytes(120)) {
        let text = String::from_utf8_lossy(&value).into_owned();
        let encoded = [basic(&text, &text), crate::harness::app::raw_basic(&value)];
        for authorization in &encoded {
            let answer = app.post_as(authorization, TOKEN, "grant_type=client_credentials").await;
            holds(&answer, &value);
            holds(&app.post_as(authorization, INTROSPECT, "token=x").await, &value);
            holds(&app.get_as(authorization, AGENTS).await, &value);
            holds(&app.get_as(authorization, "/forward-auth").await, &value);
        }
        for scheme in ["Basic ", "Bearer ", ""] {
            // The raw bytes; a line's end among them would be another header.
            let line: Vec<u8> = value.iter().copied().filter(|b| !b"\r\n".contains(b)).collect();
            let line = [b"authorization: ", scheme.as_bytes(), &line, b"\r\n"].concat();
            let body = b"grant_type=client_credentials&token=x";
            for path in [TOKEN, INTROSPECT] {
                let head = [line.clone(), sized(body)].concat();
                if let Some(answer) = app.raw_post(path, &head, body).await {
                    holds(&answer, &value);
                }
            }
        }
    }
}

async fn no_presented_token_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    let authorization = agent.basic();
    let mut presented: Vec<String> = drawn(&bytes(200))
        // What is not UTF-8 never gets as far as the token.
        .map(|bytes| percent(String::from_utf8_lossy(&bytes).as_bytes()))
        .collect();
    // Tokens with one of their characters changed, cut off or doubled.
    for at in drawn(&(0..token.len())) {
        let (head, tail) = token.split_at(at);
        presented.extend([
            format!("{head}{MARK}{tail}"),
            format!("{head}.{tail}{MARK}"),
            format!("{head}%00{}{MARK}", &tail[1..]),
            format!("{MARK}{head}"),
        ]);
    }
    for token in &presented {
        let body = format!("token={token}");
        let answer = app.post_as(&authorization, INTROSPECT, &body).await;
        answer.is(200, super::introspect::INACTIVE);
        app.post_as(&authorization, REVOKE, &body).await.is(200, "{}");
        if !token.contains('%') {
            holds(&app.get_as(&bearer(token), AGENTS).await, token);
        }
    }
    assert!(app.is_active(&agent, &token).await);
}

async fn no_header_or_path_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let token = bearer(&app.token(&agent).await);
    for value in drawn(&bytes(70)) {
        let encoded = percent(&value);
        holds(&app.get_as(&token, &format!("{AGENTS}/{encoded}")).await, &value);
        holds(&app.get(&format!("/{encoded}")).await, &value);
        let line: Vec<u8> = value.iter().copied().filter(|b| !b"\r\n".contains(b)).collect();
        for name in ["x-request-id", "content-type", "if-none-match", "user-agent", "cookie", "accept"] {
            // The mark alone would be an id that is kept.
            let line = [name.as_bytes(), b": ", &line, b" ,\r\n"].concat();
            if let Some(answer) = app.raw_post(TOKEN, &line, b"").await {
                holds(&answer, &value);
            }
        }
    }
}

/// What is no HTTP ends its own connection and nothing else.
async fn no_request_line_stops_the_server(app: &TestApp<'_>) {
    for value in drawn(&bytes(200)) {
        let request = [&value, b"\r\n\r\n".as_slice()].concat();
        if let Some(answer) = app.raw(&request).await {
            assert!((400..500).contains(&answer.status), "{value:?}: {answer:?}");
        }
    }
    assert_eq!(app.get("/readyz").await.status, 200);
}
