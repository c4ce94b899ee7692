//! Requests by route.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;

use super::{Metrics, Route, RouteLabel};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct HttpLabels {
    method: &'static str,
    route: Route,
    status: u32,
}

impl Metrics {
    /// Counts a request. `route` is the router's own; `None` if there is none.
    pub(crate) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let route = Route(route.unwrap_or("none").to_owned());
        let method = match method.as_str() {
            "GET" | "HEAD" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            "DELETE" => "DELETE",
            _ => "other",
        };
        let labels = HttpLabels { method, route: route.clone(), status: status.as_u16().into() };
        self.http_requests.get_or_create(&labels).inc();
        self.http_duration.get_or_create(&RouteLabel { route }).observe(took.as_secs_f64());
    }
}
