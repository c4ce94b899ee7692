//! The dashboard's files.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::harness::Harness;
use crate::api::Access;
use crate::auth::{Auth, AuthConfig, Role};

#[tokio::test]
async fn the_root_leads_to_the_dashboard_and_each_file_has_its_kind() {
    let harness = Harness::new().await;
    for path in ["/", "/web/dashboard"] {
        let answer = harness.get(path).await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers["location"], "/web/dashboard/");
    }
    for (path, kind) in [
        ("/web/dashboard/", "text/html; charset=utf-8"),
        ("/web/dashboard/login.html", "text/html; charset=utf-8"),
        ("/web/dashboard/app.js", "text/javascript; charset=utf-8"),
        ("/web/dashboard/style.css", "text/css; charset=utf-8"),
        ("/web/dashboard/icon.svg", "image/svg+xml"),
    ] {
        let answer = harness.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers["content-type"], kind, "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "same-origin");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for part in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "connect-src 'self'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
    }
    for path in ["/web/dashboard/nothing.js", "/web/dashboard/../Cargo.toml", "/web/dashboard/%2e%2e/lib.rs"]
    {
        let answer = harness.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_file_that_a_browser_has_is_not_sent_again() {
    let harness = Harness::new().await;
    let first = harness.get("/web/dashboard/app.js").await;
    assert_eq!(first.headers["cache-control"], "no-cache");
    let etag = first.headers["etag"].clone();
    let ask = |etag: &str| {
        Request::get("/web/dashboard/app.js").header("if-none-match", etag).body(Body::empty()).unwrap()
    };
    let again = harness.send(ask(etag.to_str().unwrap())).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(again.body, "");
    assert_eq!(again.headers["etag"], etag);
    assert_eq!(harness.send(ask("\"another\"")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_the_dashboard_the_api_is_left() {
    let harness = Harness::without_dashboard().await;
    for path in ["/", "/web/dashboard", "/web/dashboard/", "/web/dashboard/app.js"] {
        let answer = harness.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(harness.get("/jobs").await.status, StatusCode::OK);
    assert_eq!(harness.get("/capabilities").await.body["dashboard"], false);
}

#[tokio::test]
async fn whoever_has_to_log_in_is_sent_there_and_gets_the_files_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = AuthConfig {
        tokens_file: Some(directory.path().join("tokens.json")),
        htpasswd_file: None,
        default_role: Role::Viewer,
        session_lifetime: std::time::Duration::from_secs(3600),
        oidc: None,
    };
    let access = Access { auth: Some(Auth::open(&config).unwrap()), ..Access::open() };
    let harness = Harness::guarded(access).await;
    let answer = harness.get("/web/dashboard/").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers["location"], "/web/dashboard/login.html");
    for file in ["login.html", "login.js", "dom.js", "style.css"] {
        assert_eq!(harness.get(&format!("/web/dashboard/{file}")).await.status, StatusCode::OK, "{file}");
    }
}

#[tokio::test]
async fn the_capabilities_name_the_parts_that_the_router_has() {
    let harness = Harness::new().await;
    let body = harness.get("/capabilities").await.body;
    assert_eq!(body["dashboard"], true);
    let areas: Vec<&str> =
        body["areas"].as_array().unwrap().iter().filter_map(|area| area.as_str()).collect();
    for area in ["jobs", "vms", "packages"] {
        assert!(areas.contains(&area), "{areas:?}");
    }
    for (area, path) in [("schedules", "/schedules"), ("webhooks", "/webhooks"), ("pool", "/stats/pool")] {
        let is_there = harness.get(path).await.status != StatusCode::NOT_FOUND;
        assert_eq!(areas.contains(&area), is_there, "{area}");
    }
}
