use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use hypersdk_core::testing::FakeRun;
use tower::ServiceExt;

use super::harness::Harness;

async fn open(harness: &Harness, id: &str, last: Option<&str>) -> Body {
    let mut request = Request::get(format!("/jobs/{id}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = harness.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

/// The whole stream, as text; `at` is called with what has come so far.
async fn follow(mut body: Body, mut at: impl FnMut(&str)) -> String {
    let mut text = String::new();
    let whole = async {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.unwrap().into_data() {
                text.push_str(std::str::from_utf8(&data).unwrap());
                at(&text);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), whole).await.expect("the stream ends");
    text
}

async fn stream(harness: &Harness, id: &str, last: Option<&str>) -> String {
    follow(open(harness, id, last).await, |_| {}).await
}

/// `(event, id)` of each message.
fn messages(text: &str) -> Vec<(String, Option<String>)> {
    text.split("\n\n")
        .filter_map(|message| {
            let field = |name: &str| {
                message.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            Some((field("event:")?, field("id:")))
        })
        .collect()
}

#[tokio::test]
async fn the_stream_tells_a_jobs_story_and_ends_with_it() {
    let harness = Harness::with_plan([FakeRun::Hold]).await;
    let id = harness.submit("fake-1").await;
    harness.runner.until_started(1).await;
    let body = open(&harness, &id, None).await;
    let text = follow(body, |text| {
        if text.contains("event: job.progress") {
            harness.runner.release();
        }
    })
    .await;
    let all = messages(&text);
    let names: Vec<&str> =
        all.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "job.progress").collect();
    assert_eq!(names, ["job.created", "job.started", "job.completed"], "{text}");
    assert!(all.iter().any(|(name, id)| name == "job.progress" && id.is_none()), "{text}");
    assert!(text.contains("percent_complete"), "{text}");
}

#[tokio::test]
async fn a_client_that_comes_back_misses_and_repeats_nothing() {
    let harness = Harness::new().await;
    let id = harness.submit("fake-1").await;
    harness.ended(&id).await;
    let all = messages(&stream(&harness, &id, None).await);
    assert_eq!(all.len(), 3, "{all:?}");
    for seen in 1..=all.len() {
        let last = all[seen - 1].1.clone().unwrap();
        let rest = messages(&stream(&harness, &id, Some(&last)).await);
        assert_eq!(rest, all[seen..], "after {last}");
    }
    assert_eq!(harness.get(&format!("/jobs/{id}/events?last_event_id=x")).await.fields(), ["Last-Event-ID"]);
}

#[tokio::test]
async fn streams_end_when_the_daemon_stops() {
    let harness = Harness::with_plan([FakeRun::Hold]).await;
    let id = harness.submit("fake-1").await;
    harness.runner.until_started(1).await;
    harness.stopping.cancel();
    let text = stream(&harness, &id, None).await;
    assert!(!text.contains("job.completed"), "{text}");
    harness.runner.release();
}

/// What comes until `enough`, with its content type.
async fn all_events(harness: &Harness, last: Option<&str>, enough: impl Fn(&str) -> bool) -> String {
    let mut request = Request::get("/events").header("accept-encoding", "gzip, zstd");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = harness.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("content-encoding"), "a compressed stream would wait");
    let mut body = response.into_body();
    let mut text = String::new();
    let reading = async {
        while !enough(&text) {
            let Some(frame) = body.frame().await else { break };
            if let Ok(data) = frame.unwrap().into_data() {
                text.push_str(std::str::from_utf8(&data).unwrap());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it comes");
    text
}

#[tokio::test]
async fn the_stream_of_everything_tells_of_all_jobs_and_goes_on_where_it_was_left() {
    let harness = Harness::with_plan([FakeRun::Hold, FakeRun::Hold]).await;
    let one = harness.submit("fake-1").await;
    let other = harness.submit("fake-2").await;
    harness.runner.until_started(2).await;
    let whole =
        all_events(&harness, Some("0"), |text| text.matches("event: job.progress").count() >= 2).await;
    for id in [&one, &other] {
        assert!(whole.contains(id.as_str()), "{whole}");
    }
    let seen: Vec<_> = messages(&whole).into_iter().filter_map(|(_, id)| id).collect();
    assert_eq!(seen.len(), 4, "two were created and two started: {whole}");
    let rest = all_events(&harness, Some(&seen[2]), |text| text.contains(&format!("id: {}", seen[3]))).await;
    assert_eq!(messages(&rest).into_iter().filter_map(|(_, id)| id).collect::<Vec<_>>(), seen[3..]);
    // Without a position it is about what comes now.
    harness.runner.release();
    harness.ended(&one).await;
    harness.ended(&other).await;
    harness.stopping.cancel();
    let now = all_events(&harness, None, |_| false).await;
    assert!(!now.contains("job.created"), "{now}");
    assert_eq!(harness.get("/events?last_event_id=x").await.fields(), ["Last-Event-ID"]);
}

#[tokio::test]
async fn large_answers_are_compressed_for_whoever_can_take_it() {
    let harness = Harness::new().await;
    for coding in ["gzip", "zstd"] {
        let request = Request::get("/openapi.json").header("accept-encoding", coding).body(Body::empty());
        let answer = harness.send(request.unwrap()).await;
        assert_eq!(answer.headers["content-encoding"], coding);
    }
    let plain = harness.get("/openapi.json").await;
    assert!(!plain.headers.contains_key("content-encoding") && plain.body["openapi"].is_string());
    let small = Request::get("/health/live").header("accept-encoding", "gzip").body(Body::empty());
    assert!(!harness.send(small.unwrap()).await.headers.contains_key("content-encoding"));
}
