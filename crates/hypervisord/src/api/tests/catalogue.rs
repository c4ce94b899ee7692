//! The catalogue of packages by request.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::harness::{Answer, Harness};

impl Harness {
    /// Runs a job to its end and returns its id, which is its package's.
    async fn package(&self, vm: &str) -> String {
        let id = self.submit(vm).await;
        self.ended(&id).await;
        id
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(Request::builder().method(Method::DELETE).uri(path).body(Body::empty()).unwrap()).await
    }
}

fn ids(answer: &Answer) -> Vec<&str> {
    let packages = answer.body["packages"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
    packages.iter().map(|package| package["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn packages_are_listed_by_page_and_by_what_they_are() {
    let harness = Harness::new().await;
    let web = harness.package("/DC0/vm/prod/web01").await;
    let db = harness.package("/DC0/vm/test/db01").await;
    assert_eq!(ids(&harness.get("/packages").await), [db.as_str(), &web]);
    // The fake gives each the same name.
    assert_eq!(ids(&harness.get("/packages?state=present").await), [db.as_str()]);
    assert_eq!(ids(&harness.get("/packages?state=replaced,removed").await), [web.as_str()]);
    assert_eq!(ids(&harness.get("/packages?vm=/DC0/vm/prod/web01").await), [web.as_str()]);
    assert_eq!(ids(&harness.get("/packages?schedule=nightly").await), [""; 0]);
    let first = harness.get("/packages?limit=1").await;
    assert_eq!((ids(&first), &first.body["next"]), (vec![db.as_str()], &json!(db)));
    let second = harness.get(&format!("/packages?limit=1&before={db}")).await;
    assert_eq!((ids(&second), &second.body["next"]), (vec![web.as_str()], &Value::Null));
    let shown = harness.get(&format!("/packages/{db}")).await.body;
    assert_eq!((&shown["state"], &shown["format"]), (&json!("present"), &json!("ova")));
    assert_eq!(shown["verification"], json!({"ok": true, "level": "structure", "fault": null}));
    assert_eq!((&shown["verified_at"], &shown["result"]["total_size"]), (&shown["completed_at"], &json!(0)));
    assert!(first.body["packages"][0].get("result").is_none());
}

#[tokio::test]
async fn a_wrong_parameter_is_named_and_an_unknown_package_is_not_found() {
    let harness = Harness::new().await;
    for (query, field) in [
        ("state=gone", "state"),
        ("schedule=a/b", "schedule"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("before=nowhere", "before"),
        ("before=a/b", "before"),
    ] {
        let answer = harness.get(&format!("/packages?{query}")).await;
        assert_eq!(
            (answer.status, answer.fields()),
            (StatusCode::UNPROCESSABLE_ENTITY, vec![field]),
            "{query}"
        );
    }
    assert_eq!(harness.get("/packages?colour=red").await.status, StatusCode::BAD_REQUEST);
    for path in ["/packages/nowhere", "/packages/..%2f..%2fetc"] {
        assert_eq!(harness.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(harness.delete(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(harness.get("/schedules/nowhere/retention").await.status, StatusCode::NOT_FOUND);
    let both = harness.post("/packages/verify", &json!({ "id": "x", "path": "/x" })).await;
    assert_eq!((both.status, both.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["id"]));
    let unknown = harness.post("/packages/verify", &json!({ "id": "nowhere" })).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_has_no_receipt_is_not_removed_and_what_is_gone_is_noted() {
    let harness = Harness::new().await;
    let id = harness.package("/DC0/vm/prod/web01").await;
    let file = harness.root.path().join("fake.ova");
    std::fs::write(&file, "mine").unwrap();
    let refused = harness.delete(&format!("/packages/{id}")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().contains("no receipt"), "{}", refused.body);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let left = harness.get(&format!("/packages/{id}")).await.body;
    assert_eq!(left["state"], "replaced", "{left}");

    std::fs::remove_file(&file).unwrap();
    let id = harness.package("/DC0/vm/prod/web01").await;
    let gone = harness.delete(&format!("/packages/{id}")).await;
    assert_eq!((gone.status, &gone.body["state"]), (StatusCode::OK, &json!("removed")), "{}", gone.body);
    assert_eq!(gone.body["reason"], "asked for; it was gone already");
    assert_eq!(harness.delete(&format!("/packages/{id}")).await.body, gone.body, "asked twice");
}
