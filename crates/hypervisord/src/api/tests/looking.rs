use axum::http::StatusCode;
use hypersdk_core::ErrorKind;
use hypersdk_core::testing::FakeRun;
use serde_json::{Value, json};

use super::harness::Harness;
use crate::readiness::Stage;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_job_has_the_documented_shape() {
    let harness = Harness::new().await;
    let id = harness.submit("/DC0/vm/prod/web01").await;
    harness.ended(&id).await;
    let answer = harness.get(&format!("/jobs/{id}")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let mut found = keys(&answer.body);
    found.sort_unstable();
    assert_eq!(
        found,
        ["completed_at", "definition", "error", "progress", "result", "started_at", "status", "updated_at"]
    );
    for key in [
        "phase",
        "current_file",
        "files_downloaded",
        "total_files",
        "bytes_downloaded",
        "total_bytes",
        "percent_complete",
        "estimated_remaining",
        "bytes_per_second",
    ] {
        assert!(answer.body["progress"].get(key).is_some(), "{key}");
    }
    for key in ["vm_name", "output_dir", "ovf_path", "files", "total_size", "duration", "checksum"] {
        assert!(answer.body["result"].get(key).is_some(), "{key}");
    }
    assert_eq!(answer.body["status"], "completed");
    assert_eq!(answer.body["definition"]["id"], id.as_str());
    assert_eq!(answer.body["definition"]["vm_path"], "/DC0/vm/prod/web01");
}

#[tokio::test]
async fn a_failed_job_says_why() {
    let harness = Harness::with_plan([FakeRun::Fail(ErrorKind::NoSpace)]).await;
    let id = harness.submit("fake-1").await;
    harness.ended(&id).await;
    let answer = harness.get(&format!("/jobs/{id}")).await;
    assert_eq!(answer.body["status"], "failed");
    assert!(answer.body["error"].is_string(), "{}", answer.body);
    assert_eq!(answer.body["result"], Value::Null);
}

#[tokio::test]
async fn jobs_are_paged_and_filtered() {
    let harness = Harness::with_plan([FakeRun::Fail(ErrorKind::Invalid)]).await;
    let failed = harness.submit("fake-1").await;
    harness.ended(&failed).await;
    for vm in ["fake-2", "fake-3"] {
        let id = harness.submit(vm).await;
        harness.ended(&id).await;
    }
    let first = harness.get("/jobs?limit=2").await;
    assert_eq!(first.body["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(first.body["total"], 3);
    let next = first.body["next"].as_str().unwrap();
    let second = harness.get(&format!("/jobs?limit=2&before={next}")).await;
    assert_eq!(second.body["jobs"][0]["definition"]["id"], failed.as_str());
    assert_eq!(second.body["next"], Value::Null);
    let only = harness.get("/jobs?status=failed").await;
    assert_eq!(only.body["total"], 1);
    assert_eq!(only.body["jobs"][0]["definition"]["id"], failed.as_str());
    let queried = harness.post("/jobs/query", &json!({"job_ids": [failed], "status": ["failed"]})).await;
    assert_eq!(queried.body["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(queried.body["total"], 1);
    let empty = harness.post("/jobs/query", &json!({"status": "running"})).await;
    assert_eq!(empty.body["jobs"], json!([]));
}

#[tokio::test]
async fn a_listing_names_its_wrong_parameters() {
    let harness = Harness::new().await;
    for (path, status, field) in [
        ("/jobs?status=done", 422, "status"),
        ("/jobs?limit=0", 422, "limit"),
        ("/jobs?before=nope", 422, "before"),
        ("/jobs?before=../x", 422, "before"),
    ] {
        let answer = harness.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.fields(), [field], "{path}");
    }
    assert_eq!(harness.get("/jobs?limit=x").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(harness.get("/jobs?colour=red").await.status, StatusCode::BAD_REQUEST);
    for (body, field) in [
        (json!({"status": "done"}), "status"),
        (json!({"job_ids": "a/b"}), "job_ids"),
        (json!({"job_ids": [1]}), "job_ids"),
        (json!({"limit": 0}), "limit"),
        (json!({"jobids": []}), "jobids"),
    ] {
        let answer = harness.post("/jobs/query", &body).await;
        assert_eq!(answer.fields(), [field], "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn jobs_are_cancelled_whether_they_run_or_wait() {
    let harness = Harness::with_plan([FakeRun::Hold, FakeRun::Hold]).await;
    let running = harness.submit("fake-1").await;
    let also_running = harness.submit("fake-2").await;
    harness.runner.until_started(2).await;
    let waiting = harness.submit("fake-3").await;
    let answer = harness.post("/jobs/cancel", &json!({"job_ids": [running, waiting, "unknown"]})).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["cancelled"], json!([running, waiting]));
    assert_eq!(answer.body["stopping"], json!([running]));
    assert_eq!(answer.body["failed"], json!(["unknown"]));
    assert_eq!(answer.body["success"], false);
    assert!(answer.body["errors"]["unknown"].is_string());
    for id in [&running, &waiting] {
        assert_eq!(harness.ended(id).await.as_str(), "cancelled");
    }
    harness.runner.release();
    assert_eq!(harness.ended(&also_running).await.as_str(), "completed");
    let ended = harness.post("/jobs/cancel", &json!({"job_ids": [running]})).await;
    assert_eq!(ended.status, StatusCode::CONFLICT);
    let unknown = harness.post("/jobs/cancel", &json!({"job_ids": "unknown"})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    for body in [json!({}), json!({"job_ids": []}), json!({"job_ids": ["x"], "force": true})] {
        let answer = harness.post("/jobs/cancel", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
}

#[tokio::test]
async fn old_clients_find_progress_logs_and_estimate() {
    let harness = Harness::with_plan([FakeRun::Hold]).await;
    let id = harness.submit("fake-1").await;
    harness.runner.until_started(1).await;
    let progress = harness.get(&format!("/jobs/progress/{id}")).await;
    assert_eq!(progress.body["job_id"], id.as_str());
    assert_eq!(progress.body["status"], "running");
    assert!(progress.body["progress"]["percent_complete"].is_number());
    let eta = harness.get(&format!("/jobs/eta/{id}")).await;
    assert_eq!(eta.status, StatusCode::OK);
    assert!(eta.body.get("estimated_remaining").is_some());
    harness.runner.release();
    harness.ended(&id).await;
    for path in [format!("/jobs/logs/{id}"), format!("/jobs/{id}/logs")] {
        let logs = harness.get(&path).await;
        assert_eq!(logs.status, StatusCode::OK);
        assert_eq!(logs.body["total"], logs.body["logs"].as_array().unwrap().len());
    }
}

#[tokio::test]
async fn an_unknown_job_is_not_found_anywhere() {
    let harness = Harness::new().await;
    for path in
        ["/jobs/{}", "/jobs/{}/logs", "/jobs/{}/events", "/jobs/progress/{}", "/jobs/logs/{}", "/jobs/eta/{}"]
    {
        for id in ["nope", "%2e%2e", "a%20b"] {
            let answer = harness.get(&path.replace("{}", id)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path} {id}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test]
async fn status_and_stats_count_jobs() {
    let harness = Harness::with_plan([FakeRun::Fail(ErrorKind::Invalid)]).await;
    for vm in ["fake-1", "fake-2"] {
        let id = harness.submit(vm).await;
        harness.ended(&id).await;
    }
    let status = harness.get("/status").await;
    for key in [
        "version",
        "uptime",
        "total_jobs",
        "running_jobs",
        "completed_jobs",
        "failed_jobs",
        "cancelled_jobs",
        "timestamp",
    ] {
        assert!(status.body.get(key).is_some(), "{key}");
    }
    assert_eq!(status.body["total_jobs"], 2);
    let stats = harness.get("/stats").await;
    assert_eq!(stats.body["completed_jobs"], 1);
    assert_eq!(stats.body["failed_jobs"], 1);
    assert_eq!(stats.body["success_rate"], 0.5);
}

#[tokio::test]
async fn health_follows_the_daemons_life() {
    let harness = Harness::new().await;
    assert_eq!(harness.get("/health").await.body["status"], "healthy");
    assert_eq!(harness.get("/health/live").await.status, StatusCode::OK);
    assert_eq!(harness.get("/health/ready").await.body["status"], "ready");
    for stage in [Stage::Starting, Stage::Stopping] {
        harness.readiness.set(stage);
        let answer = harness.get("/health/ready").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.fields(), ["daemon"]);
        assert_eq!(harness.get("/health").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn capabilities_are_those_of_the_providers_at_hand() {
    let harness = Harness::new().await;
    let answer = harness.get("/capabilities").await;
    assert_eq!(answer.body["providers"][0]["name"], "default");
    assert_eq!(answer.body["formats"], json!(["ovf", "ova", "qcow2", "raw", "vmdk"]));
    assert_eq!(answer.body["destinations"], json!(["directory"]));
}
