use axum::http::StatusCode;
use hypersdk_ova::ova::{OvaOptions, OvaWriter};
use hypersdk_ova::ovf::Envelope;
use serde_json::json;

use super::harness::Harness;

#[tokio::test]
async fn a_package_below_the_root_is_verified_and_its_faults_are_told() {
    let harness = Harness::new().await;
    let path = harness.root.path().join("empty.ova");
    let envelope =
        Envelope { name: "empty".to_owned(), cpus: 1, memory_mib: 64, disks: vec![], files: vec![] };
    OvaWriter::create(&path, OvaOptions::new("empty")).unwrap().finish(&envelope.to_xml()).unwrap();
    let whole = harness.post("/packages/verify", &json!({ "path": path, "level": "full" })).await;
    assert_eq!((whole.status, &whole.body["ok"]), (StatusCode::OK, &json!(true)), "{}", whole.body);

    let cut = std::fs::read(&path).unwrap();
    std::fs::write(&path, &cut[..cut.len() - 3000]).unwrap();
    let faulty = harness.post("/packages/verify", &json!({ "path": path })).await;
    assert_eq!(faulty.status, StatusCode::OK);
    assert_eq!(faulty.body["ok"], false);
    assert!(faulty.body["faults"][0]["class"].is_string(), "{}", faulty.body);
}

#[tokio::test]
async fn nothing_outside_the_root_is_looked_at() {
    let harness = Harness::new().await;
    for (body, field) in [
        (json!({ "path": "/etc/passwd" }), "path"),
        (json!({ "path": harness.root.path().join("../x") }), "path"),
        (json!({ "path": "relative.ova" }), "path"),
        (json!({}), "path"),
        (json!({ "path": harness.dir(), "level": "deep" }), "level"),
        (json!({ "path": harness.dir(), "depth": 1 }), "depth"),
        (json!({ "path": harness.dir() }), "path"),
    ] {
        let answer = harness.post("/packages/verify", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
        assert_eq!(answer.fields(), [field], "{body}");
    }
}
