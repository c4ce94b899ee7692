//! What every route of the API does alike, as curl sees it: compressed answers, tags, conditions, pages, identifiers of
//! requests, and a limit on their number. Needs curl, jq, gzip and zstd, and about three seconds.

use std::collections::BTreeSet;

use hypersdk_tests::{Client, Daemon, DaemonConfig, command};
use serde_json::{Value, json};

use crate::world::{APP, World};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

/// A command line, with `$API` for the daemon's address.
fn sh(client: &Client, line: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    command("sh", &["-c", &line.replace("$API", client.base())], directory.path()).trim().to_owned()
}

/// The status and one header of the answer.
fn head(client: &Client, header: &str, arguments: &str) -> (String, String) {
    let line = format!("curl -s -o /dev/null -w '%{{http_code}}|%header{{{header}}}' {arguments}");
    let said = sh(client, &line);
    let (status, value) = said.split_once('|').expect("both");
    (status.to_owned(), value.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_as_asked_and_carry_the_id_of_the_request() {
    let world = World::new().await;
    let client = world.client();
    for (coding, program) in [("gzip", "gzip -dc"), ("zstd", "zstd -dc")] {
        let ask = format!("-H 'Accept-Encoding: {coding}' $API/openapi.json");
        assert_eq!(head(client, "content-encoding", &ask), ("200".to_owned(), coding.to_owned()));
        assert_eq!(sh(client, &format!("curl -s {ask} | {program} | jq -r .openapi")), "3.1.0");
    }
    let plain = head(client, "content-encoding", "$API/openapi.json");
    assert_eq!(plain, ("200".to_owned(), String::new()));
    let own = head(client, "x-request-id", "-H 'X-Request-Id: night-7' $API/jobs/nobody");
    assert_eq!(own, ("404".to_owned(), "night-7".to_owned()));
    let made_up = head(client, "x-request-id", "$API/health");
    assert!(made_up.1.len() > 20, "{made_up:?}");
    let problem =
        sh(client, "curl -s $API/jobs/nobody | jq -r '[.type, .title, .status, .request_id] | @csv'");
    assert!(problem.starts_with(r#""about:blank","Not Found",404,""#), "{problem}");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_looks_go_by_tags() {
    let world = World::new().await;
    let client = world.client();
    let schedule = json!({ "id": "nightly", "schedule": "0 2 * * *", "job_template": world.job(APP) });
    let json = "-H 'Content-Type: application/json'";
    let made = head(client, "etag", &format!("{json} -d '{schedule}' $API/schedules"));
    assert_eq!(made.0, "201");
    let (_, tag) = head(client, "etag", "$API/schedules/nightly");
    assert_eq!(made.1, tag, "the answer to the change has the tag of the next look");
    let looked = head(client, "etag", &format!("-H 'If-None-Match: {tag}' $API/schedules/nightly"));
    assert_eq!(looked, ("304".to_owned(), tag.clone()));
    let put = format!("-X PUT {json} -H 'If-Match: {tag}' -d '{schedule}' $API/schedules/nightly");
    assert_eq!(head(client, "etag", &put).0, "200");
    let late = sh(client, &format!("curl -s {put} | jq -r '\"\\(.status) \\(.detail)\"'"));
    assert!(late.starts_with("412 ") && late.contains("GET /schedules/nightly"), "{late}");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_a_gap_or_a_repetition() {
    let world = World::new().await;
    let mut expected = BTreeSet::new();
    for _ in 0..5 {
        let mut job = world.job(APP);
        job["overwrite"] = json!(true);
        expected.insert(world.client().submit(&job).await);
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = sh(world.client(), &format!("curl -s '$API/jobs?limit=2{next}'"));
        let page: Value = serde_json::from_str(&page).expect("JSON");
        let jobs = page["jobs"].as_array().expect("a list");
        seen.extend(jobs.iter().map(|job| job["definition"]["id"].as_str().expect("an id").to_owned()));
        assert_eq!(page["total"], 5, "{page:#}");
        match page["next"].as_str() {
            Some(before) => next = format!("&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), expected);
    for id in &expected {
        world.client().wait_for_end(id).await;
    }
    world.stop_clean().await;
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = DaemonConfig::bare(directory.path()).set("server", "{requests_per_minute: 20}");
    let daemon = Daemon::start(BINARY, &config);
    // All over one connection, faster than there are new turns.
    let line = "curl -s -o /dev/null -w '%{http_code}|%header{retry-after}\\n' '$API/health?[1-100]'";
    let said = sh(daemon.client(), line);
    let answers: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once('|')).collect();
    assert_eq!(answers.len(), 100, "{said}");
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| *status == "200");
    assert!(served.len() >= 20, "{answers:?}");
    assert!(!refused.is_empty(), "{answers:?}");
    for (status, seconds) in refused {
        assert_eq!(status.to_string(), "429");
        assert!((1..=60).contains(&seconds.parse::<u64>().expect("seconds")), "{seconds}");
    }
    assert!(daemon.stop().0.success());
}
