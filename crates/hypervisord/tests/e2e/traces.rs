//! A collector gets a job as one trace, down to its calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::world::{APP, World, simulator};

type Spans = Arc<Mutex<Vec<Span>>>;

async fn take(State(spans): State<Spans>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("what OTLP defines");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
}

async fn collector() -> (String, Spans) {
    let spans = Spans::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, spans)
}

fn text(span: &Span, key: &str) -> String {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key);
    match attribute.and_then(|attribute| attribute.value.as_ref()?.value.clone()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_one_trace_with_its_files_and_calls() {
    let (endpoint, spans) = collector().await;
    // Calls are spans of the level debug; the log's own level is info.
    let world =
        World::over(simulator(), |config| config.set("traces", &format!("{{ endpoint: {endpoint:?} }}")))
            .await;
    let (_, can) = world.client().get("/capabilities").await;
    assert_eq!(can["traces"], true, "{can}");
    let id = world.client().submit(&world.job(APP)).await;
    let job = world.client().wait_for_end(&id).await;
    assert_eq!(job["status"], "completed", "{job:#}");
    // A stop sends what has not been sent.
    world.stop_clean().await;

    let spans = spans.lock().unwrap();
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (span.span_id.clone(), span)).collect();
    let root = spans
        .iter()
        .find(|span| span.name == "job" && text(span, "job") == id)
        .unwrap_or_else(|| panic!("no span of {id}"));
    let below = |name: &str| -> Vec<&Span> {
        let of_job = |span: &&Span| {
            let mut at = *span;
            while let Some(parent) = by_id.get(&at.parent_span_id) {
                at = parent;
            }
            at.span_id == root.span_id
        };
        spans.iter().filter(|span| span.name == name).filter(of_job).collect()
    };
    assert!(below("soap").iter().all(|span| span.trace_id == root.trace_id));
    let methods: Vec<String> = below("soap").into_iter().map(|span| text(span, "method")).collect();
    for method in ["CreateSnapshot_Task", "ExportSnapshot", "HttpNfcLeaseComplete", "RemoveSnapshot_Task"] {
        assert!(methods.iter().any(|called| called == method), "{method} is not in {methods:?}");
    }
    assert!(below("soap").iter().all(|span| !text(span, "op_id").is_empty()));
    let files: Vec<String> = below("file").into_iter().map(|span| text(span, "name")).collect();
    assert!(files.iter().any(|name| name.ends_with(".vmdk")), "{files:?}");
    assert!(below("file").iter().all(|span| span.end_time_unix_nano > span.start_time_unix_nano));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_jobs_go_on() {
    let world =
        World::over(simulator(), |config| config.set("traces", "{ endpoint: http://127.0.0.1:9 }")).await;
    world.complete(&world.job(APP)).await;
    let log = world.stop_clean().await;
    assert!(!log.contains("panicked"), "{log}");
}
