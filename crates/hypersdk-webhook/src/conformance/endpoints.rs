//! Endpoints and the cursor.

use hypersdk_core::ErrorKind;

use super::{Bench, DeliveryStoreFactory, id, seq};
use crate::endpoint::{Halt, StoredEndpoint};

pub(super) async fn all(open: &DeliveryStoreFactory<'_>) {
    an_endpoint_is_kept_changed_and_removed(&Bench::new(open).await).await;
    a_halt_stays_until_it_is_ended(&Bench::new(open).await).await;
    the_cursor_moves_once(&Bench::new(open).await).await;
}

fn endpoint(bench: &Bench, version: i64) -> StoredEndpoint {
    StoredEndpoint {
        id: id("wh-1"),
        spec: format!(r#"{{"version":{version}}}"#),
        sealed: Some(vec![0, 255, 1, 2]),
        created_at: bench.now(),
        updated_at: bench.now(),
        version,
    }
}

async fn an_endpoint_is_kept_changed_and_removed(bench: &Bench) {
    let store = &bench.store;
    store.put_endpoint(endpoint(bench, 1)).await.expect("a new endpoint is kept");
    let first = store.endpoints().await.expect("endpoints are read");
    assert_eq!(first.stored, [endpoint(bench, 1)]);
    for version in [1, 3] {
        let error = store.put_endpoint(endpoint(bench, version)).await.expect_err("another version is there");
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    store.put_endpoint(endpoint(bench, 2)).await.expect("the next version is kept");
    let second = store.endpoints().await.expect("endpoints are read");
    assert_eq!(second.stored, [endpoint(bench, 2)]);
    assert!(second.revision > first.revision);

    bench.add("wh-1", &[("a", "job.created")]).await;
    assert!(store.remove_endpoint(&id("wh-1")).await.expect("it is removed"));
    assert!(!store.remove_endpoint(&id("wh-1")).await.expect("it is gone"));
    let third = store.endpoints().await.expect("endpoints are read");
    assert!(third.stored.is_empty() && third.revision > second.revision);
    assert!(store.delivery_counts().await.expect("counts").is_empty(), "its deliveries are gone too");
    let error = store.put_endpoint(endpoint(bench, 3)).await.expect_err("it was removed meanwhile");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

async fn a_halt_stays_until_it_is_ended(bench: &Bench) {
    let store = &bench.store;
    let halt = Halt { since: bench.now(), reason: "answered 410 Gone".to_owned() };
    store.halt(&id("wh-1"), Some(halt.clone())).await.expect("halted");
    store.halt(&id("cfg-1"), Some(halt.clone())).await.expect("one of the configuration too");
    assert_eq!(store.endpoints().await.expect("endpoints").halted.get("cfg-1"), Some(&halt));
    store.halt(&id("cfg-1"), None).await.expect("ended");
    store.put_endpoint(endpoint(bench, 1)).await.expect("kept");
    assert!(store.endpoints().await.expect("endpoints").halted.is_empty(), "a change ends a halt");
}

async fn the_cursor_moves_once(bench: &Bench) {
    let store = &bench.store;
    let cursor = store.cursor(seq(7)).await.expect("a cursor");
    assert_eq!(cursor.position, seq(7));
    assert_eq!(store.cursor(seq(9)).await.expect("a cursor"), cursor, "made once");
    let new = || vec![bench.new_delivery("wh-1", "a", "job.created")];
    let (moved, done) = store.advance(cursor, seq(8), new()).await.expect("advanced");
    assert!(done && moved.position == seq(8));
    let (same, done) = store.advance(cursor, seq(8), new()).await.expect("an answer");
    assert!(!done && same == moved, "whoever comes second changes nothing");
    assert_eq!(bench.events("wh-1", 10).await, ["a job.created"]);

    store.put_endpoint(endpoint(bench, 1)).await.expect("kept");
    let (current, done) = store.advance(moved, seq(9), new()).await.expect("an answer");
    assert!(!done && current.position == seq(8), "endpoints have changed: they must be read first");
    let (_, done) = store.advance(current, seq(9), Vec::new()).await.expect("advanced");
    assert!(done);
}
