//! `/forward-auth`: what a gateway may demand. A misspelt demand lets no request pass.

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{TestApp, bearer};

on_both! {
    on_the_path_itself_only_scope_and_audience_are_demanded,
    below_the_path_a_client_s_own_query_passes,
    a_header_that_nearly_names_a_demand_lets_nobody_in,
}

/// Asks with a raw request head, which a client library might refuse to send.
async fn ask(app: &TestApp<'_>, token: &str, target: &str, headers: &str) -> Answer {
    let head = format!(
        "GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {}\r\n{headers}\r\n",
        bearer(token)
    );
    app.raw(head.as_bytes()).await.unwrap()
}

const NEARLY: [&str; 16] = [
    "scopes=audit:read",
    "Scope=audit:read",
    "SCOPE=audit:read",
    "scope[]=audit:read",
    "scope[0]=audit:read",
    "scope%5B%5D=audit:read",
    "audiences=https://x",
    "Audience=https://x",
    "audience[]=https://x",
    "aud=https://x",
    "resource=https://x",
    "scope%20=audit:read",
    "required_scope=audit:read",
    "x=y",
    "=audit:read",
    "%ff=audit:read",
];

/// Fault Q14: a query that the server ignored would be a demand that is not enforced.
async fn on_the_path_itself_only_scope_and_audience_are_demanded(app: &TestApp<'_>) {
    let token = app.token(&app.agent("agents:read").await).await;
    for query in NEARLY {
        for query in [
            query.to_owned(),
            format!("scope=agents:read&{query}"),
            format!("{query}&scope="),
        ] {
            let answer = ask(app, &token, &format!("/forward-auth?{query}"), "").await;
            answer.is_error(400, "invalid_request");
            let text = answer.text("error_description");
            assert!(
                text.contains("scope") && text.contains("audience"),
                "{answer:?}"
            );
        }
    }
    for query in [
        "",
        "?",
        "?&",
        "?scope=agents:read",
        "?scope=agents:read&scope=",
        "?&audience=&",
    ] {
        assert_eq!(
            ask(app, &token, &format!("/forward-auth{query}"), "")
                .await
                .status,
            200,
            "{query}"
        );
    }
    // A request without a token gets 401 before its query is judged.
    for query in NEARLY {
        let head =
            format!("GET /forward-auth?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(
            app.raw(head.as_bytes()).await.unwrap().status,
            401,
            "{query}"
        );
    }
}

/// Envoy appends the client's own path and query to its `path_prefix`.
async fn below_the_path_a_client_s_own_query_passes(app: &TestApp<'_>) {
    let token = app.token(&app.agent("agents:read").await).await;
    for query in NEARLY {
        for path in ["/forward-auth/", "/forward-auth//", "/forward-auth/x/y"] {
            let answer = ask(
                app,
                &token,
                &format!("{path}?{query}"),
                "x-required-scope: agents:read\r\n",
            )
            .await;
            assert_eq!(answer.status, 200, "{path}?{query}: {answer:?}");
            let answer = ask(
                app,
                &token,
                &format!("{path}?{query}"),
                "x-required-scope: audit:read\r\n",
            )
            .await;
            assert_eq!(answer.status, 403, "{path}?{query}: {answer:?}");
        }
    }
}

async fn a_header_that_nearly_names_a_demand_lets_nobody_in(app: &TestApp<'_>) {
    let token = app.token(&app.agent("agents:read").await).await;
    for name in [
        "X_Required_Scope",
        "X-Require-Scope",
        "X.Required.Scope",
        "X-Required_Scope",
        "x_required-scope",
        "X-Required-Scopes",
        "X-Required-Audiences",
        "X_Required_Audience",
        "X-Required-Aud",
        "X-RequiredScope",
        "X-Required",
        "Required-Scope",
    ] {
        for path in ["/forward-auth", "/forward-auth/x"] {
            for value in ["audit:read", "agents:read", ""] {
                let answer = ask(app, &token, path, &format!("{name}: {value}\r\n")).await;
                answer.is_error(400, "invalid_request");
            }
        }
    }
    for name in [
        "X-REQUIRED-SCOPE",
        "x-required-scope",
        "X-Requires",
        "X-Scope",
        "X-Scopes",
        "X_Scopes",
    ] {
        let answer = ask(
            app,
            &token,
            "/forward-auth",
            &format!("{name}: agents:read\r\n"),
        )
        .await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}
