use axum::http::StatusCode;
use hypersdk_core::{Error, ErrorKind};
use serde_json::{Value, json};

use super::harness::Harness;

#[tokio::test]
async fn the_inventory_is_sorted_paged_and_filtered() {
    let harness = Harness::new().await;
    for path in ["/vms", "/vms/list"] {
        let answer = harness.get(path).await;
        let paths: Vec<&str> =
            answer.body["vms"].as_array().unwrap().iter().map(|vm| vm["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["/DC0/vm/prod/web01", "/DC0/vm/prod/web02", "/DC0/vm/test/db01"]);
        assert_eq!(answer.body["total"], 3);
        assert_eq!(answer.body["next_offset"], Value::Null);
    }
    let page = harness.get("/vms?limit=1&offset=1").await;
    assert_eq!(page.body["vms"][0]["name"], "web02");
    assert_eq!(page.body["next_offset"], 2);
    assert_eq!(harness.get("/vms?name=WEB*").await.body["total"], 2);
    assert_eq!(harness.get("/vms?folder=/DC0/vm/test").await.body["total"], 1);
    assert_eq!(harness.get("/vms?power_state=off&provider=default").await.body["total"], 3);
    assert_eq!(harness.get("/vms?power_state=on").await.body["vms"], json!([]));
}

#[tokio::test]
async fn a_vm_is_found_by_id_and_by_path() {
    let harness = Harness::new().await;
    for id in ["fake-3", "%2FDC0%2Fvm%2Ftest%2Fdb01"] {
        let answer = harness.get(&format!("/vms/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["name"], "db01");
        assert_eq!(answer.body["power_state"], "off");
        assert_eq!(answer.body["provider"], "default");
    }
    assert_eq!(harness.get("/vms/fake-9").await.status, StatusCode::NOT_FOUND);
    assert_eq!(harness.get("/vms/web*").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn wrong_filters_are_named() {
    let harness = Harness::new().await;
    for (path, field) in [
        ("/vms?power_state=warm", "power_state"),
        ("/vms?limit=0", "limit"),
        ("/vms?name=[z", "name"),
        ("/vms?provider=paris", "provider"),
        ("/vms/fake-1?provider=paris", "provider"),
    ] {
        let answer = harness.get(path).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(answer.fields(), [field], "{path}");
    }
    assert_eq!(harness.get("/vms?colour=red").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refused_account_is_a_bad_gateway() {
    let harness = Harness::new().await;
    harness.provider.fault_calls([Error::new(ErrorKind::Unauthenticated, "log in", "root refused")]);
    let answer = harness.get("/vms/fake-1").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(!answer.body.to_string().contains("root"), "{}", answer.body);
}
