//! Looking at deliveries, sending them again, and forgetting them.

use std::time::Duration;

use hypersdk_core::ErrorKind;

use super::{Bench, DeliveryStoreFactory, id};
use crate::delivery::{DeliveryId, DeliveryState, Verdict};
use crate::store::{DeliveryCounts, DeliveryQuery};

pub(super) async fn all(open: &DeliveryStoreFactory<'_>) {
    a_delivery_is_read_as_it_was_written(&Bench::new(open).await).await;
    deliveries_are_listed_newest_first(&Bench::new(open).await).await;
    one_or_all_dead_can_be_sent_again(&Bench::new(open).await).await;
    what_is_sent_again_keeps_its_place(&Bench::new(open).await).await;
    what_ended_long_ago_is_forgotten(&Bench::new(open).await).await;
    what_waits_for_nobody_is_given_up(&Bench::new(open).await).await;
}

fn query() -> DeliveryQuery {
    DeliveryQuery { endpoint: None, state: None, before: None, limit: 100 }
}

async fn a_delivery_is_read_as_it_was_written(bench: &Bench) {
    let new = bench.new_delivery("wh-1", "a", "job.failed");
    bench.store.add(vec![new.clone()]).await.expect("added");
    let claimed = bench.claim("wh-1", 1).await.remove(0);
    bench.report(&claimed, Verdict::Dead).await;
    let read = bench.store.delivery(&new.id).await.expect("read").expect("there");
    assert_eq!((&read.endpoint, &read.lane, &read.event), (&new.endpoint, &new.lane, &new.event));
    assert_eq!((read.time, &read.data), (new.time, &new.data));
    assert_eq!(read.attempts, bench.report_of(&claimed, Verdict::Dead).attempts);
    assert_eq!((read.tries, read.created_at), (1, bench.now()));
    assert_eq!(bench.store.delivery(&DeliveryId::new("msg_none")).await.expect("read"), None);
}

async fn deliveries_are_listed_newest_first(bench: &Bench) {
    let ids = bench.add("wh-1", &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    bench.add("wh-2", &[("a", "1")]).await;
    let claimed = bench.claim("wh-1", 1).await;
    bench.report(&claimed[0], Verdict::Delivered).await;
    let list = async |query: DeliveryQuery| -> Vec<DeliveryId> {
        let found = bench.store.deliveries(&query).await.expect("listed");
        found.into_iter().map(|delivery| delivery.id).collect()
    };
    let of_one = DeliveryQuery { endpoint: Some(id("wh-1")), ..query() };
    assert_eq!(list(of_one.clone()).await, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert_eq!(list(DeliveryQuery { limit: 1, ..of_one.clone() }).await, [ids[2].clone()]);
    let before = DeliveryQuery { before: Some(ids[2].clone()), ..of_one.clone() };
    assert_eq!(list(before).await, [ids[1].clone(), ids[0].clone()]);
    let delivered = DeliveryQuery { state: Some(DeliveryState::Delivered), ..query() };
    assert_eq!(list(delivered).await, [ids[0].clone()]);
    assert_eq!(list(query()).await.len(), 4);
    let nowhere = DeliveryQuery { before: Some(DeliveryId::new("msg_none")), ..query() };
    assert_eq!(bench.store.deliveries(&nowhere).await.expect_err("unknown").kind(), ErrorKind::NotFound);
    let counts = bench.store.delivery_counts().await.expect("counted");
    assert_eq!(counts["wh-1"], DeliveryCounts { pending: 2, delivered: 1, ..DeliveryCounts::default() });
    assert_eq!(counts["wh-2"], DeliveryCounts { pending: 1, ..DeliveryCounts::default() });
}

async fn one_or_all_dead_can_be_sent_again(bench: &Bench) {
    let ids = bench.add("wh-1", &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]).await;
    let claimed = bench.claim("wh-1", 3).await;
    for one in &claimed {
        bench.report(one, Verdict::Dead).await;
    }
    assert!(bench.store.redeliver(&ids[0]).await.expect("sent again"));
    assert!(!bench.store.redeliver(&ids[0]).await.expect("it waits already"));
    let unknown = bench.store.redeliver(&DeliveryId::new("msg_none")).await.expect_err("unknown");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    let again = bench.store.delivery(&ids[0]).await.expect("read").expect("there");
    assert_eq!((again.state, again.tries, again.ended_at), (DeliveryState::Pending, 0, None));
    assert_eq!(again.attempts.len(), 1, "what was tried is still known");
    assert_eq!(bench.store.redeliver_dead(&id("wh-2")).await.expect("none"), 0);
    assert_eq!(bench.store.redeliver_dead(&id("wh-1")).await.expect("the others"), 2);
    assert_eq!(bench.claim("wh-1", 10).await.len(), 4);
}

async fn what_is_sent_again_keeps_its_place(bench: &Bench) {
    let ids = bench.add("wh-1", &[("a", "1"), ("a", "2"), ("a", "3")]).await;
    let first = bench.claim("wh-1", 10).await.remove(0);
    bench.report(&first, Verdict::Dead).await;
    assert!(bench.store.redeliver(&ids[0]).await.expect("sent again"));
    let mut order = Vec::new();
    loop {
        let claimed = bench.claim("wh-1", 10).await;
        assert!(claimed.len() <= 1, "one at a time");
        let Some(one) = claimed.into_iter().next() else { break };
        order.push(one.delivery.event.clone());
        bench.report(&one, Verdict::Delivered).await;
    }
    assert_eq!(order, ["1", "2", "3"]);
}

async fn what_ended_long_ago_is_forgotten(bench: &Bench) {
    let ids = bench.add("wh-1", &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]).await;
    let claimed = bench.claim("wh-1", 3).await;
    bench.report(&claimed[0], Verdict::Delivered).await;
    bench.report(&claimed[1], Verdict::Dead).await;
    bench.advance_clock(Duration::from_secs(100));
    bench.report(&claimed[2], Verdict::Delivered).await;
    let (long_ago, before) = (bench.now() - Duration::from_secs(1000), bench.now() - Duration::from_secs(50));
    assert_eq!(bench.store.prune(before, long_ago, 0).await.expect("pruned"), 0);
    assert_eq!(bench.store.prune(before, long_ago, 10).await.expect("pruned"), 1);
    assert_eq!(bench.store.delivery(&ids[0]).await.expect("read"), None);
    assert_eq!(bench.store.prune(before, before, 10).await.expect("pruned"), 1);
    assert_eq!(bench.store.delivery(&ids[1]).await.expect("read"), None);
    assert_eq!(bench.store.deliveries(&query()).await.expect("listed").len(), 2);
}

async fn what_waits_for_nobody_is_given_up(bench: &Bench) {
    bench.add("wh-1", &[("a", "1")]).await;
    let gone = bench.add("wh-2", &[("a", "1"), ("a", "2")]).await;
    assert_eq!(bench.store.give_up_others(&[id("wh-1")], "it was removed").await.expect("given up"), 2);
    let dead = bench.store.delivery(&gone[1]).await.expect("read").expect("there");
    assert_eq!(dead.state, DeliveryState::Dead);
    assert_eq!(dead.attempts[0].error.as_deref(), Some("it was removed"));
    assert!(bench.claim("wh-2", 10).await.is_empty());
    assert_eq!(bench.events("wh-1", 10).await, ["a 1"]);
}
