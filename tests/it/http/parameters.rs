//! Which parameters each path knows, and which forms of a known parameter are refused. The tests
//! cover every path that reads parameters.

use super::{airisk, on_both};
use crate::harness::answer::Answer;
use crate::harness::app::{
    AGENTS, Agent, INTROSPECT, OAUTH_TOKEN, REVOKE, TOKEN, TestApp, bearer, encode, raw_basic,
};

on_both! {
    a_known_parameter_is_refused_by_name_when_it_is_repeated,
    a_known_name_with_brackets_is_that_name_and_refused,
    a_known_parameter_in_the_query_of_a_post_is_refused_whatever_the_body_holds,
    what_a_path_does_not_know_is_ignored_however_it_is_written,
    a_scope_in_the_query_or_in_brackets_never_becomes_all_scopes,
    an_empty_authorization_header_is_none,
    several_empty_authorization_headers_are_none_too,
    half_of_the_credentials_is_a_client_that_failed,
    without_credentials_and_bearer_both_are_asked_for,
}

const BOTH: [&str; 2] = [INTROSPECT, REVOKE];
const ASKING: [&str; 3] = [INTROSPECT, REVOKE, "/oauth/revoke"];

#[derive(Clone, Copy, PartialEq)]
enum Sent {
    Form,
    Json,
    /// In the query of a GET request.
    Query,
}

/// A path that reads parameters: the parameters of a valid request, and all that the path knows.
struct Place {
    path: &'static str,
    sent: Sent,
    given: Vec<(&'static str, String)>,
    known: Vec<&'static str>,
}

const MAY_REPEAT: [&str; 2] = ["audience", "resource"];

fn places(agent: &Agent) -> Vec<Place> {
    let client = [
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    ];
    let proof = || {
        vec![
            ("client_id", agent.id.clone()),
            ("client_secret", agent.secret.clone()),
        ]
    };
    let with = |more: &[(&'static str, &str)]| {
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        proof().into_iter().chain(more).collect::<Vec<_>>()
    };
    let grant = ["grant_type", "scope", "audience", "resource"];
    let code = ["code", "redirect_uri", "userid", "code_verifier"];
    let exchange = [("code", "x"), ("redirect_uri", airisk::CALLBACK)];
    let ask = [("grant_type", "client_credentials")];
    let place = |path, sent, given: &[(&'static str, &str)], known: &[&[&'static str]]| Place {
        path,
        sent,
        given: with(given),
        known: [&[&client[..]], known].concat().concat(),
    };
    let mut places = vec![place(TOKEN, Sent::Form, &ask, &[&grant])];
    for sent in [Sent::Form, Sent::Json] {
        places.push(place(OAUTH_TOKEN, sent, &ask, &[&grant]));
        places.push(place(airisk::EXCHANGE, sent, &exchange, &[&grant, &code]));
    }
    for path in ASKING {
        let known = ["token", "token_type_hint", "access_token"];
        places.push(place(path, Sent::Form, &[("token", "x")], &[&known]));
    }
    places.push(Place {
        path: airisk::AUTHORIZE,
        sent: Sent::Query,
        given: vec![
            ("client_id", agent.id.clone()),
            ("redirect_uri", airisk::CALLBACK.to_owned()),
        ],
        known: vec![
            "client_id",
            "redirect_uri",
            "state",
            "userid",
            "code_challenge",
            "code_challenge_method",
        ],
    });
    places
}

impl Place {
    /// Sends the parameters of a valid request and `more`, with `query` in the URI.
    async fn ask(
        &self,
        app: &TestApp<'_>,
        token: &str,
        more: &[(&str, &str)],
        query: &str,
    ) -> Answer {
        let given = self
            .given
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let all: Vec<(&str, &str)> = given.chain(more.iter().copied()).collect();
        let form = all
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let form = form.collect::<Vec<_>>().join("&");
        let path = format!(
            "{}{}{query}",
            self.path,
            if query.is_empty() { "" } else { "?" }
        );
        match self.sent {
            Sent::Form => app.post(&path, &form).await,
            Sent::Json => {
                let members = all
                    .iter()
                    .map(|(name, value)| format!("{name:?}:{value:?}"));
                app.post_json(
                    &path,
                    &format!("{{{}}}", members.collect::<Vec<_>>().join(",")),
                )
                .await
            }
            Sent::Query => {
                app.get_as(&bearer(token), &format!("{}?{form}", self.path))
                    .await
            }
        }
    }

    /// Demands a 400 in the path's own shape that names the parameter.
    #[track_caller]
    fn refuses(&self, answer: &Answer, name: &str, how: &str) {
        let what = format!("{} {how}: {answer:?}", self.path);
        assert_eq!(answer.status, 400, "{what}");
        if [airisk::AUTHORIZE, airisk::EXCHANGE].contains(&self.path) {
            assert_eq!(answer.body, format!("Invalid {name}"), "{what}");
            return;
        }
        let body = answer.json();
        if self.path == OAUTH_TOKEN {
            assert_eq!(body["error"]["code"], "VALIDATION_ERROR", "{what}");
        } else {
            assert_eq!(body["error"], "invalid_request", "{what}");
        }
        let text = body["message"]
            .as_str()
            .or(body["error_description"].as_str())
            .unwrap();
        assert!(
            text.starts_with(&format!("The {name} parameter ")),
            "{what}"
        );
    }
}

async fn caller(app: &TestApp<'_>) -> (Agent, String) {
    let agent = airisk::agent_for(app, "agents:read tokens:read", &["user_42"]).await;
    let token = app.token(&agent).await;
    (agent, token)
}

/// D14, RFC 6749 §3.2: the second value may be the same or empty, and the path may use the
/// parameter or not.
async fn a_known_parameter_is_refused_by_name_when_it_is_repeated(app: &TestApp<'_>) {
    let (agent, token) = caller(app).await;
    for place in places(&agent) {
        for name in place
            .known
            .iter()
            .copied()
            .filter(|name| !MAY_REPEAT.contains(name))
        {
            let given = place
                .given
                .iter()
                .find(|(given, _)| *given == name)
                .map(|(_, value)| value.as_str());
            for (one, other) in [("x", "x"), ("", "x"), ("x", ""), ("", "")] {
                let twice = [(name, given.unwrap_or(one)), (name, other)];
                let more = if given.is_some() {
                    &twice[1..]
                } else {
                    &twice[..]
                };
                let answer = place.ask(app, &token, more, "").await;
                place.refuses(&answer, name, &format!("{name} twice"));
            }
        }
    }
}

/// D14: PHP and several HTTP clients write a list with brackets.
async fn a_known_name_with_brackets_is_that_name_and_refused(app: &TestApp<'_>) {
    let (agent, token) = caller(app).await;
    for place in places(&agent) {
        for name in &place.known {
            for brackets in ["[]", "[0]", "[a]", "[", "[]["] {
                let bracketed = format!("{name}{brackets}");
                for value in ["agents:read", ""] {
                    let answer = place.ask(app, &token, &[(&bracketed, value)], "").await;
                    place.refuses(&answer, name, &bracketed);
                }
            }
        }
    }
}

/// D14, fault Q2: if the server ignored a scope in the query, the token would get all scopes.
async fn a_known_parameter_in_the_query_of_a_post_is_refused_whatever_the_body_holds(
    app: &TestApp<'_>,
) {
    let (agent, token) = caller(app).await;
    for place in places(&agent)
        .iter()
        .filter(|place| place.sent != Sent::Query)
    {
        for name in place.known.iter().copied().chain(["code", "token"]) {
            for query in [
                format!("{name}=agents:read"),
                format!("{name}="),
                name.to_owned(),
                format!("{name}[]=x"),
                format!("{name}%5B0%5D=x"),
                format!("x=y&{}=x", name.replace('_', "%5F")),
            ] {
                place.refuses(&place.ask(app, &token, &[], &query).await, name, &query);
                if !place.given.iter().any(|(given, _)| *given == name) {
                    let both = place.ask(app, &token, &[(name, "x")], &query).await;
                    assert_eq!(both.status, 400, "{} {query}: {both:?}", place.path);
                }
            }
        }
    }
}

async fn what_a_path_does_not_know_is_ignored_however_it_is_written(app: &TestApp<'_>) {
    let (agent, token) = caller(app).await;
    for place in places(&agent) {
        let plain = place.ask(app, &token, &[], "").await;
        let odd = [
            ("foo", "1"),
            ("foo", "2"),
            ("foo[]", "3"),
            ("[]", "4"),
            ("[scope]", "5"),
            ("Scope[]", "6"),
        ];
        let more = place
            .ask(app, &token, &odd, "foo=1&foo=2&foo[]=3&[scope]=4")
            .await;
        assert_eq!(plain.status, more.status, "{}: {more:?}", place.path);
        assert_ne!(more.body, "Invalid request", "{}: {more:?}", place.path);
    }
}

/// This was seen: a request with Basic, and only the grant in the body, got a token with all
/// scopes.
async fn a_scope_in_the_query_or_in_brackets_never_becomes_all_scopes(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read").await;
    let basic = agent.basic();
    for path in [TOKEN, OAUTH_TOKEN] {
        for (query, body) in [
            ("?scope=agents:read", "grant_type=client_credentials"),
            ("?scope[]=agents:read", "grant_type=client_credentials"),
            ("", "grant_type=client_credentials&scope[]=agents:read"),
            ("", "grant_type=client_credentials&scope%5B%5D=agents:read"),
            (
                "",
                "grant_type=client_credentials&scope=agents:read&scope[]=tokens:read",
            ),
        ] {
            let answer = app.post_as(&basic, &format!("{path}{query}"), body).await;
            assert_eq!(answer.status, 400, "{path}{query} {body}: {answer:?}");
        }
    }
    let form = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", basic.as_str()),
    ];
    let empty = app
        .send(
            "POST",
            &format!("{OAUTH_TOKEN}?scope=agents:read"),
            &form,
            vec![],
        )
        .await;
    assert_eq!(empty.status, 400, "{empty:?}");
    let json = [
        ("content-type", "application/json"),
        ("authorization", basic.as_str()),
    ];
    for body in [
        r#"{"scope[]":"agents:read"}"#,
        r#"{"scope[]":["agents:read"]}"#,
        r#"{"scope":["agents:read"]}"#,
    ] {
        let answer = app.send("POST", OAUTH_TOKEN, &json, body.into()).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
}

/// D15: a client whose variable is unset sends an empty header beside the credentials in its form.
async fn an_empty_authorization_header_is_none(app: &TestApp<'_>) {
    let (agent, token) = caller(app).await;
    for empty in ["", " ", "\t "] {
        for place in places(&agent)
            .iter()
            .filter(|place| place.sent == Sent::Form)
        {
            let form = place
                .given
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)));
            let form = form.collect::<Vec<_>>().join("&");
            let (with, without) = (
                app.post_as(empty, place.path, &form).await,
                app.post(place.path, &form).await,
            );
            assert_eq!(
                with.status, without.status,
                "{} {empty:?}: {with:?}",
                place.path
            );
            if place.path != airisk::EXCHANGE {
                assert_eq!(with.status, 200, "{with:?}");
            }
            let nothing = (
                app.post_as(empty, place.path, "token=x&code=x&redirect_uri=x")
                    .await,
                app.post(place.path, "token=x&code=x&redirect_uri=x").await,
            );
            assert_eq!(nothing.0.status, nothing.1.status, "{nothing:?}");
            let challenges = |answer: &Answer| answer.headers.get("www-authenticate").cloned();
            assert_eq!(
                challenges(&nothing.0),
                challenges(&nothing.1),
                "{nothing:?}"
            );
        }
        for path in ["/forward-auth", AGENTS] {
            let (with, without) = (app.get_as(empty, path).await, app.get(path).await);
            assert_eq!(with.status, 401, "{with:?}");
            assert_eq!(
                with.header("www-authenticate"),
                without.header("www-authenticate")
            );
        }
    }
    // A scheme without credentials counts as an attempt to authenticate.
    for scheme in ["Basic ", "Basic", &raw_basic(""), "Digest"] {
        let body = format!("grant_type=client_credentials&{}", agent.form());
        app.post_as(scheme, TOKEN, &body)
            .await
            .is_error(400, "invalid_request");
        for path in BOTH {
            let body = format!("token={token}&{}", agent.form());
            app.post_as(scheme, path, &body)
                .await
                .is_error(400, "invalid_request");
        }
    }
}

/// Several empty header fields count as absent, as a single one does. Beside a header field with a
/// value, each empty one is a second header field, which is refused.
async fn several_empty_authorization_headers_are_none_too(app: &TestApp<'_>) {
    let (agent, token) = caller(app).await;
    let proof = bearer(&token);
    let send = async |method: &str, path: &str, values: &[&str], body: &str| {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers =
            std::iter::once(kind).chain(values.iter().map(|value| ("authorization", *value)));
        app.send(method, path, &headers.collect::<Vec<_>>(), body.into())
            .await
    };
    let challenge = |answer: &Answer| answer.headers.get("www-authenticate").cloned();
    for place in places(&agent)
        .iter()
        .filter(|place| place.sent == Sent::Form)
    {
        let form = place
            .given
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)));
        let form = form.collect::<Vec<_>>().join("&");
        for empty in [&["", ""][..], &["", " ", "\t"]] {
            for body in [&form, "token=x&code=x&redirect_uri=x"] {
                let many = send("POST", place.path, empty, body).await;
                let none = send("POST", place.path, &[], body).await;
                assert_eq!(
                    (many.status, challenge(&many)),
                    (none.status, challenge(&none)),
                    "{}",
                    place.path
                );
            }
        }
        for beside in [&["", &*proof][..], &[&proof, ""], &["", "", &proof]] {
            let answer = send("POST", place.path, beside, &form).await;
            assert_eq!(answer.status, 400, "{} {beside:?}: {answer:?}", place.path);
        }
    }
    for path in ["/forward-auth", "/forward-auth/below", AGENTS] {
        let (many, none) = (
            send("GET", path, &["", ""], "").await,
            send("GET", path, &[], "").await,
        );
        assert_eq!(
            (many.status, challenge(&many)),
            (401, challenge(&none)),
            "{path}"
        );
        for beside in [&["", &*proof][..], &[&proof, ""], &["", "", &proof]] {
            assert_eq!(
                send("GET", path, beside, "").await.status,
                400,
                "{path} {beside:?}"
            );
        }
    }
}

/// Contract §3: half of the credentials without a Bearer token is a failed client authentication.
async fn half_of_the_credentials_is_a_client_that_failed(app: &TestApp<'_>) {
    let (agent, token) = caller(app).await;
    for path in ASKING {
        for half in [
            format!("client_id={}", agent.id),
            format!("client_id={}&client_secret=", agent.id),
            format!("client_secret={}", agent.secret),
            format!("client_id=&client_secret={}", agent.secret),
            "client_id=nobody".to_owned(),
            format!("client_id={}&client_assertion=x", agent.id),
            "client_assertion=x".to_owned(),
        ] {
            let answer = app.post(path, &format!("token={token}&{half}")).await;
            answer
                .is(401, super::token::INVALID_CLIENT)
                .is_error(401, "invalid_client");
            assert!(
                answer.header("www-authenticate").starts_with("Basic "),
                "{answer:?}"
            );
        }
        // Beside a Bearer token, an id alone has no effect.
        let answer = app
            .post_as(
                &bearer(&token),
                path,
                &format!("token=x&client_id={}", agent.id),
            )
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(app.is_active(&agent, &token).await);
}

/// Item 36; RFC 6750 §3.1, contract §3.
async fn without_credentials_and_bearer_both_are_asked_for(app: &TestApp<'_>) {
    for path in ASKING {
        for body in [
            "token=x",
            "token=x&client_id=",
            "token=x&client_id=&client_secret=",
        ] {
            let answer = app.post(path, body).await;
            assert_eq!(
                (answer.status, answer.text("error")),
                (401, "invalid_token".to_owned())
            );
            assert_eq!(
                answer.keys(),
                ["error", "error_description", "code", "message"]
            );
            let challenges = answer.headers.get_all("www-authenticate").iter();
            let challenges: Vec<&str> = challenges.map(|value| value.to_str().unwrap()).collect();
            assert_eq!(
                challenges,
                [
                    "Bearer realm=\"sealwright\"",
                    "Basic realm=\"sealwright\", charset=\"UTF-8\""
                ]
            );
        }
    }
    // Endpoints that accept only a Bearer token challenge only for that.
    for path in ["/forward-auth", AGENTS] {
        assert_eq!(
            app.get(path).await.header("www-authenticate"),
            "Bearer realm=\"sealwright\""
        );
    }
}
