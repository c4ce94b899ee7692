use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Router, middleware};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::harness::Harness;
use crate::api::envelope;

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let harness = Harness::new().await;
    let nothing = harness.get("/nothing").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    assert_eq!(nothing.body["title"], "Not Found");
    assert_eq!(nothing.body["status"], 404);
    assert_eq!(nothing.body["type"], "about:blank");
    let method = harness.get("/jobs/submit").await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    let request = Request::delete("/status").body(Body::empty()).unwrap();
    let method = harness.send(request).await;
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(method.headers["content-type"], "application/problem+json");
    assert!(method.headers.contains_key("allow"));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_problems_name_it() {
    let harness = Harness::new().await;
    let answer = harness.get("/nothing").await;
    assert_eq!(answer.body["request_id"].as_str().unwrap(), answer.headers["x-request-id"]);
    let request = Request::get("/health").header("x-request-id", "mine-7").body(Body::empty()).unwrap();
    assert_eq!(harness.send(request).await.headers["x-request-id"], "mine-7");
    let request = Request::get("/health").header("x-request-id", "a b").body(Body::empty()).unwrap();
    assert_ne!(harness.send(request).await.headers["x-request-id"], "a b");
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing_of_the_inside() {
    async fn panics() -> &'static str {
        panic!("secret detail")
    }
    let router: Router = Router::new()
        .route("/", get(panics))
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(middleware::from_fn(envelope::envelope));
    let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("request_id") && !text.contains("secret detail"), "{text}");
}

/// The names of a schema's properties, those of its parts included.
fn properties<'a>(document: &'a Value, schema: &'a Value) -> BTreeSet<&'a str> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return properties(document, &document["components"]["schemas"][name]);
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let mut names: BTreeSet<&str> = parts.flat_map(|part| properties(document, part)).collect();
    names.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()));
    names
}

/// What the document says that a body may hold is what reading it knows, and nothing else.
#[tokio::test]
async fn documented_fields_are_the_known_ones_and_any_other_is_refused_by_name() {
    let harness = Harness::new().await;
    let document = harness.get("/openapi.json").await.body;
    let old: &[&str] = &["export_method", "method", "thin", "datacenter", "created_at", "vcenter"];
    let shown: &[&str] = &["origin", "status", "halted", "created_at", "updated_at", "version", "deliveries"];
    for (path, schema, ignored) in [
        ("/jobs/submit", "JobFields", old),
        ("/jobs/query", "QueryBody", &[]),
        ("/jobs/cancel", "CancelBody", &[]),
        ("/packages/verify", "VerifyBody", &[]),
        ("/schedules", "ScheduleFields", &[]),
        ("/webhooks", "EndpointFields", shown),
    ] {
        let documented = properties(&document, &document["components"]["schemas"][schema]);
        let answer = harness.post(path, &json!({ "qqqzzz": 1 })).await;
        let errors = answer.body["errors"].as_array().unwrap();
        let message = errors
            .iter()
            .find(|error| error["field"] == "qqqzzz")
            .and_then(|error| error["message"].as_str())
            .unwrap_or_else(|| panic!("{path}: {}", answer.body));
        let known =
            message.strip_prefix("unknown field; known here: ").unwrap_or_else(|| panic!("{message}"));
        let known = known.split(", ").filter(|name| !ignored.contains(name)).collect();
        assert_eq!(documented, known, "{path}");
    }
}

#[tokio::test]
async fn a_request_that_takes_no_body_refuses_fields_by_name() {
    let harness = Harness::new().await;
    let document = harness.get("/openapi.json").await.body;
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if item["post"].is_null() || !item["post"]["requestBody"].is_null() {
            continue;
        }
        let path = path.replace("{id}", "nope");
        let answer = harness.post(&path, &json!({ "qqqzzz": 1 })).await;
        assert_eq!(
            (answer.status, answer.fields()),
            (StatusCode::UNPROCESSABLE_ENTITY, vec!["qqqzzz"]),
            "{path}"
        );
        let bare = Request::post(&path).body(Body::empty()).unwrap();
        let answer = harness.send(bare).await;
        assert!(answer.fields().is_empty() && answer.status != StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
        asked += 1;
    }
    assert!(asked >= 8, "{asked}");
}
