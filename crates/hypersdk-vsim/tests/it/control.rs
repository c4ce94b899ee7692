use hypersdk_vsim::Vsim;
use serde_json::{Value, json};

use crate::client::{Client, drain, http};

async fn get(sim: &Vsim, what: &str) -> Value {
    http().get(sim.control_url().join(what).unwrap()).send().await.unwrap().json().await.unwrap()
}

async fn post(sim: &Vsim, what: &str, body: &Value) -> (u16, Value) {
    let reply = http().post(sim.control_url().join(what).unwrap()).json(body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn rules_are_added_listed_and_removed_and_they_strike() {
    let sim = Vsim::builder().disk_size(4 << 20).start().await.unwrap();
    let rule = json!({"target": "stream", "vm": "web-01", "count": 1, "kind": "cut_after", "bytes": 100_000});
    let other = json!({"target": "*", "kind": "delay", "ms": 1});
    let (status, rules) = post(&sim, "faults", &json!([rule, other])).await;
    assert_eq!((status, rules.as_array().unwrap().len()), (201, 2));
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    assert!(!drain(client.get(&lease.files[0].url).await).await.1);
    assert_eq!(get(&sim, "faults").await, json!([{"target": "*", "skip": 0, "kind": "delay", "ms": 1}]));
    http().delete(sim.control_url().join("faults").unwrap()).send().await.unwrap();
    assert_eq!(get(&sim, "faults").await, json!([]));
}

#[tokio::test]
async fn what_is_no_rule_is_refused_with_the_reason() {
    let sim = Vsim::builder().start().await.unwrap();
    let (status, answer) = post(&sim, "faults", &json!({"target": "stream", "kind": "explode"})).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("explode"), "{answer}");
    assert_eq!(post(&sim, "actions", &json!({"action": "dance"})).await.0, 400);
    assert_eq!(http().get(sim.control_url()).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn state_and_log_show_what_the_code_sees() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-102").await;
    let state = get(&sim, "state").await;
    assert_eq!(state["open_leases"], json!([lease.id]));
    assert_eq!(state["open_sessions"].as_array().unwrap().len(), 1);
    assert_eq!(state["vms"][1]["path"], "/DC0/vm/prod/db-01");
    assert_eq!(state["vms"][1]["disks"].as_array().unwrap().len(), 2);
    assert_eq!(state["calls"]["ExportVm"], 1);
    let log = get(&sim, "log?since=1").await;
    assert_eq!(
        (&log[0]["seq"], &log[0]["event"], &log[0]["vm"]),
        (&json!(2), &json!("lease_opened"), &json!("db-01"))
    );
}

#[tokio::test]
async fn actions_expire_leases_end_sessions_and_write_disks() {
    let sim = Vsim::builder().disk_size(1 << 20).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    client.export("vm-101").await;
    assert_eq!(
        post(&sim, "actions", &json!({"action": "expire_leases", "vm": "db-01"})).await.1,
        json!({"expired": 0})
    );
    assert_eq!(post(&sim, "actions", &json!({"action": "expire_leases"})).await.1, json!({"expired": 1}));
    assert_eq!(
        post(&sim, "actions", &json!({"action": "terminate_sessions"})).await.1,
        json!({"terminated": 1})
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let write = json!({"action": "write_raw", "vm": "/DC0/vm/prod/web-01", "disk": 0, "path": path});
    assert_eq!(post(&sim, "actions", &write).await.0, 200);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 20);
    let missing = json!({"action": "write_raw", "vm": "none", "disk": 0, "path": path});
    assert_eq!(post(&sim, "actions", &missing).await.0, 400);
}
