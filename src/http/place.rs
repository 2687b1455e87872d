//! A path, the routes that it has (one for each method), and what is counted of its requests.
//!
//! Owns which answers a path is known to give, so that their series exist before the first request.
//! Must not know what a route does.

use crate::telemetry::metrics::RouteSeries;

use super::accepts::Reads;
use super::openapi::document::statuses;
use super::route::{Opens, Route};

/// The routes of one path.
pub(crate) struct Place {
    /// One for each method.
    pub routes: Vec<&'static Route>,
    /// What its requests are counted in.
    pub series: RouteSeries,
    /// Whether machines ask again and again how the server is.
    pub is_probe: bool,
}

/// What machines ask again and again.
const PROBES: [&str; 5] = [
    "/livez",
    "/readyz",
    "/readyz/verify",
    "/healthz",
    "/metrics",
];

impl Place {
    /// The place of these routes, which have one path. There must be at least one.
    pub(crate) fn new(routes: Vec<&'static Route>) -> Self {
        let path = routes.first().map_or("", |route| route.path);
        let mut known: Vec<(u16, &str)> = routes.iter().flat_map(|route| answers(route)).collect();
        known.extend([(405, "malformed"), (500, "fault"), (503, "unavailable")]);
        let dialect = routes.iter().find_map(|route| route.dialect);
        known.sort_unstable();
        known.dedup();
        Self {
            series: RouteSeries::new(path, known, dialect),
            is_probe: PROBES.contains(&path),
            routes,
        }
    }

    /// The place of paths that have no route.
    pub(crate) fn unknown(route: &'static Route) -> Self {
        Self {
            series: RouteSeries::new(route.path, [(404, "not_found")], None),
            routes: vec![route],
            is_probe: false,
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &'static str {
        self.routes.first().map_or("", |route| route.path)
    }
}

/// The answers that this route is known to give: each status with each of its reasons.
fn answers(route: &Route) -> Vec<(u16, &'static str)> {
    let (good, refused) = statuses(route);
    let good = good.into_iter().map(|status| (status, "none"));
    let refused = refused.into_iter().flat_map(|status| {
        let reasons = reasons(route, status);
        reasons.iter().map(move |reason| (status, *reason))
    });
    good.chain(refused).collect()
}

/// Why a request at this route is answered with this status.
fn reasons(route: &Route, status: u16) -> &'static [&'static str] {
    let proves_clients = route.opens == Opens::Protocol && route.reads != Reads::Relayed;
    match status {
        400 if proves_clients => &["malformed", "scope", "audience", "code"],
        400 | 405 | 408 | 413 | 415 => &["malformed"],
        401 if proves_clients => &["unknown_client", "wrong_secret", "no_credentials"],
        401 => &["no_credentials"],
        403 if proves_clients => &["suspended", "expired", "decommissioned", "scope", "quota"],
        403 => &["scope"],
        404 => &["not_found"],
        409 | 412 | 422 => &["conflict"],
        429 => &["rate"],
        503 => &["unavailable"],
        _ => &["fault"],
    }
}
