//! Changes that know what they change, and looks that are spared.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::harness::{Answer, Harness};

impl Harness {
    async fn with(&self, method: Method, path: &str, header: (&str, &str), body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header.0, header.1);
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
        self.send(request.unwrap()).await
    }

    async fn tag(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer.headers["etag"].to_str().unwrap().to_owned()
    }
}

/// A harness with a schedule and a webhook, and both as they can be given back.
async fn world() -> (Harness, [(&'static str, Value); 2]) {
    let harness = Harness::new().await;
    let schedule = json!({
        "id": "nightly", "schedule": "0 2 * * *",
        "job_template": { "vm_path": "/DC0/vm/prod/web01", "output_dir": harness.dir(), "overwrite": true },
    });
    let webhook = json!({ "id": "ops", "url": "https://hooks.example.com/x" });
    for (path, body) in [("/schedules", &schedule), ("/webhooks", &webhook)] {
        let made = harness.post(path, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert!(made.headers["etag"].to_str().unwrap().starts_with("\"1-"), "{:?}", made.headers);
    }
    (harness, [("/schedules/nightly", schedule), ("/webhooks/ops", webhook)])
}

#[tokio::test]
async fn of_two_changes_to_what_was_read_the_second_is_refused_with_what_to_do() {
    let (harness, things) = world().await;
    for (path, mut body) in things {
        let read = harness.tag(path).await;
        body["description"] = json!("the first");
        let first = harness.with(Method::PUT, path, ("if-match", &read), &body).await;
        assert_eq!(first.status, StatusCode::OK, "{path}: {}", first.body);
        body["description"] = json!("the second");
        let second = harness.with(Method::PUT, path, ("if-match", &read), &body).await;
        assert_eq!(second.status, StatusCode::PRECONDITION_FAILED, "{path}: {}", second.body);
        assert!(second.body["detail"].as_str().unwrap().contains(&format!("GET {path}")), "{}", second.body);
        let late = harness.with(Method::DELETE, path, ("if-match", &read), &json!({})).await;
        assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{path}");
        let now = harness.get(path).await;
        assert_eq!((&now.body["description"], &now.body["enabled"]), (&json!("the first"), &json!(true)));
        // The tag of the change is good for the next one, as is that of a look.
        let next = first.headers["etag"].to_str().unwrap();
        let again = harness.with(Method::PUT, path, ("if-match", next), &body).await;
        assert_eq!(again.status, StatusCode::OK, "{path}: {}", again.body);
        for weak in [format!("W/{}", harness.tag(path).await), "nonsense".to_owned()] {
            let answer = harness.with(Method::PUT, path, ("if-match", &weak), &body).await;
            assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{path}: {weak}");
        }
        let gone =
            harness.with(Method::DELETE, path, ("if-match", &harness.tag(path).await), &json!({})).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{path}: {}", gone.body);
        assert_eq!(harness.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_switch_may_name_what_it_saw() {
    let (harness, _) = world().await;
    let read = harness.tag("/schedules/nightly").await;
    let off = harness.with(Method::POST, "/schedules/nightly/disable", ("if-match", &read), &json!({})).await;
    assert_eq!((off.status, &off.body["enabled"]), (StatusCode::OK, &json!(false)));
    let on = harness.with(Method::POST, "/schedules/nightly/enable", ("if-match", &read), &json!({})).await;
    assert_eq!(on.status, StatusCode::PRECONDITION_FAILED, "{}", on.body);
}

#[tokio::test]
async fn what_happens_by_itself_is_no_conflict_but_a_new_answer() {
    let (harness, [(path, body), _]) = world().await;
    let read = harness.tag(path).await;
    let run = harness.post("/schedules/nightly/trigger", &json!({})).await;
    assert_eq!(run.status, StatusCode::ACCEPTED, "{}", run.body);
    let look = harness.with(Method::GET, path, ("if-none-match", &read), &json!({})).await;
    assert_eq!(look.status, StatusCode::OK, "it has run since");
    let change = harness.with(Method::PUT, path, ("if-match", &read), &body).await;
    assert_eq!(change.status, StatusCode::OK, "nobody has changed it since: {}", change.body);
}

#[tokio::test]
async fn a_look_at_what_is_still_the_same_brings_nothing() {
    let (harness, _) = world().await;
    for path in
        ["/schedules", "/schedules/nightly", "/schedules/nightly?next=3", "/webhooks", "/webhooks/ops"]
    {
        let tag = harness.tag(path).await;
        let again = harness.with(Method::GET, path, ("if-none-match", &tag), &json!({})).await;
        assert_eq!((again.status, &again.body), (StatusCode::NOT_MODIFIED, &json!("")), "{path}");
        assert_eq!(again.headers["etag"], tag.as_str(), "{path}");
        let other = harness.with(Method::GET, path, ("if-none-match", "\"1-0000\""), &json!({})).await;
        assert_eq!(other.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_revision_in_the_body_must_be_that_of_the_header() {
    let (harness, [(path, mut body), _]) = world().await;
    body["revision"] = json!(7);
    let tag = harness.tag(path).await;
    let answer = harness.with(Method::PUT, path, ("if-match", &tag), &body).await;
    assert_eq!((answer.status, answer.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["revision"]));
}
