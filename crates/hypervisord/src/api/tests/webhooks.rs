//! `/webhooks`: what is refused, and what never comes back.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use super::harness::Harness;

async fn put(harness: &Harness, path: &str, body: &serde_json::Value) -> super::harness::Answer {
    let request = Request::builder().method(Method::PUT).uri(path).header("content-type", "application/json");
    harness.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn every_wrong_field_is_named_with_what_to_do() {
    let harness = Harness::new().await;
    let cases = [
        (json!({}), "url", "is missing"),
        (json!({ "url": 7 }), "url", "expected a text"),
        (json!({ "url": "nonsense" }), "url", "https://host/path"),
        (json!({ "url": "http://169.254.169.254/" }), "url", "allow_private: true"),
        (json!({ "url": "https://u:hunter2@x.example/" }), "url", "Authorization"),
        (json!({ "url": "https://x.example", "events": ["job.finish"] }), "events[0]", "is no event"),
        (
            json!({ "url": "https://x.example", "events": ["job.complete"] }),
            "events[0]",
            "did you mean job.completed?",
        ),
        (json!({ "url": "https://x.example", "events": [] }), "events", "empty"),
        (json!({ "url": "https://x.example", "headers": { "Host": "y" } }), "headers.Host", "leave it out"),
        (json!({ "url": "https://x.example", "headers": { "X": "a\r\nb" } }), "headers.X", "control"),
        (json!({ "url": "https://x.example", "timeout": "0s" }), "timeout", "100ms"),
        (json!({ "url": "https://x.example", "retry": -1 }), "retry", "0 to 100"),
        (json!({ "url": "https://x.example", "secret": "hunter2" }), "secret", "too short"),
        (json!({ "url": "https://x.example", "profile": "slak" }), "profile", "did you mean slack?"),
        (json!({ "url": "https://x.example", "template": "{{" }), "template", "cannot be read"),
        (json!({ "url": "https://x.example", "evnts": [] }), "evnts", "did you mean events?"),
        (json!({ "url": "https://x.example", "id": "deliveries" }), "id", "route"),
        (
            json!({ "url": "https://x.example", "secret": "a secret that is long enough for this" }),
            "secret",
            "secret_key_file",
        ),
        (
            json!({ "url": "https://x.example", "headers": { "Authorization": "x" } }),
            "headers",
            "secret_key_file",
        ),
    ];
    for (body, field, message) in cases {
        let answer = harness.post("/webhooks", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
        assert_eq!(answer.fields(), [field], "{body}: {}", answer.body);
        let text = answer.body.to_string();
        assert!(text.contains(message) && !text.contains("hunter2"), "{body}: {text}");
    }
    assert_eq!(harness.get("/webhooks").await.body["total"], 0);
}

#[tokio::test]
async fn an_endpoint_is_made_shown_changed_and_removed() {
    let harness = Harness::new().await;
    let body =
        json!({ "id": "ops", "url": "https://hooks.example.com/x?y=1", "events": "job.*", "timeout": 5 });
    let made = harness.post("/webhooks", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.headers["location"], "/webhooks/ops");
    assert_eq!((&made.body["timeout"], &made.body["retry"]), (&json!("5s"), &json!(3)));
    assert_eq!((&made.body["status"], &made.body["origin"]), (&json!("active"), &json!("api")));
    assert_eq!(harness.post("/webhooks", &body).await.status, StatusCode::CONFLICT);

    // What is shown can be given back.
    let mut shown = harness.get("/webhooks/ops").await.body;
    shown["enabled"] = json!(false);
    let changed = put(&harness, "/webhooks/ops", &shown).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!((&changed.body["status"], &changed.body["version"]), (&json!("disabled"), &json!(2)));
    shown["id"] = json!("other");
    assert_eq!(put(&harness, "/webhooks/ops", &shown).await.fields(), ["id"]);

    let request = Request::builder().method(Method::DELETE).uri("/webhooks/ops").body(Body::empty()).unwrap();
    assert_eq!(harness.send(request).await.status, StatusCode::NO_CONTENT);
    for path in ["/webhooks/ops", "/webhooks/ops/deliveries", "/webhooks/deliveries/msg_none"] {
        assert_eq!(harness.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/webhooks/ops/test", "/webhooks/ops/redeliver", "/webhooks/deliveries/msg_none/redeliver"] {
        assert_eq!(harness.post(path, &json!({})).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_address_of_a_chat_is_not_shown_and_can_be_given_back() {
    let harness = Harness::new().await;
    let url = "https://hooks.slack.example/services/T0/B0/token";
    let made = harness.post("/webhooks", &json!({ "id": "chat", "url": url, "profile": "slack" })).await;
    assert_eq!(made.body["url"], "https://hooks.slack.example/********", "{}", made.body);
    let changed = put(&harness, "/webhooks/chat", &harness.get("/webhooks/chat").await.body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert!(!changed.body.to_string().contains("token"));
}

#[tokio::test]
async fn what_cannot_be_delivered_is_listed_and_can_be_sent_again() {
    let harness = Harness::new().await;
    // Nobody listens at this port, as it was just let go of.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let body =
        json!({ "id": "ops", "url": format!("http://127.0.0.1:{port}/"), "retry": 0, "allow_private": true });
    assert_eq!(harness.post("/webhooks", &body).await.status, StatusCode::CREATED);
    let test = harness.post("/webhooks/ops/test", &json!({})).await;
    assert_eq!((test.status, &test.body["delivered"]), (StatusCode::OK, &json!(false)));
    assert!(test.body["error"].as_str().unwrap().contains("cannot connect"), "{}", test.body);
    assert_eq!(test.body["request"]["headers"]["content-type"], "application/json");

    let job = harness.submit("/DC0/vm/prod/web01").await;
    harness.ended(&job).await;
    let dead = loop {
        let listed = harness.get("/webhooks/ops/deliveries?state=dead").await.body;
        if listed["deliveries"].as_array().unwrap().len() >= 3 {
            break listed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let first = &dead["deliveries"][0];
    assert_eq!((&first["job_id"], &first["attempts"][0]["status"]), (&json!(job), &json!(null)));
    let id = first["id"].as_str().unwrap();
    let shown = harness.get(&format!("/webhooks/deliveries/{id}")).await.body;
    assert!(shown["request"]["body"].as_str().unwrap().contains(&job), "{shown}");
    let again = harness.post(&format!("/webhooks/deliveries/{id}/redeliver"), &json!({})).await;
    assert_eq!((again.status, &again.body["redelivered"]), (StatusCode::ACCEPTED, &json!(1)));
    let stats = harness.get("/stats/webhooks").await.body;
    assert!(stats["dead"].as_u64().unwrap() >= 3 && stats["endpoints"]["ops"].is_object(), "{stats}");
    assert_eq!(harness.get("/webhooks/ops/deliveries?state=x&limit=0").await.fields(), ["state", "limit"]);
    assert_eq!(harness.get("/webhooks/ops/deliveries?before=x").await.fields(), ["before"]);
}
