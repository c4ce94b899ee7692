//! Schedules by request: made, shown, changed, fired, removed.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use hypersdk_core::JobStatus;
use hypersdk_core::testing::FakeRun;
use serde_json::{Value, json};

use super::harness::{Answer, Harness};

impl Harness {
    fn nightly(&self) -> Value {
        json!({
            "id": "nightly",
            "name": "Nightly",
            "schedule": "0 2 * * *",
            "job_template": {"vm_path": "/DC0/vm/prod/*", "output_dir": self.dir(), "format": "ova"},
        })
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Makes the nightly schedule, with some of its fields replaced.
    async fn schedule(&self, fields: Value) -> Answer {
        let mut body = self.nightly();
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post("/schedules", &body).await
    }
}

#[tokio::test]
async fn a_schedule_is_made_and_shown_with_its_next_time() {
    let harness = Harness::new().await;
    let made = harness.schedule(json!({"timezone": "Europe/Berlin", "tags": ["prod"]})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.headers["location"], "/schedules/nightly");
    assert_eq!(made.body["schedule_text"], "at 02:00 every day");
    assert_eq!((&made.body["enabled"], &made.body["run_count"]), (&json!(true), &json!(0)));
    assert_eq!((&made.body["last_run"], &made.body["overlap"]), (&Value::Null, &json!("skip")));
    assert_eq!(made.body["catch_up"], json!({"policy": "latest"}));
    let list = harness.get("/schedules").await;
    assert_eq!(list.body.as_array().expect("a bare list").len(), 1);
    assert_eq!(list.body[0], made.body);
    assert_eq!(harness.get("/schedules?tag=prod").await.body.as_array().unwrap().len(), 1);
    assert_eq!(harness.get("/schedules?tag=test").await.body, json!([]));

    let shown = harness.get("/schedules/nightly?next=3").await.body;
    assert_eq!(shown["next_runs"].as_array().unwrap().len(), 3);
    assert_eq!(shown["next_runs"][0]["planned_at"], shown["next_run"]);
    let next = harness.get("/schedules/nightly/next?n=2").await.body;
    assert_eq!(next["next"].as_array().unwrap().len(), 2);
    assert!(next["next"][0]["local"].as_str().unwrap().contains("T02:00:00+0"), "{next}");
    let stats = harness.get("/stats/schedules").await.body;
    assert_eq!((&stats["total_schedules"], &stats["enabled_schedules"]), (&json!(1), &json!(1)));
    assert_eq!(stats["next_run"], shown["next_run"]);
}

#[tokio::test]
async fn every_wrong_field_is_named_with_what_would_be_right() {
    let harness = Harness::new().await;
    let cases: &[(Value, &str, &str)] = &[
        (json!({"schedule": "61 * * * *"}), "schedule", "field minute: 61 is too large; use 0 to 59"),
        (json!({"schedule": null}), "schedule", "is missing"),
        (json!({"timezone": "Europe/Berlni"}), "timezone", "did you mean Europe/Berlin?"),
        (json!({"id": "a b"}), "id", "characters"),
        (json!({"id": "preview"}), "id", "a word of the API"),
        (json!({"job_template": null}), "job_template", "is missing"),
        (json!({"job_template": {"vm_path": "x"}}), "job_template.output_dir", "is missing"),
        (
            json!({"job_template": {"vm_path": "x", "output_dir": "/x", "formt": "ova"}}),
            "job_template.formt",
            "format",
        ),
        (
            json!({"job_template": {"vm_path": "x", "output_dir": "/x", "id": "a"}}),
            "job_template.id",
            "leave it out",
        ),
        (
            json!({"job_template": {"vm_path": "x", "output_dir": "/x", "package_name": "{day}"}}),
            "job_template.package_name",
            "{vm}",
        ),
        (json!({"overlap": "wait"}), "overlap", "skip, queue, cancel_previous"),
        (json!({"catch_up": "some"}), "catch_up.policy", "none, latest, all"),
        (json!({"catch_up": {"policy": "latest", "limit": 3}}), "catch_up.limit", "policy all"),
        (json!({"jitter": "5"}), "jitter", "has no unit"),
        (json!({"jitter": "25h"}), "jitter", "longer than a day"),
        (json!({"windows": [{"from": "22:00"}]}), "windows[0].to", "is missing"),
        (json!({"windows": [{"from": "22:00", "to": "6"}]}), "windows[0].to", "no time of day"),
        (
            json!({"windows": [{"from": "03:00", "to": "04:00"}]}),
            "windows",
            "no time of the schedule lies in",
        ),
        (
            json!({"windows": [{"days": ["monday"], "from": "1:00", "to": "4:00"}]}),
            "windows[0].days",
            "mon, tue",
        ),
        (
            json!({"blackouts": [{"from": "2026-12-24", "to": "2026-12-27"}]}),
            "blackouts[0].from",
            "no instant",
        ),
        (json!({"max_failures": 0}), "max_failures", "1 to"),
        (
            json!({"retention": {"keep_last": 0}}),
            "retention.keep_last",
            "expected a whole number from 1 to 100000",
        ),
        (json!({"retention": {"keep_dayly": 3}}), "retention.keep_dayly", "did you mean keep_daily?"),
        (json!({"retention": {"min_free": "10 GiB"}}), "retention.min_free", "expected a whole number"),
        (json!({"retention": {}}), "retention", "has no rule: give at least one of keep_last"),
        (json!({"retention": 3}), "retention", "expected an object"),
        (json!({"tags": "prod"}), "tags", "list of texts"),
        (json!({"cron": "* * * * *"}), "cron", "unknown field"),
    ];
    for (change, field, says) in cases {
        let answer = harness.schedule(change.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {}", answer.body);
        let errors = answer.body["errors"].as_array().unwrap();
        let error = errors.iter().find(|error| error["field"] == *field);
        let error = error.unwrap_or_else(|| panic!("{change}: {field} in {}", answer.body));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{change}: {message:?} says {says:?}");
    }
    assert_eq!(harness.get("/schedules").await.body, json!([]));
    harness.schedule(json!({})).await;
    let again = harness.schedule(json!({})).await;
    assert_eq!((again.status, again.fields()), (StatusCode::CONFLICT, vec!["id"]));
}

#[tokio::test]
async fn a_definition_is_replaced_as_a_whole_and_only_at_the_revision_it_was_read_at() {
    let harness = Harness::new().await;
    harness.schedule(json!({"description": "x", "enabled": false})).await;
    let mut body = harness.nightly();
    body["schedule"] = json!("0 3 * * *");
    body["revision"] = json!(1);
    let changed = harness.call(Method::PUT, "/schedules/nightly", &body).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!((&changed.body["description"], &changed.body["revision"]), (&json!(""), &json!(2)));
    assert_eq!((&changed.body["enabled"], &changed.body["next_run"]), (&json!(false), &Value::Null));
    let stale = harness.call(Method::PUT, "/schedules/nightly", &body).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.body);
    body["id"] = json!("other");
    let moved = harness.call(Method::PUT, "/schedules/nightly", &body).await;
    assert_eq!(moved.fields(), ["id"]);
    for (path, enabled) in [("enable", true), ("enable", true), ("disable", false)] {
        let answer = harness.post(&format!("/schedules/nightly/{path}"), &json!({})).await;
        assert_eq!((answer.status, &answer.body["enabled"]), (StatusCode::OK, &json!(enabled)));
    }
    let gone = harness.call(Method::DELETE, "/schedules/nightly", &json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    for path in
        ["/schedules/nightly", "/schedules/nightly/runs", "/schedules/nightly/next", "/schedules/a%20b"]
    {
        assert_eq!(harness.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let answer = harness.post("/schedules/nightly/trigger", &json!({})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_trigger_resolves_the_glob_and_its_run_ends_with_its_jobs() {
    let harness = Harness::with_plan([FakeRun::Hold, FakeRun::Hold]).await;
    harness.schedule(json!({})).await;
    let answer = harness.post("/schedules/nightly/trigger", &json!({})).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    assert_eq!((&answer.body["status"], &answer.body["cause"]), (&json!("running"), &json!("manual")));
    let jobs: Vec<String> = serde_json::from_value(answer.body["job_ids"].clone()).unwrap();
    assert_eq!(jobs.len(), 2, "one a VM");
    let job = harness.get(&format!("/jobs/{}", jobs[0])).await.body;
    assert_eq!(job["definition"]["schedule"]["id"], "nightly", "{job}");
    assert_eq!(job["definition"]["name"], "Nightly");
    assert!(job["definition"]["package_name"].as_str().unwrap().starts_with("web0"), "{job}");
    let again = harness.post("/schedules/nightly/trigger", &json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "its run goes on: {}", again.body);
    harness.runner.release();
    for job in &jobs {
        assert_eq!(harness.ended(job).await, JobStatus::Completed);
    }
    let ended = async {
        loop {
            let runs = harness.get("/schedules/nightly/runs").await.body;
            if runs["runs"][0]["status"] == "succeeded" {
                return runs;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let runs = tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.unwrap();
    assert_eq!((runs["runs"].as_array().unwrap().len(), &runs["next"]), (1, &Value::Null));
    assert_eq!(runs["runs"][0]["job_ids"], answer.body["job_ids"]);
    let shown = harness.get("/schedules/nightly").await.body;
    assert_eq!((&shown["run_count"], shown["last_run"].is_null()), (&json!(1), false));
}

#[tokio::test]
async fn a_trigger_that_can_start_nothing_says_why_and_counts() {
    let harness = Harness::new().await;
    let template = json!({"vm_path": "/DC0/vm/nobody", "output_dir": harness.dir()});
    harness.schedule(json!({"job_template": template, "max_failures": 1})).await;
    let answer = harness.post("/schedules/nightly/trigger", &json!({})).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
    assert!(answer.body["detail"].as_str().unwrap().contains("/DC0/vm/nobody"), "{}", answer.body);
    let shown = harness.get("/schedules/nightly").await.body;
    assert_eq!((&shown["enabled"], &shown["missed_count"]), (&json!(false), &json!(1)));
    assert!(shown["disabled_because"].as_str().unwrap().contains("failures in a row"), "{shown}");
    assert_eq!(harness.jobs().await, 0);
}

#[tokio::test]
async fn times_can_be_looked_at_before_they_are_kept() {
    let harness = Harness::new().await;
    let body = json!({"schedule": "30 2 * * sun", "timezone": "Europe/Berlin"});
    let answer = harness.post("/schedules/preview?n=2", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body["schedule_text"], "at 02:30 on Sunday");
    assert_eq!(answer.body["next"].as_array().unwrap().len(), 2);
    let wrong = harness.post("/schedules/preview", &json!({"schedule": "x", "zone": "UTC"})).await;
    assert_eq!(wrong.fields(), ["schedule", "zone"]);
    assert_eq!(harness.get("/schedules").await.body, json!([]));
    assert_eq!(harness.get("/schedules/x/next?n=1001").await.fields(), ["n"]);
}
