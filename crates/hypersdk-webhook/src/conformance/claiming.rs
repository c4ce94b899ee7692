//! Claims, their order and their ends.

use std::time::Duration;

use hypersdk_core::Owner;

use super::{Bench, DeliveryStoreFactory, LEASE, id, told};
use crate::delivery::{DeliveryState, Verdict};

pub(super) async fn all(open: &DeliveryStoreFactory<'_>) {
    a_lane_is_delivered_one_after_the_other(&Bench::new(open).await).await;
    a_retry_holds_its_lane_and_no_other(&Bench::new(open).await).await;
    a_dead_delivery_lets_the_next_one_pass(&Bench::new(open).await).await;
    a_claim_belongs_to_one_owner(&Bench::new(open).await).await;
    a_claim_ends_unless_it_is_renewed(&Bench::new(open).await).await;
    an_exclusive_owner_takes_everything_back(&Bench::new(open).await).await;
    limits_are_for_each_endpoint(&Bench::new(open).await).await;
    only_the_newest_sample_is_sent(&Bench::new(open).await).await;
    a_released_delivery_is_as_it_was(&Bench::new(open).await).await;
}

async fn a_lane_is_delivered_one_after_the_other(bench: &Bench) {
    let deliveries = [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), ("a", "3")];
    bench.add("wh-1", &deliveries).await;
    let first = bench.claim("wh-1", 10).await;
    assert_eq!(first.iter().map(told).collect::<Vec<_>>(), ["a 1", "b 1"]);
    assert!(bench.claim("wh-1", 10).await.is_empty(), "both lanes are taken");
    bench.report(&first[0], Verdict::Delivered).await;
    let second = bench.claim("wh-1", 10).await;
    assert_eq!(second.iter().map(told).collect::<Vec<_>>(), ["a 2"]);
    let both =
        vec![bench.report_of(&first[1], Verdict::Delivered), bench.report_of(&second[0], Verdict::Delivered)];
    assert!(bench.store.report(&bench.owner, both).await.expect("reported").is_empty());
    assert_eq!(bench.events("wh-1", 10).await, ["a 3", "b 2"]);
}

async fn a_retry_holds_its_lane_and_no_other(bench: &Bench) {
    bench.add("wh-1", &[("a", "1"), ("a", "2"), ("b", "1")]).await;
    let claimed = bench.claim("wh-1", 1).await;
    let due = bench.now() + Duration::from_secs(5);
    bench.report(&claimed[0], Verdict::Retry(due)).await;
    assert_eq!(bench.events("wh-1", 10).await, ["b 1"]);
    assert_eq!(bench.store.next_due(&[id("wh-1")]).await.expect("a time"), Some(due));
    assert_eq!(bench.store.next_due(&[id("wh-2")]).await.expect("no time"), None);
    bench.advance_clock(Duration::from_secs(5));
    let again = bench.claim("wh-1", 10).await;
    assert_eq!(again.iter().map(told).collect::<Vec<_>>(), ["a 1"]);
    assert_eq!((again[0].delivery.tries, again[0].delivery.attempts.len()), (1, 1));
    assert!(again[0].fence > claimed[0].fence);
}

async fn a_dead_delivery_lets_the_next_one_pass(bench: &Bench) {
    let ids = bench.add("wh-1", &[("a", "1"), ("a", "2")]).await;
    let claimed = bench.claim("wh-1", 10).await;
    bench.report(&claimed[0], Verdict::Dead).await;
    let dead = bench.store.delivery(&ids[0]).await.expect("read").expect("there");
    assert_eq!((dead.state, dead.ended_at), (DeliveryState::Dead, Some(bench.now())));
    assert_eq!(bench.events("wh-1", 10).await, ["a 2"]);
}

async fn a_claim_belongs_to_one_owner(bench: &Bench) {
    bench.add("wh-1", &[("a", "1")]).await;
    let other = Owner::unique();
    let claimed = bench.claim("wh-1", 1).await;
    assert!(bench.claim_as(&other, "wh-1", 1).await.is_empty());
    let report = bench.report_of(&claimed[0], Verdict::Delivered);
    let lost = bench.store.report(&other, vec![report]).await.expect("an answer");
    assert_eq!(lost, [claimed[0].delivery.id.clone()]);
    assert!(bench.report(&claimed[0], Verdict::Delivered).await.is_empty());
    assert_eq!(bench.report(&claimed[0], Verdict::Delivered).await.len(), 1, "a claim ends once");
}

async fn a_claim_ends_unless_it_is_renewed(bench: &Bench) {
    bench.add("wh-1", &[("a", "1")]).await;
    let claimed = bench.claim("wh-1", 1).await;
    let other = Owner::unique();
    bench.advance_clock(LEASE / 2);
    bench.store.renew(&bench.owner, LEASE).await.expect("renewed");
    bench.advance_clock(LEASE / 2);
    assert_eq!(bench.store.take_back(&other, false).await.expect("an answer"), 0);
    bench.advance_clock(LEASE / 2);
    assert_eq!(bench.store.take_back(&other, false).await.expect("an answer"), 1);
    let again = bench.claim_as(&other, "wh-1", 1).await;
    assert_eq!((again.len(), again[0].delivery.tries), (1, 0));
    assert_eq!(
        bench.report(&claimed[0], Verdict::Delivered).await.len(),
        1,
        "whoever was late changes nothing"
    );
}

async fn an_exclusive_owner_takes_everything_back(bench: &Bench) {
    bench.add("wh-1", &[("a", "1"), ("b", "1")]).await;
    let other = Owner::unique();
    bench.claim_as(&other, "wh-1", 1).await;
    bench.claim("wh-1", 1).await;
    assert_eq!(bench.store.take_back(&bench.owner, true).await.expect("an answer"), 1);
    assert_eq!(bench.events("wh-1", 10).await, ["a 1"], "what is its own stays claimed");
}

async fn limits_are_for_each_endpoint(bench: &Bench) {
    bench.add("wh-1", &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    bench.add("wh-2", &[("a", "1"), ("b", "1"), ("c", "1")]).await;
    bench.add("wh-3", &[("a", "1")]).await;
    let wanted = [(id("wh-1"), 2), (id("wh-2"), 1), (id("wh-4"), 5)];
    let claimed = bench.store.claim(&bench.owner, &wanted, LEASE).await.expect("claimed");
    let of = |name: &str| claimed.iter().filter(|one| one.delivery.endpoint.as_str() == name).count();
    assert_eq!((of("wh-1"), of("wh-2"), of("wh-3"), claimed.len()), (2, 1, 0, 3));
}

async fn only_the_newest_sample_is_sent(bench: &Bench) {
    bench.add("wh-1", &[("a", "job.started")]).await;
    bench.add("wh-1", &[("a", "job.progress")]).await;
    bench.advance_clock(Duration::from_secs(1));
    let mut newest = bench.new_delivery("wh-1", "a", "job.progress");
    newest.data = serde_json::json!({ "percent": 50 });
    bench.store.add(vec![newest.clone()]).await.expect("added");
    bench.add("wh-1", &[("a", "job.completed")]).await;
    let started = bench.claim("wh-1", 10).await;
    bench.report(&started[0], Verdict::Delivered).await;
    let sample = bench.claim("wh-1", 10).await;
    assert_eq!((sample[0].delivery.time, &sample[0].delivery.data), (newest.time, &newest.data));
    bench.report(&sample[0], Verdict::Delivered).await;
    assert_eq!(
        bench.store.delivery(&sample[0].delivery.id).await.expect("read"),
        None,
        "samples are not kept"
    );
    assert_eq!(bench.events("wh-1", 10).await, ["a job.completed"]);
}

async fn a_released_delivery_is_as_it_was(bench: &Bench) {
    let ids = bench.add("wh-1", &[("a", "1")]).await;
    let before = bench.store.delivery(&ids[0]).await.expect("read");
    let claimed = bench.claim("wh-1", 1).await.remove(0);
    bench.store.report(&bench.owner, vec![claimed.release()]).await.expect("released");
    assert_eq!(bench.store.delivery(&ids[0]).await.expect("read"), before);
    assert_eq!(bench.events("wh-1", 10).await, ["a 1"]);
}
