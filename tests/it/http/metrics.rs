//! `/metrics`: what is served is what the page `docs/watching.md` lists, and the gauges tell what is.

use std::collections::{BTreeMap, BTreeSet};

use sealwright::testing::app::loops;
use sealwright::testing::service::key_rotation::RotationMode;
use sealwright::testing::tasks::Loop;

use super::on_both;
use super::secrets::Counts;
use crate::harness::app::{REVOKE, TOKEN, TestApp};
use crate::journal::kit::{ledger, log_all};

on_both! {
    the_page_lists_every_metric_that_is_served_and_no_other,
    every_series_of_a_route_exists_before_it_is_asked,
    the_gauges_tell_what_the_process_has_in_memory,
    agents_near_the_end_of_their_quota_are_counted,
}

const PAGE: &str = "docs/watching.md";

/// The kind and the labels of each metric.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

async fn scrape(app: &TestApp<'_>) -> String {
    let answer = app
        .send_to(app.ops_address, "GET", "/metrics", &[], vec![])
        .await;
    assert_eq!(answer.status, 200);
    answer.body
}

/// The metrics that this text has.
fn served(text: &str) -> Families {
    let mut families = Families::new();
    for line in text.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            families.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, _)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| {
                name.strip_suffix(end)
                    .filter(|name| families.contains_key(*name))
            })
            .unwrap_or(name);
        let labels = labels
            .split("\",")
            .filter_map(|label| label.split_once('='));
        families
            .get_mut(family)
            .unwrap_or_else(|| panic!("{line} has no type"))
            .1
            .extend(
                labels
                    .map(|(label, _)| label.to_owned())
                    .filter(|label| label != "le"),
            );
    }
    families
}

/// The metrics that the page lists.
fn listed() -> Families {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/watching.md");
    let text = std::fs::read_to_string(page).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix('`')?;
            let (kind, labels) = (cells.next()?, cells.next()?);
            let is_metric = ["counter", "gauge", "histogram"].contains(&kind);
            let labels = labels.split("; ").filter_map(|label| {
                let (label, _) = label.split_once(':')?;
                Some(label.trim_matches('`').to_owned())
            });
            is_metric.then(|| (name.to_owned(), (kind.to_owned(), labels.collect())))
        })
        .collect()
}

async fn the_page_lists_every_metric_that_is_served_and_no_other(app: &TestApp<'_>) {
    let (served, listed) = (served(&scrape(app).await), listed());
    assert!(listed.len() > 40, "{PAGE} lists {}", listed.len());
    assert_eq!(listed, served);
}

async fn every_series_of_a_route_exists_before_it_is_asked(app: &TestApp<'_>) {
    let text = scrape(app).await;
    let has = |route: &str, status: u16, reason: &str| {
        let series = format!(
            "sealwright_http_requests_total{{route=\"{route}\",status=\"{status}\",reason=\"{reason}\"}} "
        );
        assert!(text.contains(&series), "{series}");
    };
    for route in [TOKEN, "/oauth/token", "/api/oauth2/Token"] {
        has(route, 200, "none");
        has(route, 401, "wrong_secret");
        has(route, 403, "quota");
        has(route, 429, "rate");
        has(route, 503, "unavailable");
    }
    has("/api/v1/agents/{id}/credentials", 201, "none");
    has("/api/v1/agents/{id}", 412, "conflict");
    has("/.well-known/jwks.json", 200, "none");
    has("unknown", 404, "not_found");
    for (series, labels) in [
        ("http_request_duration_seconds", "route=\"/api/v1/agents\""),
        ("token_duration_seconds", "dialect=\"oculus_orum\""),
    ] {
        let series = format!("sealwright_{series}_bucket{{{labels},le=\"0.5\"}} ");
        assert!(text.contains(&series), "{series}");
    }
}

fn named(loops: &mut [Loop], name: &str) -> usize {
    loops.iter().position(|one| one.name == name).unwrap()
}

async fn the_gauges_tell_what_the_process_has_in_memory(app: &TestApp<'_>) {
    let counts = Counts::here();
    let mut loops = loops::loops(&app.config, &app.opened, &app.state).unwrap();
    let turn = named(&mut loops, "metrics");
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.post_as(&agent.basic(), REVOKE, &format!("token={token}"))
        .await;
    let stopped = app.agent("tokens:read").await;
    app.suspend(&stopped).await;
    app.state.list.read_changes().await.unwrap();
    app.state.list.current();
    app.clock.advance(30);
    (loops[turn].step)().await;
    let text = counts.text();
    let value = |series: &str| -> f64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("sealwright_{series} ")));
        line.unwrap_or_else(|| panic!("{series} is missing in {text}"))
            .parse()
            .unwrap()
    };
    let is = |series: &str, expected: f64| {
        assert!(
            (value(series) - expected).abs() < 0.01,
            "{series} is {}",
            value(series)
        );
    };
    is("revocation_list_entries{kind=\"token\"}", 1.0);
    is("revocation_list_entries{kind=\"agent\"}", 1.0);
    assert!(value("revocation_list_version") >= 2.0);
    assert!(value("revocation_list_bytes") > 80.0);
    is("revocation_list_age_seconds", 30.0);
    is("signing_keys{state=\"signing\"}", 1.0);
    is("signing_keys{state=\"announced\"}", 0.0);
    is("signing_key_age_seconds", 30.0);
    assert!(value("next_key_rotation_seconds").is_infinite());
    is("store_queue{queue=\"tokens\"}", 0.0);
    is("hash_queue{lane=\"own\"}", 0.0);
    is("clock_ahead_seconds", 0.0);
    let lane = if text.contains("lane=\"issue\"") {
        "issue"
    } else {
        "write"
    };
    let open = |state| {
        value(&format!(
            "store_connections{{lane=\"{lane}\",state=\"{state}\"}}"
        ))
    };
    assert!(open("idle") + open("used") >= 1.0, "{text}");
    app.opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap();
    (loops[turn].step)().await;
    let text = counts.text();
    assert!(
        text.contains("sealwright_signing_keys{state=\"announced\"} 1"),
        "{text}"
    );
    let next = format!(
        "sealwright_next_key_rotation_seconds {}",
        app.config.keys.announce_seconds
    );
    assert!(text.contains(&next), "{text}");
}

async fn agents_near_the_end_of_their_quota_are_counted(app: &TestApp<'_>) {
    let counts = Counts::here();
    let mut loops = loops::loops(&app.config, &app.opened, &app.state).unwrap();
    let turn = named(&mut loops, "agents near their quota");
    let mut ledger = ledger(app);
    let (near, far, gone) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    for agent in [&near, &far, &gone] {
        app.token(agent).await;
    }
    app.set_used(&near, 7_999).await;
    app.set_used(&far, 7_998).await;
    app.set_used(&gone, 9_000).await;
    for agent in [&near, &far, &gone] {
        app.token(agent).await;
    }
    log_all(app, &mut ledger).await;
    let is = |expected: u32| {
        let line = format!("sealwright_agents_near_quota {expected}\n");
        let text = counts.text();
        assert!(text.contains(&line), "{line}{text}");
    };
    (loops[turn].step)().await;
    is(2);
    app.decommission(&gone).await;
    (loops[turn].step)().await;
    is(1);
    // In the next month nothing is used yet.
    app.clock.advance(86_400);
    (loops[turn].step)().await;
    is(0);
}
