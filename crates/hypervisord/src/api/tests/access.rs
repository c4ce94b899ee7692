//! Who may do what: every route, every role, and nobody.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use tower::ServiceExt;

use super::harness::{Answer, Harness};
use crate::api::Access;
use crate::api::access::{Least, TABLE};
use crate::auth::{Auth, AuthConfig, Role, tokens};

/// The router's routes, by method and path, as axum itself has them.
///
/// axum tells them by its `Debug` output only; if that changes, the assertions below say so.
pub(super) fn routes() -> BTreeSet<(String, String)> {
    let text = format!("{:?}", crate::api::routes());
    let (routes, paths) = text.split_once("node: Node { paths: {").expect("axum's Debug output");
    let mut found = BTreeSet::new();
    for part in paths.split("RouteId(").skip(1) {
        let (id, rest) = part.split_once("): \"").expect("an id and a path");
        let path = rest.split('"').next().expect("a path");
        let marker = format!("RouteId({id}): MethodRouter(MethodRouter {{");
        let router = match routes.split_once(&marker) {
            Some((_, router)) => router,
            // In a list, the id is the position.
            None => routes
                .split("MethodRouter(MethodRouter {")
                .nth(id.parse::<usize>().expect("a number") + 1)
                .expect("a method router"),
        };
        let allowed = router.split("allow_header: Bytes(b\"").nth(1).expect("the methods it allows");
        for method in allowed.split('"').next().expect("a list").split(',').filter(|method| *method != "HEAD")
        {
            found.insert((method.to_owned(), path.to_owned()));
        }
        if paths.split_once("} }").is_some_and(|(before, _)| before.ends_with(&format!("\"{path}\""))) {
            break;
        }
    }
    assert!(found.contains(&("GET".to_owned(), "/jobs/{id}".to_owned())), "{found:?}\n{text}");
    assert!(found.contains(&("POST".to_owned(), "/jobs/submit".to_owned())), "{found:?}");
    assert!(found.len() > 20, "{found:?}");
    found
}

struct World {
    harness: Harness,
    directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = AuthConfig {
            tokens_file: Some(directory.path().join("tokens.json")),
            htpasswd_file: None,
            default_role: Role::Viewer,
            session_lifetime: std::time::Duration::from_secs(3600),
            oidc: None,
        };
        let access = Access { auth: Some(Auth::open(&config).unwrap()), ..Access::open() };
        World { harness: Harness::guarded(access).await, directory }
    }

    fn token(&self, role: Role) -> String {
        let path = self.directory.path().join("tokens.json");
        tokens::create(&path, role, Some(role.as_str())).unwrap().1
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask_with(method, path, headers, "{}").await
    }

    async fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.harness.send(request(method, path, headers, body)).await
    }

    /// The file is looked at twice a second.
    async fn noticed(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    }
}

#[test]
fn every_route_has_its_line_in_the_table() {
    let listed: BTreeSet<(String, String)> =
        TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(listed.len(), TABLE.len(), "a route stands there twice");
    let missing: Vec<_> = routes().into_iter().filter(|route| !listed.contains(route)).collect();
    assert!(missing.is_empty(), "say in api/access/table.rs which role these need: {missing:?}");
}

#[tokio::test]
async fn each_role_enters_where_the_table_says_and_nobody_else_does() {
    let world = World::new().await;
    let tokens = Role::ALL.map(|role| (role, format!("Bearer {}", world.token(role))));
    world.noticed().await;
    for (method, route) in routes() {
        // Streams without end are not asked to the end: an unknown job's end at once.
        let path = route.replace("{id}", "nope");
        let least = TABLE.iter().find(|(m, p, _)| (*m, *p) == (&method, &route)).map(|(.., least)| *least);
        let least = least.unwrap_or(Least::Role(Role::Admin));
        let nobody = status(&world, &method, &path, &[]).await;
        assert_eq!(nobody == StatusCode::UNAUTHORIZED, least != Least::Open, "{method} {path}: {nobody}");
        for wrong in ["Bearer hsk_0000", "Basic bm9ib2R5Og==", "Bearer", "nonsense"] {
            let got = status(&world, &method, &path, &[("authorization", wrong)]).await;
            // From the eleventh on, guesses are slowed down.
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&got);
            assert_eq!(refused, least != Least::Open, "{method} {path} with {wrong}: {got}");
        }
        for (role, token) in &tokens {
            let got = status(&world, &method, &path, &[("authorization", token)]).await;
            let enters = match least {
                Least::Open => true,
                Least::Role(least) => *role >= least,
            };
            assert_eq!(got != StatusCode::FORBIDDEN, enters, "{method} {path} as {role}: {got}");
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&got);
            // A login without credentials in its body is wrong whoever asks.
            assert!(!refused, "{method} {path} as {role}: {got}");
        }
    }
}

async fn status(world: &World, method: &str, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    // The body is left: some never end.
    world.harness.router.clone().oneshot(request(method, path, headers, "{}")).await.unwrap().status()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_route_that_nobody_listed_is_the_administrators() {
    let world = World::new().await;
    let (viewer, admin) = (world.token(Role::Viewer), world.token(Role::Admin));
    world.noticed().await;
    for (token, expected) in [(&viewer, StatusCode::FORBIDDEN), (&admin, StatusCode::METHOD_NOT_ALLOWED)] {
        let answer = world.ask("DELETE", "/jobs", &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(answer.status, expected);
    }
    assert_eq!(world.ask("GET", "/nothing/here", &[]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_and_ends_its_sessions() {
    let world = World::new().await;
    let token = world.token(Role::Operator);
    world.noticed().await;
    let login = world.ask_with("POST", "/login", &[], &json!({ "token": token }).to_string()).await;
    assert_eq!(login.status, StatusCode::OK, "{}", login.body);
    let cookie = login.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap();
    let session = world.ask("GET", "/session", &[("cookie", cookie)]).await;
    assert_eq!((session.status, &session.body["name"]), (StatusCode::OK, &json!("token:operator")));
    tokens::revoke(&world.directory.path().join("tokens.json"), "operator").unwrap();
    world.noticed().await;
    assert_eq!(world.ask("GET", "/session", &[("cookie", cookie)]).await.status, StatusCode::UNAUTHORIZED);
    let bearer = format!("Bearer {token}");
    assert_eq!(
        world.ask("GET", "/jobs", &[("authorization", &bearer)]).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_cookie_alone_changes_nothing_unless_its_page_is_ours() {
    let world = World::new().await;
    let token = world.token(Role::Admin);
    world.noticed().await;
    let login = world.ask_with("POST", "/login", &[], &json!({ "token": token }).to_string()).await;
    let cookie = login.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let csrf = login.body["csrf_token"].as_str().unwrap().to_owned();
    let cookie = ("cookie", cookie.as_str());
    let forbidden = StatusCode::FORBIDDEN;
    for (headers, passes) in [
        (vec![cookie], false),
        (vec![cookie, ("x-csrf-token", "wrong")], false),
        (vec![cookie, ("x-csrf-token", &csrf)], true),
        (vec![cookie, ("sec-fetch-site", "same-origin")], true),
        (vec![cookie, ("host", "a:1"), ("origin", "http://a:1")], true),
        (vec![cookie, ("host", "a:1"), ("origin", "http://b:1")], false),
        (vec![cookie, ("sec-fetch-site", "cross-site"), ("x-csrf-token", &csrf)], false),
    ] {
        let answer = world.ask("POST", "/jobs/cancel", &headers).await;
        assert_eq!(answer.status != forbidden, passes, "{headers:?}: {}", answer.body);
    }
    let out = world.ask("POST", "/logout", &[cookie, ("x-csrf-token", &csrf)]).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(world.ask("GET", "/session", &[cookie]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_audit_log_says_who_did_what() {
    let world = World::new().await;
    let (admin, viewer) = (world.token(Role::Admin), world.token(Role::Viewer));
    world.noticed().await;
    let (admin, viewer) = (format!("Bearer {admin}"), format!("Bearer {viewer}"));
    world.ask("POST", "/jobs/cancel", &[("authorization", &admin), ("x-request-id", "r-7")]).await;
    world.ask("POST", "/jobs/cancel", &[("authorization", &viewer)]).await;
    world.ask("GET", "/audit", &[("authorization", &viewer)]).await;
    world.ask("GET", "/jobs", &[("authorization", &viewer)]).await;
    world.ask_with("POST", "/login", &[], r#"{"token":"hsk_wrong"}"#).await;
    let answer = world.ask("GET", "/audit?limit=10", &[("authorization", &admin)]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let entries: Vec<_> = answer.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["actor"].as_str().unwrap(),
                entry["action"].as_str().unwrap(),
                entry["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            ("nobody", "POST /login", 401),
            ("token:viewer", "GET /audit", 403),
            ("token:viewer", "POST /jobs/cancel", 403),
            ("token:admin", "POST /jobs/cancel", 422),
        ]
    );
    assert_eq!(answer.body["entries"][3]["request_id"], "r-7");
    let older = world.ask("GET", "/audit?limit=1&before=2", &[("authorization", &admin)]).await;
    assert_eq!(older.body["entries"][0]["role"], "admin");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let world = World::new().await;
    let wrong = [("authorization", "Bearer hsk_wrong")];
    let mut last = StatusCode::OK;
    for _ in 0..15 {
        let answer = world.ask("GET", "/jobs", &wrong).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers.contains_key("retry-after"));
        } else {
            assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"hypersdk\"");
        }
        last = answer.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.ask("GET", "/health/live", &wrong).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_web_site_cannot_drive_a_daemon_that_asks_for_nothing() {
    let access = Access { hosts: Some(Vec::new()), ..Access::open() };
    let world = World { harness: Harness::guarded(access).await, directory: tempfile::tempdir().unwrap() };
    // As the contract's commands send it.
    let plain = world.ask("POST", "/jobs/cancel", &[("host", "localhost:8080")]).await;
    assert_eq!(plain.status, StatusCode::UNPROCESSABLE_ENTITY);
    for headers in [
        [("host", "localhost:8080"), ("origin", "https://evil.example")],
        [("host", "localhost:8080"), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = world.ask("POST", "/jobs/cancel", &headers).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let rebound = world.ask("GET", "/vms", &[("host", "evil.example:8080")]).await;
    assert_eq!(rebound.status, StatusCode::MISDIRECTED_REQUEST);
    let form = world
        .ask("POST", "/jobs/submit", &[("host", "localhost:8080"), ("content-type", "text/plain")])
        .await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits() {
    let access = Access { rate: Access::per_minute(3), ..Access::open() };
    let harness = Harness::guarded(access).await;
    for _ in 0..3 {
        assert_eq!(harness.get("/health/live").await.status, StatusCode::OK);
    }
    let answer = harness.get("/health/live").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let harness = Harness::new().await;
    let document = harness.get("/openapi.json").await.body;
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| key.len() < 7 && *key != "summary") {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    // Pages for people, and the document itself.
    let own = ["/openapi.json", "/docs", "/"];
    let mut known = routes();
    known.retain(|(_, path)| !own.contains(&path.as_str()) && !path.starts_with("/web/dashboard"));
    let unknown: Vec<_> = described.difference(&known).collect();
    assert!(unknown.is_empty(), "described, and not there: {unknown:?}");
    let missing: Vec<_> = known.difference(&described).collect();
    assert!(missing.is_empty(), "there, and not described: {missing:?}");
    for path in ["/jobs", "/jobs/submit"] {
        let operation = document["paths"][path].as_object().unwrap().values().next().unwrap();
        assert!(
            operation["responses"]["4XX"]["content"]["application/problem+json"].is_object(),
            "{operation}"
        );
        assert!(operation["security"].as_array().is_some_and(|ways| ways.len() == 3), "{operation}");
    }
    let etag = harness.get("/openapi.json").await.headers["etag"].clone();
    let again = Request::get("/openapi.json").header("if-none-match", etag).body(Body::empty()).unwrap();
    assert_eq!(harness.send(again).await.status, StatusCode::NOT_MODIFIED);
}
