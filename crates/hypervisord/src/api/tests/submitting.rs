use axum::http::StatusCode;
use hypersdk_core::testing::FakeRun;
use hypersdk_core::{Error, ErrorKind, JobStatus};
use serde_json::{Value, json};

use super::harness::Harness;
use crate::readiness::Stage;

#[tokio::test]
async fn the_documented_command_is_accepted() {
    let harness = Harness::new().await;
    let answer = harness
        .post(
            "/jobs/submit",
            &json!({"vm_path": "/DC0/vm/prod/web01", "output_dir": harness.dir(), "format": "ova",
                    "compress": true, "compression_level": 6, "cleanup_ovf": true}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    assert_eq!(answer.body["accepted"], 1);
    assert_eq!(answer.body["rejected"], 0);
    assert_eq!(answer.body["errors"], json!([]));
    assert!(answer.body["timestamp"].is_string());
    let id = answer.body["job_ids"][0].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/jobs/{id}"));
    assert_eq!(harness.ended(id).await, JobStatus::Completed);
}

#[tokio::test]
async fn every_form_of_body_makes_the_same_jobs() {
    let harness = Harness::new().await;
    let dir = harness.dir();
    let one = json!({"vm_path": "/DC0/vm/prod/web01", "output_dir": dir});
    for body in [one.clone(), json!([one]), json!({"jobs": [one]})] {
        let answer = harness.post("/jobs/submit", &body).await;
        assert_eq!(answer.body["accepted"], 1, "{body}: {}", answer.body);
    }
    let yaml = format!("jobs:\n  - vm_path: /DC0/vm/prod/web01\n    output_path: {dir}\n    format: ovf\n");
    for content_type in ["application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"] {
        let answer = harness.post_as("/jobs/submit", content_type, &yaml).await;
        assert_eq!(answer.body["accepted"], 1, "{}", answer.body);
        let id = answer.body["job_ids"][0].as_str().unwrap();
        let job = harness.get(&format!("/jobs/{id}")).await;
        assert_eq!(job.body["definition"]["format"], "ovf");
        assert_eq!(job.body["definition"]["output_dir"], dir.as_str());
    }
}

#[tokio::test]
async fn a_managed_object_id_names_a_vm() {
    let harness = Harness::new().await;
    harness.submit("fake-3").await;
}

#[tokio::test]
async fn a_glob_makes_one_job_a_vm() {
    let harness = Harness::new().await;
    let answer = harness
        .post(
            "/jobs/submit",
            &json!({"vm_path": "/DC0/vm/prod/*", "output_dir": harness.dir(), "priority": 5}),
        )
        .await;
    assert_eq!(answer.body["accepted"], 2, "{}", answer.body);
    let mut paths = Vec::new();
    for id in answer.body["job_ids"].as_array().unwrap() {
        let job = harness.get(&format!("/jobs/{}", id.as_str().unwrap())).await;
        paths.push(job.body["definition"]["vm_path"].as_str().unwrap().to_owned());
        assert_eq!(job.body["definition"]["priority"], 5);
        assert_eq!(job.body["definition"]["provider"], "default");
    }
    paths.sort();
    assert_eq!(paths, ["/DC0/vm/prod/web01", "/DC0/vm/prod/web02"]);
}

#[tokio::test]
async fn a_vm_whose_path_looks_like_a_glob_is_named_by_its_id() {
    let harness = Harness::new().await;
    let id = harness.provider.add_vm("/DC0/vm/odd/a[1]", Vec::new());
    let job = harness.submit("/DC0/vm/odd/*").await;
    let answer = harness.get(&format!("/jobs/{job}")).await;
    assert_eq!(answer.body["definition"]["vm_path"], id.as_str());
}

#[tokio::test]
async fn wrong_fields_are_named_with_the_remedy_and_leave_no_trace() {
    let harness = Harness::new().await;
    let dir = harness.dir();
    let base = json!({"vm_path": "/DC0/vm/prod/web01", "output_dir": dir});
    let cases: &[(&str, Value, &str, &str)] = &[
        ("vm_path", Value::Null, "vm_path", "is missing"),
        ("vm_path", json!(7), "vm_path", "expected a text"),
        ("vm_path", json!(""), "vm_path", "inventory path"),
        ("vm_path", json!("/DC0/vm/[z"), "vm_path", "bad glob"),
        ("vm_path", json!("/DC0/vm/nope"), "vm_path", "GET /vms"),
        ("vm_path", json!("/DC0/vm/none*"), "vm_path", "GET /vms"),
        ("vm_path", json!("vm-404"), "vm_path", "no VM of default"),
        ("output_dir", Value::Null, "output_dir", "absolute path"),
        ("output_dir", json!("relative"), "output_dir", "absolute"),
        ("output_dir", json!("/no/such/dir"), "output_dir", "create it"),
        ("output_dir", json!("/"), "output_dir", "outside export_root"),
        ("output_path", json!("/other"), "output_path", "another name of output_dir"),
        ("format", json!("vhd"), "format", "ovf, ova"),
        ("compression_level", json!(10), "compression_level", "0 to 9"),
        ("compression_level", json!(-1), "compression_level", "0 to 9"),
        ("compression_level", json!(1.5), "compression_level", "0 to 9"),
        ("compress", json!("yes"), "compress", "true or false"),
        ("id", json!("a/b"), "id", "characters"),
        ("provider", json!("paris"), "provider", "configured: default"),
        ("package_name", json!("../x"), "package_name", "file name"),
        ("manifest_digest", json!("md5"), "manifest_digest", "sha1, sha256, sha512"),
        ("verify", json!("never"), "verify", "structure, full"),
        ("options", json!({"power": "off"}), "options.power", "snapshot, keep"),
        ("options", json!({"quiet": true}), "options.quiet", "did you mean quiesce?"),
        ("options", json!([]), "options", "object"),
        ("metadata", json!("x"), "metadata", "object"),
        ("comprss", json!(true), "comprss", "did you mean compress?"),
        ("zzz", json!(true), "zzz", "known here"),
        ("vcenter", json!({"server": "vc"}), "vcenter", "not available in this build"),
    ];
    for (name, value, field, message) in cases {
        let mut body = base.clone();
        body[*name] = value.clone();
        let answer = harness.post("/jobs/submit", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{name} {value}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.fields(), [*field], "{name} {value}: {}", answer.body);
        let found = answer.body["errors"][0]["message"].as_str().unwrap();
        assert!(found.contains(message), "{name} {value}: {found}");
    }
    assert_eq!(harness.jobs().await, 0);
    assert!(std::fs::read_dir(harness.root.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let harness = Harness::new().await;
    let answer =
        harness.post("/jobs/submit", &json!({"format": "zip", "compression_level": 11, "vmpath": "x"})).await;
    let mut fields = answer.fields();
    fields.sort_unstable();
    assert_eq!(fields, ["compression_level", "format", "output_dir", "vm_path", "vmpath"]);
}

#[tokio::test]
async fn good_jobs_are_accepted_beside_wrong_ones() {
    let harness = Harness::new().await;
    let dir = harness.dir();
    let answer = harness
        .post(
            "/jobs/submit",
            &json!({"jobs": [
                {"vm_path": "/DC0/vm/nope", "output_dir": dir},
                {"vm_path": "/DC0/vm/prod/web01", "output_dir": dir},
                {"vm_path": "/DC0/vm/prod/web02", "output_dir": dir, "format": "zip"},
            ]}),
        )
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(1), &json!(2)));
    let mut fields = answer.fields();
    fields.sort_unstable();
    assert_eq!(fields, ["jobs[0].vm_path", "jobs[2].format"]);
    assert_eq!(harness.jobs().await, 1);
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let harness = Harness::with_plan([FakeRun::Hold]).await;
    let body = json!({"vm_path": "fake-1", "output_dir": harness.dir(), "id": "nightly"});
    assert_eq!(harness.post("/jobs/submit", &body).await.body["job_ids"], json!(["nightly"]));
    let again = harness.post("/jobs/submit", &body).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(again.fields(), ["id"]);
    let twice = json!({"vm_path": "fake-1", "output_dir": harness.dir(), "id": "twice"});
    let answer = harness.post("/jobs/submit", &json!([twice, twice])).await;
    assert_eq!((&answer.body["accepted"], &answer.body["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(answer.fields(), ["[1].id"]);
    let shared = json!({"vm_path": "/DC0/vm/prod/*", "output_dir": harness.dir(), "id": "shared"});
    let answer = harness.post("/jobs/submit", &shared).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.fields(), ["id"]);
    assert_eq!(harness.jobs().await, 2);
}

#[tokio::test]
async fn fields_of_earlier_versions_are_ignored_aloud() {
    let harness = Harness::new().await;
    let answer = harness
        .post(
            "/jobs/submit",
            &json!([{"vm_path": "fake-1", "output_dir": harness.dir(), "export_method": "ctl", "method": "x",
                     "thin": true, "datacenter": "DC0", "created_at": "2024-01-01T00:00:00Z"}]),
        )
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let warnings = answer.body["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 5);
    assert!(warnings.iter().any(|warning| warning.as_str().unwrap().starts_with("[0].thin is ignored")));
}

#[tokio::test]
async fn a_source_that_is_away_is_no_fault_of_the_caller() {
    let harness = Harness::new().await;
    harness.provider.fault_calls([Error::new(ErrorKind::Unavailable, "connect", "10.0.0.7 refused")]);
    let answer =
        harness.post("/jobs/submit", &json!({"vm_path": "fake-1", "output_dir": harness.dir()})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    assert_eq!(answer.fields(), ["vm_path"]);
    assert!(!answer.body.to_string().contains("10.0.0.7"), "{}", answer.body);
    assert_eq!(harness.jobs().await, 0);
}

#[tokio::test]
async fn a_body_that_is_no_job_is_refused() {
    let harness = Harness::new().await;
    for (content_type, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "7", 400),
        ("application/json", "", 400),
        ("application/yaml", "a: 1\na: 2\n", 400),
        ("application/yaml", "a: [", 400),
        ("application/json", "[]", 422),
        ("application/json", "{\"jobs\": []}", 422),
        ("application/json", "{\"jobs\": 1}", 422),
        ("application/json", "{\"jobs\": [], \"format\": \"ova\"}", 422),
        ("application/json", "[1]", 422),
        ("text/plain", "{}", 415),
        ("application/x-www-form-urlencoded", "{}", 415),
    ] {
        let answer = harness.post_as("/jobs/submit", content_type, body).await;
        assert_eq!(answer.status.as_u16(), status, "{content_type} {body}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let large = format!("\"{}\"", "x".repeat(crate::api::BODY_LIMIT_BYTES));
    let answer = harness.post_as("/jobs/submit", "application/json", &large).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_stopping_daemon_takes_no_jobs() {
    let harness = Harness::new().await;
    harness.readiness.set(Stage::Stopping);
    let answer =
        harness.post("/jobs/submit", &json!({"vm_path": "fake-1", "output_dir": harness.dir()})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
