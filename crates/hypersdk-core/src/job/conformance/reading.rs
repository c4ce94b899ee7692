//! Lists, counts, logs and the event log.

use std::time::Duration;

use super::{Bench, StoreFactory, failure, id, progress};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::id::Seq;
use crate::job::{JobCounts, JobQuery, JobStatus, LogLevel, LogLine, Owner, Settled};

pub(super) async fn all(open: &StoreFactory<'_>) {
    a_listing_pages_from_the_newest_to_the_oldest(open).await;
    a_listing_can_be_narrowed(open).await;
    counts_follow_every_change(open).await;
    a_log_keeps_its_order(open).await;
    events_are_read_in_order_from_any_position(open).await;
}

fn names(jobs: &[crate::job::Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

async fn a_listing_pages_from_the_newest_to_the_oldest(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    // Identifiers that do not sort by age, in a clock that stands still.
    bench.submit(&["m", "z", "a"]).await;
    bench.submit(&["k", "b"]).await;
    let mut query = JobQuery { limit: 2, ..JobQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = bench.store.list(&query).await.expect("lists");
        assert!(page.jobs.len() <= 2);
        seen.extend(page.jobs.iter().map(|job| job.id.to_string()));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["b", "k", "a", "z", "m"]);

    let exact = bench.store.list(&JobQuery { limit: 5, ..JobQuery::default() }).await.expect("lists");
    assert_eq!((exact.jobs.len(), exact.next), (5, None));
    let none = bench.store.list(&JobQuery { limit: 0, ..JobQuery::default() }).await.expect("lists");
    assert_eq!((none.jobs.len(), none.next), (0, None));
    let before = Some(id("nowhere"));
    let error = bench.store.list(&JobQuery { before, ..JobQuery::default() }).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn a_listing_can_be_narrowed(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["a", "b", "c", "d"]).await;
    bench.store.cancel(&id("b")).await.expect("cancels");
    bench.claim(&Owner::unique(), 1).await;
    let list = async |statuses: &[JobStatus], ids: &[&str]| {
        let query = JobQuery {
            statuses: statuses.to_vec(),
            ids: ids.iter().map(|text| id(text)).collect(),
            ..JobQuery::default()
        };
        let page = bench.store.list(&query).await.expect("lists");
        names(&page.jobs).join(" ")
    };
    assert_eq!(list(&[JobStatus::Pending], &[]).await, "d c");
    assert_eq!(list(&[JobStatus::Running, JobStatus::Cancelled], &[]).await, "b a");
    assert_eq!(list(&[], &["a", "d", "nowhere"]).await, "d a");
    assert_eq!(list(&[JobStatus::Pending], &["a", "d"]).await, "d");
    assert_eq!(list(&[JobStatus::Failed], &[]).await, "");
    let narrow =
        JobQuery { statuses: vec![JobStatus::Pending], limit: 1, before: Some(id("d")), ids: vec![] };
    let page = bench.store.list(&narrow).await.expect("lists");
    assert_eq!((names(&page.jobs), page.next.as_ref()), (vec!["c"], None));
}

async fn counts_follow_every_change(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    assert_eq!(bench.store.counts().await.expect("counts"), JobCounts::default());
    bench.submit(&["a", "b", "c", "d", "e"]).await;
    let claims = bench.claim(&Owner::unique(), 3).await;
    let settle = async |place: usize, settled| {
        let job = &claims[place].job.id;
        bench.store.settle(job, claims[place].fence, settled, progress()).await.expect("settles");
    };
    settle(0, Settled::Completed(super::outcome())).await;
    settle(1, Settled::Failed(failure())).await;
    bench.store.cancel(&id("e")).await.expect("cancels");
    let counts = bench.store.counts().await.expect("counts");
    assert_eq!(counts, JobCounts { pending: 1, running: 1, completed: 1, failed: 1, cancelled: 1 });
    assert_eq!(counts.total(), 5);
}

async fn a_log_keeps_its_order(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["a", "b"]).await;
    let line = |number: u32, level| LogLine {
        time: bench.now(),
        level,
        message: format!("line {number}: \"quoted\"\nü"),
    };
    let first = [line(1, LogLevel::Info), line(2, LogLevel::Warning)];
    let second = [line(3, LogLevel::Error), line(4, LogLevel::Info)];
    bench.store.append_log(&id("a"), None, &first).await.expect("appends");
    bench.store.append_log(&id("b"), None, &[line(9, LogLevel::Info)]).await.expect("appends");
    bench.store.append_log(&id("a"), None, &second).await.expect("appends");
    bench.store.append_log(&id("a"), None, &[]).await.expect("appends nothing");
    assert_eq!(bench.store.log(&id("a")).await.expect("reads"), [first, second].concat());
    assert_eq!(bench.store.log(&id("b")).await.expect("reads"), [line(9, LogLevel::Info)]);
}

async fn events_are_read_in_order_from_any_position(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["a", "b"]).await;
    bench.advance(Duration::from_secs(1));
    bench.store.cancel(&id("a")).await.expect("cancels");
    bench.store.cancel(&id("b")).await.expect("cancels");
    let all = bench.events().await;
    assert_eq!(all.len(), 4);
    assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq), "{all:?}");
    assert!(all[0].seq > Seq::START);
    for (place, event) in all.iter().enumerate() {
        let rest = bench.store.read_after(event.seq, None, 100).await.expect("reads");
        assert_eq!(rest, all[place + 1..]);
    }
    assert_eq!(bench.store.read_after(Seq::START, None, 3).await.expect("reads"), all[..3]);
    assert_eq!(bench.store.read_after(all[3].seq, None, 3).await.expect("reads"), []);
    let of_b = bench.store.read_after(all[1].seq, Some(&id("b")), 100).await.expect("reads");
    assert_eq!(of_b, all[3..]);
    assert_eq!(bench.kinds(&id("b")).await, [EventKind::JobCreated, EventKind::JobCancelled]);
    assert_eq!(bench.store.read_after(Seq::START, Some(&id("c")), 100).await.expect("reads"), []);
}
