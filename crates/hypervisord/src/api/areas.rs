//! Which parts of the API this very daemon has.
//!
//! A client that shows a page for each asks here, rather than running into a 404. The answer comes from the router
//! itself, so it cannot be out of date.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use tokio::sync::OnceCell;
use tower::ServiceExt;

/// Each part, and a route that only it has.
const AREAS: [(&str, Method, &str); 8] = [
    ("jobs", Method::GET, "/jobs"),
    ("vms", Method::GET, "/vms"),
    ("validation", Method::POST, "/jobs/validate"),
    ("packages", Method::POST, "/packages/verify"),
    ("schedules", Method::GET, "/schedules"),
    ("webhooks", Method::GET, "/webhooks"),
    ("pool", Method::GET, "/stats/pool"),
    ("orphans", Method::GET, "/orphans"),
];

/// The parts there are, found out when somebody asks first.
#[derive(Debug, Clone)]
pub(super) struct Areas {
    routes: Router,
    found: Arc<OnceCell<Vec<&'static str>>>,
}

impl Areas {
    pub(super) fn of(routes: Router) -> Self {
        Areas { routes, found: Arc::default() }
    }

    /// Their names.
    pub(super) async fn names(&self) -> &[&'static str] {
        self.found
            .get_or_init(async || {
                let mut names = Vec::new();
                for (name, method, path) in &AREAS {
                    if self.answers(method, path).await {
                        names.push(*name);
                    }
                }
                names
            })
            .await
    }

    /// A method that nobody has is refused with those that the route has.
    async fn answers(&self, method: &Method, path: &str) -> bool {
        let unheard_of = Method::from_bytes(b"PROBE").expect("a token");
        let mut request = Request::new(Body::empty());
        *request.method_mut() = unheard_of;
        *request.uri_mut() = path.parse().expect("a path");
        let Ok(response) = self.routes.clone().oneshot(request).await;
        response.status() == StatusCode::METHOD_NOT_ALLOWED
            && response
                .headers()
                .get(header::ALLOW)
                .and_then(|allowed| allowed.to_str().ok())
                .is_some_and(|allowed| allowed.split(',').any(|allowed| allowed.trim() == method.as_str()))
    }
}
