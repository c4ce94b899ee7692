//! What `timeout` and `retry` mean, on a clock that jumps to whatever is waited for.

use super::receiver::{Receiver, Reply};
use super::*;

/// The attempts of one delivery to a receiver that never answers.
async fn attempts(timeout: u64, retry: u32) -> Delivery {
    let receiver = Receiver::start(|_, _| Reply::Hang).await;
    let endpoint = endpoint("ops", &receiver.url(), |input| {
        input.timeout = Some(Duration::from_secs(timeout));
        input.retry = Some(retry);
        input.retry_delay = None;
        input.events = Some(vec!["job.created".into()]);
    });
    let bench = Bench::new(vec![endpoint]).await;
    bench.jobs(1).await;
    let delivery = bench.all_ended(1).await.remove(0);
    bench.deliverer.drain(Duration::ZERO).await;
    delivery
}

/// How long each attempt took, and the waits between them, in seconds.
fn times(delivery: &Delivery) -> (Vec<f64>, Vec<f64>) {
    let took: Vec<f64> = delivery.attempts.iter().map(|one| one.duration_ms as f64 / 1000.0).collect();
    let waits = delivery
        .attempts
        .windows(2)
        .zip(&took)
        .map(|(pair, took)| (pair[1].at - pair[0].at).num_milliseconds() as f64 / 1000.0 - took);
    let waits = waits.collect();
    (took, waits)
}

#[tokio::test(start_paused = true)]
async fn two_seconds_and_one_retry_are_two_attempts_of_two_seconds() {
    let delivery = attempts(2, 1).await;
    let (took, waits) = times(&delivery);
    assert_eq!((delivery.state, delivery.tries), (DeliveryState::Dead, 2));
    assert!(took.iter().all(|took| (2.0..2.1).contains(took)), "{took:?}");
    assert!(waits.len() == 1 && (0.75..1.4).contains(&waits[0]), "{waits:?}");
    assert!(delivery.attempts[0].error.as_ref().unwrap().contains("no answer within 2s"));
}

#[tokio::test(start_paused = true)]
async fn thirty_seconds_and_five_retries_are_six_attempts_of_thirty_seconds() {
    let delivery = attempts(30, 5).await;
    let (took, waits) = times(&delivery);
    assert_eq!((delivery.state, delivery.tries), (DeliveryState::Dead, 6));
    assert!(took.iter().all(|took| (30.0..30.1).contains(took)), "{took:?}");
    for (wait, doubled) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0]) {
        assert!((doubled * 0.75..doubled * 1.25 + 0.2).contains(wait), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_one_attempt_does_not_count_for_the_next() {
    // Each attempt takes most of its time; together they take far more than one may.
    let receiver = Receiver::start(|number, _| {
        Reply::Late(if number < 3 { 500 } else { 200 }, Duration::from_millis(1800))
    });
    let receiver = receiver.await;
    let endpoint = endpoint("ops", &receiver.url(), |input| {
        input.timeout = Some(Duration::from_secs(300));
        input.events = Some(vec!["job.created".into()]);
    });
    let bench = Bench::new(vec![endpoint]).await;
    bench.jobs(1).await;
    let delivery = bench.all_ended(1).await.remove(0);
    assert_eq!((delivery.state, delivery.tries), (DeliveryState::Delivered, 4), "{delivery:?}");
}
