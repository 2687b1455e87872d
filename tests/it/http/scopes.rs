//! Which scope opens which route of the management API: the whole matrix, made from the table of
//! routes.

use sealwright::testing::domain::scope::BUILT_IN;
use sealwright::testing::http::manage::MANAGE_ROUTES;

use super::on_both;
use crate::harness::app::{TestApp, bearer};

on_both! {
    a_route_is_opened_by_its_own_scope_and_by_no_other,
}

/// The scope that a row names, if it names one.
fn scope_of(opens: &str) -> Option<&str> {
    opens.split('"').nth(1)
}

async fn a_route_is_opened_by_its_own_scope_and_by_no_other(app: &TestApp<'_>) {
    let mut scopes = Vec::new();
    for (number, built_in) in BUILT_IN.iter().enumerate() {
        let agent = app
            .agent_named(&format!("agent-{number}"), built_in.name)
            .await;
        scopes.push((built_in.name, bearer(&app.token(&agent).await)));
    }
    let mut opened = 0;
    for route in MANAGE_ROUTES {
        let opens = format!("{:?}", route.opens);
        // What no event, agent, scope or file has as its name.
        let path = ["{id}", "{scope}", "{*file}"]
            .iter()
            .fold(route.path.to_owned(), |path, part| path.replace(part, "0"));
        let methods = route.methods.names();
        // Nothing is changed, so that the rows do not depend on one another.
        let path = if methods.contains(&"GET") {
            path
        } else {
            format!("{path}?dryRun=true")
        };
        app.send(methods[0], &path, &[], vec![])
            .await
            .is_management_error(401, "UNAUTHORIZED");
        for (scope, token) in &scopes {
            for method in methods {
                let headers = [("authorization", token.as_str())];
                let answer = app.send(method, &path, &headers, vec![]).await;
                let may = scope_of(&opens).is_none_or(|needed| needed == *scope);
                let refused = [401, 403].contains(&answer.status);
                assert_eq!(refused, !may, "{method} {path} with {scope}: {answer:?}");
                opened += u32::from(may && scope_of(&opens).is_some());
            }
        }
    }
    assert!(opened > 0);
    let audit = MANAGE_ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/v1/audit"));
    for route in audit {
        let opens = format!("{:?}", route.opens);
        assert_eq!(scope_of(&opens), Some("audit:read"), "{}", route.path);
    }
}
