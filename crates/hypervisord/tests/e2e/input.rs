//! Bad input: a problem answer that names field and remedy, and no trace left.

use hypersdk_tests::names;
use serde_json::{Value, json};

use crate::world::{WEB, World};

async fn refused(world: &World, job: Value, status: u16, field: &str) -> String {
    let (found, problem) = world.client().post("/jobs/submit", &job).await;
    assert_eq!(found, status, "{problem:#}");
    for key in ["type", "title", "status", "detail"] {
        assert!(!problem[key].is_null(), "{key} in {problem:#}");
    }
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("errors in {problem:#}"));
    let error = errors.iter().find(|error| error["field"] == field);
    let error = error.unwrap_or_else(|| panic!("{field} in {problem:#}"));
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_named_with_a_remedy_and_leave_no_trace() {
    let world = World::new().await;
    let with = |key: &str, value: Value| {
        let mut job = world.job(WEB);
        job[key] = value;
        job
    };
    let missing = world.out().join("missing");
    for (job, field, says) in [
        (with("vm_path", json!("/DC0/vm/prod/nobody")), "vm_path", "nobody"),
        (with("format", json!("vhd")), "format", "ova"),
        (with("compression_level", json!(10)), "compression_level", "9"),
        (with("output_dir", json!(missing)), "output_dir", "create"),
        (with("output_dir", json!("/etc")), "output_dir", "export_root"),
        (with("output_dir", json!("relative")), "output_dir", "absolute"),
        (with("formt", json!("ova")), "formt", "format"),
        (with("provider", json!("nowhere")), "provider", "default"),
        (with("id", json!("../x")), "id", "characters"),
        (with("chunk_size", json!(1 << 20)), "chunk_size", "format ovf"),
        (with("chunk_size", json!(512)), "chunk_size", "1048576"),
        (with("chunk_size", json!("1GiB")), "chunk_size", "whole number"),
    ] {
        let message = refused(&world, job, 422, field).await;
        assert!(message.contains(says), "{field}: {message:?} says {says:?}");
    }
    let (_, jobs) = world.client().get("/jobs").await;
    assert_eq!(jobs["jobs"], json!([]), "{jobs}");
    assert_eq!(names(&world.out()), [""; 0]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_id_is_a_conflict() {
    let world = World::new().await;
    let mut job = world.job(WEB);
    job["id"] = json!("nightly");
    world.complete(&job).await;
    refused(&world, job, 409, "id").await;
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_parse_is_a_bad_request() {
    let world = World::new().await;
    for (kind, body) in [("application/json", "{\"vm_path\": "), ("application/yaml", "vm_path: [unclosed")] {
        let answer = reqwest::Client::builder()
            .build()
            .unwrap()
            .post(format!("{}/jobs/submit", world.client().base()))
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_exists_is_not_replaced_without_being_asked_to() {
    let world = World::new().await;
    world.complete(&world.job(WEB)).await;
    let job = world.run(&world.job(WEB)).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    assert!(job["error"].as_str().unwrap().contains("overwrite"), "{job:#}");
    let mut again = world.job(WEB);
    again["overwrite"] = json!(true);
    world.complete(&again).await;
    world.stop_clean().await;
}
