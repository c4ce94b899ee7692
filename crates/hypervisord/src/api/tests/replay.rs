//! Requests that are sent again under their key.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::harness::{Answer, Harness};

async fn submit(harness: &Harness, key: &str, body: &Value) -> Answer {
    let request = Request::post("/jobs/submit")
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()));
    harness.send(request.unwrap()).await
}

#[tokio::test]
async fn a_request_sent_again_gets_its_answer_again_and_no_second_job() {
    let harness = Harness::new().await;
    let body = json!({ "vm_path": "/DC0/vm/prod/*", "output_dir": harness.dir() });
    let first = submit(&harness, "k-1", &body).await;
    assert_eq!((first.status, &first.body["accepted"]), (StatusCode::ACCEPTED, &json!(2)));
    let again = submit(&harness, "k-1", &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::ACCEPTED, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(harness.jobs().await, 2);
    let other = submit(&harness, "k-2", &body).await;
    assert_ne!(other.body["job_ids"], first.body["job_ids"]);
    let reused = submit(&harness, "k-1", &json!({ "vm_path": "vm-1", "output_dir": harness.dir() })).await;
    assert_eq!(reused.fields(), ["Idempotency-Key"]);
    let long = submit(&harness, &"x".repeat(256), &body).await;
    assert_eq!(long.fields(), ["Idempotency-Key"]);
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_finds_its_jobs() {
    let harness = Harness::new().await;
    let job = |vm: &str| json!({ "vm_path": vm, "output_dir": harness.dir() });
    let body = json!([job("/DC0/vm/prod/web01"), job("/DC0/vm/nowhere"), job("/DC0/vm/prod/web02")]);
    harness.kept.finishes_fail.store(true, Ordering::SeqCst);
    let first = submit(&harness, "k-1", &body).await;
    assert_eq!((&first.body["accepted"], &first.body["rejected"]), (&json!(2), &json!(1)), "{}", first.body);
    harness.kept.finishes_fail.store(false, Ordering::SeqCst);
    let again = submit(&harness, "k-1", &body).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.body);
    assert_eq!(again.body["job_ids"], first.body["job_ids"]);
    assert_eq!(harness.jobs().await, 2);
    let third = submit(&harness, "k-1", &body).await;
    assert_eq!(third.headers["idempotency-replayed"], "true");
}

#[tokio::test]
async fn a_glob_whose_answer_was_lost_is_not_guessed_at() {
    let harness = Harness::new().await;
    let body = json!({ "vm_path": "/DC0/vm/prod/*", "output_dir": harness.dir() });
    harness.kept.finishes_fail.store(true, Ordering::SeqCst);
    assert_eq!(submit(&harness, "k-1", &body).await.status, StatusCode::ACCEPTED);
    assert_eq!(submit(&harness, "k-1", &body).await.status, StatusCode::CONFLICT);
    assert_eq!(harness.jobs().await, 2);
}

#[tokio::test]
async fn a_request_that_came_to_nothing_may_be_tried_again() {
    let harness = Harness::new().await;
    let body = json!({ "vm_path": "/DC0/vm/prod/new", "output_dir": harness.dir() });
    assert_eq!(submit(&harness, "k-1", &body).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    harness.provider.add_vm("/DC0/vm/prod/new", Vec::new());
    assert_eq!(submit(&harness, "k-1", &body).await.status, StatusCode::ACCEPTED);
}
