//! What every [`NodeStore`] does.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;

use crate::error::ErrorKind;
use crate::job::{NodeReport, NodeStore, Owner};

fn report(name: &str) -> NodeReport {
    NodeReport {
        name: name.to_owned(),
        owner: Owner::unique(),
        version: "0.3.0".to_owned(),
        address: "127.0.0.1:8080".to_owned(),
        providers: BTreeSet::from(["berlin".parse().expect("a name")]),
        labels: BTreeSet::from(["near".to_owned()]),
        running: 1,
        max_concurrent: 2,
        started_at: DateTime::from_timestamp_micros(1_800_000_000_000_001).expect("a time"),
    }
}

/// Runs the whole suite on an empty store.
///
/// # Panics
/// On the first thing the store does not do.
pub async fn node_store(store: Arc<dyn NodeStore>) {
    let error = store.set_paused("one", true).await.expect_err("nobody has heard of it");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let (one, two) = (report("one"), report("two"));
    assert!(!store.report(&one).await.expect("reports"));
    assert!(!store.report(&two).await.expect("reports"));
    store.set_paused("one", true).await.expect("pauses");
    let again = report("one");
    assert!(store.report(&again).await.expect("reports"), "a pause outlives the process");
    assert!(!store.report(&two).await.expect("reports"));
    let (nodes, now) = store.nodes().await.expect("lists");
    let found: Vec<_> = nodes.iter().map(|node| (&node.report, node.paused)).collect();
    assert_eq!(found, [(&again, true), (&two, false)]);
    assert!(nodes.iter().all(|node| node.heard_at <= now));
    store.set_paused("one", false).await.expect("resumes");
    assert!(!store.report(&again).await.expect("reports"));
}
