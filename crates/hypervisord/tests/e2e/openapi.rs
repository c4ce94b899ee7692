//! The document of the API against the API: schemathesis asks the real daemon whatever the document allows,
//! and more. About a minute and a half.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::world::{APP, World};

/// Of the Python environment that `cargo xtask peers` makes.
fn schemathesis() -> PathBuf {
    let python = std::env::var_os("HYPERSDK_PYTHON").map(PathBuf::from);
    let program = python.and_then(|python| Some(python.parent()?.join("schemathesis")));
    program.expect("HYPERSDK_PYTHON is not set: run the tests by `cargo xtask test`")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_gets_an_answer_outside_the_document() {
    let world = World::new().await;
    let base = world.client().base().to_owned();
    let mut job = world.job(APP);
    job["id"] = json!("seen");
    world.complete(&job).await;
    // So that some requests are about what there is.
    // Its jobs fail at once, as the VM runs and they are to leave it alone.
    let mut template = world.job(APP);
    template["options"] = json!({ "power": "keep" });
    let schedule =
        json!({ "id": "seen", "schedule": "0 2 1 1 *", "job_template": template, "enabled": false });
    // Nobody listens there, so each attempt fails at once.
    let webhook = json!({ "id": "seen", "url": "http://127.0.0.1:9/", "allow_private": true, "retry": 0 });
    for (path, body) in [("/schedules", &schedule), ("/webhooks", &webhook)] {
        let (status, made) = world.client().post(path, body).await;
        assert_eq!(status, 201, "{made}");
    }
    std::fs::write(world.path("schemathesis.toml"), "[parameters]\n\"path.id\" = \"seen\"\n").unwrap();
    let examples = std::env::var("HYPERSDK_EXAMPLES").unwrap_or_else(|_| "10".to_owned());
    let output = Command::new(schemathesis())
        .args(["run", &format!("{base}/openapi.json")])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", &examples, "--seed", "7"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_headers_conformance,response_schema_conformance"])
        // Streams without end.
        .args(["--exclude-path", "/events", "--exclude-path", "/vms/events"])
        .args(["--request-timeout", "20", "--no-color"])
        .current_dir(world.path(""))
        .output()
        .expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let cases = said.split(" generated, ").next().and_then(|before| before.split_whitespace().last());
    let cases: u32 = cases.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    assert!(cases > 500, "{said}");
    let log = world.daemon.log();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(world.client().get("/health").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_itself_as_3_1_and_the_page_needs_nothing_else() {
    let world = World::new().await;
    let (_, document) = world.client().get("/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert!(paths.len() > 15, "{paths:?}");
    let problem = &document["components"]["schemas"]["Problem"];
    assert!(problem["properties"]["detail"].is_object(), "{problem}");
    let page =
        Command::new("curl").args(["-s", &format!("{}/docs", world.client().base())]).output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    for path in paths {
        assert!(page.contains(path.as_str()), "{path}");
    }
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("@import"), "{page}");
}
