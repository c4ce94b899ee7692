//! Which role each route needs.

use axum::http::Method;

use super::method_of;
use crate::auth::Role;

/// What a request must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Least {
    /// Nothing.
    Open,
    /// At least this role.
    Role(Role),
}

const OPEN: Least = Least::Open;
const LOOK: Least = Least::Role(Role::Viewer);
const WORK: Least = Least::Role(Role::Operator);
const RULE: Least = Least::Role(Role::Admin);

/// Method, route, and what it needs.
pub(crate) const TABLE: &[(&str, &str, Least)] = &[
    ("GET", "/health/live", OPEN),
    ("GET", "/", OPEN),
    ("GET", "/web/dashboard", OPEN),
    ("GET", "/web/dashboard/", OPEN),
    ("GET", "/web/dashboard/{*file}", OPEN),
    ("POST", "/login", OPEN),
    ("POST", "/logout", OPEN),
    ("GET", "/session", LOOK),
    ("GET", "/health", LOOK),
    ("GET", "/health/ready", LOOK),
    ("GET", "/status", LOOK),
    ("GET", "/stats", LOOK),
    ("GET", "/stats/pool", LOOK),
    ("GET", "/stats/schedules", LOOK),
    ("GET", "/stats/webhooks", LOOK),
    ("GET", "/capabilities", LOOK),
    ("GET", "/metrics", LOOK),
    ("GET", "/openapi.json", LOOK),
    ("GET", "/docs", LOOK),
    ("GET", "/events", LOOK),
    ("GET", "/jobs", LOOK),
    ("GET", "/jobs/{id}", LOOK),
    ("GET", "/jobs/{id}/events", LOOK),
    ("GET", "/jobs/{id}/logs", LOOK),
    ("GET", "/jobs/progress/{id}", LOOK),
    ("GET", "/jobs/logs/{id}", LOOK),
    ("GET", "/jobs/eta/{id}", LOOK),
    ("POST", "/jobs/query", LOOK),
    ("POST", "/jobs/submit", WORK),
    ("POST", "/jobs/validate", WORK),
    ("POST", "/jobs/cancel", WORK),
    ("POST", "/packages/verify", WORK),
    ("GET", "/limits", LOOK),
    ("PUT", "/limits", RULE),
    ("GET", "/orphans", LOOK),
    ("DELETE", "/orphans", RULE),
    ("DELETE", "/orphans/{id}", RULE),
    ("GET", "/packages", LOOK),
    ("GET", "/packages/{id}", LOOK),
    ("DELETE", "/packages/{id}", WORK),
    ("GET", "/vms", LOOK),
    ("GET", "/vms/list", LOOK),
    ("GET", "/vms/events", LOOK),
    ("GET", "/vms/{id}", LOOK),
    ("GET", "/schedules", LOOK),
    ("GET", "/schedules/{id}", LOOK),
    ("GET", "/schedules/{id}/runs", LOOK),
    ("GET", "/schedules/{id}/next", LOOK),
    ("GET", "/schedules/{id}/retention", LOOK),
    ("POST", "/schedules/{id}/retention", WORK),
    ("POST", "/schedules/preview", LOOK),
    ("POST", "/schedules/{id}/trigger", WORK),
    ("POST", "/schedules", RULE),
    ("PUT", "/schedules/{id}", RULE),
    ("DELETE", "/schedules/{id}", RULE),
    ("POST", "/schedules/{id}/enable", RULE),
    ("POST", "/schedules/{id}/disable", RULE),
    ("GET", "/webhooks", LOOK),
    ("GET", "/webhooks/{id}", LOOK),
    ("GET", "/webhooks/{id}/deliveries", LOOK),
    ("GET", "/webhooks/deliveries/{id}", LOOK),
    ("POST", "/webhooks", RULE),
    ("PUT", "/webhooks/{id}", RULE),
    ("DELETE", "/webhooks/{id}", RULE),
    ("POST", "/webhooks/{id}/test", WORK),
    ("POST", "/webhooks/{id}/resume", RULE),
    ("POST", "/webhooks/{id}/redeliver", WORK),
    ("POST", "/webhooks/deliveries/{id}/redeliver", WORK),
    ("GET", "/nodes", LOOK),
    ("POST", "/admin/pause", RULE),
    ("POST", "/admin/resume", RULE),
    ("GET", "/audit", RULE),
];

/// What the request needs; an administrator if nobody has said.
pub(super) fn least(method: &Method, path: &str) -> Least {
    let method = method_of(method);
    TABLE
        .iter()
        .find(|(known, route, _)| *known == method && *route == path)
        .map_or(RULE, |(_, _, least)| *least)
}
