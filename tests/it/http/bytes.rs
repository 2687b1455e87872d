//! Property tests: no bytes anywhere in a request cause a 5xx or come back in a response, and
//! errors use only the characters that they may (items 22–24; known failures 14, 36).

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::airisk::EXCHANGE;
use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{
    AGENTS, Agent, INTROSPECT, OAUTH_TOKEN, REVOKE, REVOKED, TOKEN, TestApp, basic, bearer,
    raw_basic,
};

/// A path that issues tokens, and how a request to it looks.
struct Dialect {
    path: &'static str,
    /// Whether a body may be JSON.
    json: bool,
    /// The parameters that a valid request has beside the credentials.
    with: &'static str,
    /// The parameters whose values the tests vary.
    names: &'static [&'static str],
    /// Demands a refusal in the path's own shape, whatever its status and code.
    refused: fn(&Answer),
}

/// One row for each dialect of the token endpoint.
const DIALECTS: [Dialect; 3] = [
    Dialect {
        path: TOKEN,
        json: false,
        with: "grant_type=client_credentials",
        names: &[
            "grant_type",
            "scope",
            "client_id",
            "client_secret",
            "audience",
            "resource",
            "foo",
        ],
        refused: |answer| {
            answer.is_error(answer.status, &answer.text("error"));
        },
    },
    Dialect {
        path: OAUTH_TOKEN,
        json: true,
        with: "grant_type=client_credentials",
        names: &[
            "grant_type",
            "scope",
            "client_id",
            "client_secret",
            "audience",
            "resource",
            "task_id",
        ],
        refused: |answer| {
            let code = answer.json()["error"]["code"].as_str().unwrap().to_owned();
            answer.is_merged_error(answer.status, &code, &answer.text("error_code"));
        },
    },
    Dialect {
        path: EXCHANGE,
        json: true,
        with: "redirect_uri=https://app.example/",
        names: &[
            "grant_type",
            "client_id",
            "client_secret",
            "code",
            "userid",
            "code",
            "foo",
        ],
        refused: |answer| {
            if answer.status == 400 {
                answer.is_line(&answer.body);
                assert!(
                    answer.body.starts_with("Invalid ") && answer.body.len() < 30,
                    "{answer:?}"
                );
            } else {
                answer.is_problem(answer.status, &answer.text("title"));
            }
        },
    },
];

impl Dialect {
    /// Demands what holds for every response of this path.
    #[track_caller]
    fn holds(&self, answer: &Answer, sent: &dyn std::fmt::Debug) {
        is_no_fault(answer, sent);
        // Bytes that are not HTTP never reach the dialect, and their response has no request id.
        if answer.status >= 400 && answer.headers.contains_key("x-request-id") {
            (self.refused)(answer);
        }
    }
}

/// How many values a property test draws for each place in a request.
const CASES: usize = 48;

/// Every generated value contains this mark. The server's own texts do not contain it.
const MARK: &str = "zQ7xK9wV";

on_both! {
    no_body_gives_a_fault_or_comes_back,
    no_json_gives_a_fault_or_comes_back,
    no_byte_in_any_parameter_gives_a_fault_or_comes_back,
    no_query_gives_a_fault_or_comes_back,
    no_authorization_gives_a_fault_or_comes_back,
    no_presented_token_gives_a_fault_or_comes_back,
    no_header_or_path_gives_a_fault_or_comes_back,
    no_request_line_stops_the_server,
}

/// Values drawn from `strategy`, different ones in each run. A failure prints the value that caused
/// it.
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
    (prop::collection::vec(any::<u8>(), 0..most), 0..most)
        .prop_map(move |(bytes, at)| marked(bytes, at))
}

/// Percent-encodes every byte, so that any byte arrives.
fn percent(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, b| text + &format!("%{b:02X}"))
}

/// Demands a status below 500, and a response that repeats nothing that the client sent.
#[track_caller]
fn is_no_fault(answer: &Answer, sent: &dyn std::fmt::Debug) {
    assert!((200..500).contains(&answer.status), "{sent:?}: {answer:?}");
    let told = format!("{:?} {}", answer.headers, answer.body);
    assert!(!told.contains(MARK), "{sent:?}: {answer:?}");
}

/// Demands what holds for every response of the other paths.
#[track_caller]
fn holds(answer: &Answer, sent: &dyn std::fmt::Debug) {
    is_no_fault(answer, sent);
    if answer.status >= 400 && !answer.body.is_empty() {
        let body = answer.json();
        let member = if body.get("error").is_some() {
            "error"
        } else {
            "code"
        };
        assert!(body[member].is_string(), "{sent:?}: {answer:?}");
        if member == "error" {
            answer.keeps_to_the_alphabet();
        }
        answer.is_not_kept();
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn sized(media_type: &str, body: &[u8]) -> Vec<u8> {
    format!(
        "content-type: {media_type}\r\ncontent-length: {}\r\n",
        body.len()
    )
    .into_bytes()
}

async fn no_body_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    // The bytes also follow valid parameters, so that code behind the parser sees them too.
    let form = format!("grant_type=client_credentials&{}&token=", agent.form());
    let json = agent.json().replace('}', ",");
    for body in drawn(&bytes(300)) {
        for path in [INTROSPECT, REVOKE] {
            for body in [body.clone(), [form.as_bytes(), &body].concat()] {
                holds(
                    &app.raw_post(path, &sized(FORM, &body), &body)
                        .await
                        .unwrap(),
                    &body,
                );
            }
        }
        for dialect in &DIALECTS {
            for (media_type, start) in [(FORM, ""), (FORM, &*form), (JSON, ""), (JSON, &*json)] {
                let body = [start.as_bytes(), &body].concat();
                let answer = app
                    .raw_post(dialect.path, &sized(media_type, &body), &body)
                    .await
                    .unwrap();
                dialect.holds(&answer, &body);
                assert!(
                    media_type == FORM || answer.status >= 400,
                    "{body:?}: {answer:?}"
                );
            }
        }
    }
}

/// JSON of any shape. Every text in it ends with the mark.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let text = || ".{0,20}".prop_map(|text: String| text + MARK);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(40, 60, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map(text(), inner, 0..3)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Every known parameter, and the whole body, as every kind of JSON value.
async fn no_json_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let credentials = agent.json();
    for (i, value) in drawn(&documents()).chain(drawn(&documents())).enumerate() {
        for dialect in DIALECTS.iter().filter(|dialect| dialect.json) {
            let name = dialect.names[i % dialect.names.len()];
            let mut members = serde_json::from_str::<serde_json::Value>(&credentials).unwrap();
            members[name] = value.clone();
            let twice = credentials.replacen('{', &format!("{{\"{name}\":{value},"), 1);
            for body in [value.to_string(), members.to_string(), twice] {
                dialect.holds(&app.post_json(dialect.path, &body).await, &body);
            }
        }
    }
}

/// A form in which one parameter has this value.
fn form_with(dialect: &Dialect, agent: &Agent, name: &str, value: &str) -> String {
    let (form, grant) = (agent.form(), dialect.with);
    match name {
        "grant_type" => format!("grant_type={value}&{form}"),
        "client_id" => format!("{grant}&client_id={value}&client_secret={}", agent.secret),
        "client_secret" => format!("{grant}&client_id={}&client_secret={value}", agent.id),
        name => format!("{grant}&{form}&{name}={value}"),
    }
}

/// Item 22: every single byte once, and random runs of them.
async fn no_byte_in_any_parameter_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let single = (0..=u8::MAX).map(|byte| [MARK.as_bytes(), &[byte]].concat());
    for (i, value) in single.chain(drawn(&bytes(80))).enumerate() {
        for dialect in &DIALECTS {
            let name = dialect.names[i % dialect.names.len()];
            let body = form_with(dialect, &agent, name, &percent(&value));
            // A valid audience comes back only inside the token, which is base64.
            dialect.holds(&app.post(dialect.path, &body).await, &body);
            if dialect.json {
                let member =
                    serde_json::json!({ name: String::from_utf8_lossy(&value) }).to_string();
                let rest = agent.json().replace(&format!("\"{name}\""), "\"x\"");
                let body = format!("{},{}", member.trim_end_matches('}'), &rest[1..]);
                dialect.holds(&app.post_json(dialect.path, &body).await, &body);
            }
        }
    }
}

async fn no_query_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read").await;
    let token = bearer(&app.token(&agent).await);
    for value in drawn(&bytes(60)) {
        let value = percent(&value);
        for name in ["limit", "cursor", "x"] {
            holds(
                &app.get_as(&token, &format!("{AGENTS}?{name}={value}"))
                    .await,
                &value,
            );
        }
        holds(&app.get(&format!("{REVOKED}?{value}")).await, &value);
        for query in ["scope=", "audience=", ""] {
            holds(
                &app.get_as(&token, &format!("/forward-auth/{value}?{query}{value}"))
                    .await,
                &value,
            );
        }
        for (dialect, name) in DIALECTS
            .iter()
            .flat_map(|one| ["client_id", "scope", "x"].map(|n| (one, n)))
        {
            let path = format!("{}?{name}={value}", dialect.path);
            let body = format!("grant_type=client_credentials&{}", agent.form());
            dialect.holds(&app.post(&path, &body).await, &value);
        }
    }
    // These values are not percent-encoded.
    for value in drawn(&"[!-~&&[^#]]{0,40}") {
        let head =
            format!("GET {AGENTS}?{value}{MARK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        holds(&app.raw(head.as_bytes()).await.unwrap(), &value);
    }
}

async fn no_authorization_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let grant = b"grant_type=client_credentials&token=x";
    for value in drawn(&bytes(120)) {
        let text = String::from_utf8_lossy(&value).into_owned();
        for authorization in &[basic(&text, &text), raw_basic(&value)] {
            for dialect in &DIALECTS {
                let answer = app
                    .post_as(authorization, dialect.path, "grant_type=client_credentials")
                    .await;
                dialect.holds(&answer, &value);
            }
            holds(
                &app.post_as(authorization, INTROSPECT, "token=x").await,
                &value,
            );
            holds(&app.get_as(authorization, AGENTS).await, &value);
            holds(&app.get_as(authorization, "/forward-auth").await, &value);
        }
        for scheme in ["Basic ", "Bearer ", ""] {
            // The raw bytes, without CR and LF, which would start another header field.
            let line: Vec<u8> = value
                .iter()
                .copied()
                .filter(|b| !b"\r\n".contains(b))
                .collect();
            let line = [b"authorization: ", scheme.as_bytes(), &line, b"\r\n"].concat();
            let head = [line.clone(), sized(FORM, grant)].concat();
            for dialect in &DIALECTS {
                if let Some(answer) = app.raw_post(dialect.path, &head, grant).await {
                    dialect.holds(&answer, &value);
                }
            }
            if let Some(answer) = app.raw_post(INTROSPECT, &head, grant).await {
                holds(&answer, &value);
            }
        }
    }
}

async fn no_presented_token_gives_a_fault_or_comes_back(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    let authorization = agent.basic();
    let mut presented: Vec<String> = drawn(&bytes(200))
        // Parameters that are not UTF-8 are refused before the token is read.
        .map(|bytes| percent(String::from_utf8_lossy(&bytes).as_bytes()))
        .collect();
    // Tokens with characters inserted or replaced, and tokens that are cut off.
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
        app.post_as(&authorization, REVOKE, &body)
            .await
            .is(200, "{}");
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
        holds(
            &app.get_as(&token, &format!("{AGENTS}/{encoded}")).await,
            &value,
        );
        holds(&app.get(&format!("/{encoded}")).await, &value);
        let line: Vec<u8> = value
            .iter()
            .copied()
            .filter(|b| !b"\r\n".contains(b))
            .collect();
        for name in [
            "x-request-id",
            "content-type",
            "if-none-match",
            "user-agent",
            "cookie",
            "accept",
        ] {
            // The mark alone would be a valid request id, which the response repeats. The comma
            // prevents that.
            let line = [name.as_bytes(), b": ", &line, b" ,\r\n"].concat();
            for dialect in &DIALECTS {
                if let Some(answer) = app.raw_post(dialect.path, &line, b"").await {
                    dialect.holds(&answer, &value);
                }
            }
        }
    }
}

/// Bytes that are not HTTP end only their own connection.
async fn no_request_line_stops_the_server(app: &TestApp<'_>) {
    for value in drawn(&bytes(200)) {
        let request = [&value, b"\r\n\r\n".as_slice()].concat();
        if let Some(answer) = app.raw(&request).await {
            assert!((400..500).contains(&answer.status), "{value:?}: {answer:?}");
        }
    }
    assert_eq!(app.get("/readyz").await.status, 200);
}
