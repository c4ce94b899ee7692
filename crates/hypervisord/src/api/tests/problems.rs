use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Router, middleware};
use http_body_util::BodyExt;
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
