//! What reaches receivers, in what order, and what does not.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::json;

use super::receiver::{Receiver, Reply};
use super::*;

fn ok() -> Reply {
    Reply::Status(200, "")
}

#[tokio::test]
async fn an_event_arrives_signed_with_everything_it_says() {
    let receiver = Receiver::start(|_, _| ok()).await;
    let endpoint = endpoint("ops", &receiver.url(), |input| {
        input.secret = Some(SECRET.into());
        input.headers = vec![("X-Team".into(), "storage".into())];
    });
    let bench = Bench::new(vec![endpoint]).await;
    bench.jobs(1).await;
    let deliveries = bench.all_ended(2).await;
    assert_eq!(count(&deliveries, DeliveryState::Delivered), 2, "{deliveries:?}");
    let seen = receiver.seen();
    assert_eq!(
        seen.iter().map(|one| &one.body["event"]).collect::<Vec<_>>(),
        ["job.created", "job.cancelled"]
    );
    let first = &seen[0];
    assert_eq!((first.path.as_str(), first.headers["x-team"].as_str()), ("/hook", "storage"));
    assert_eq!(first.headers["webhook-id"], deliveries[0].id.as_str());
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(first.body["data"]["vm_path"], "/DC0/vm/web01");
    let timestamp = first.headers["webhook-timestamp"].parse().unwrap();
    let time = DateTime::from_timestamp(timestamp, 0).unwrap();
    let secret = crate::Secret::parse(SECRET).unwrap();
    let expected = crate::signature([&secret], &first.headers["webhook-id"], time, &first.bytes);
    assert_eq!(Some(&first.headers["webhook-signature"]), expected.as_ref());
    assert_eq!(first.connection, seen[1].connection, "the connection is used again");
}

#[tokio::test]
async fn events_of_a_job_keep_their_order_while_attempts_fail() {
    // Two of three requests fail, each in another way.
    let receiver = Receiver::start(|number, _| match number % 5 {
        0 => Reply::Status(500, ""),
        1 => Reply::Reset,
        2 => Reply::Status(302, "location: http://127.0.0.1:1/\r\n"),
        _ => ok(),
    })
    .await;
    let endpoint = endpoint("ops", &receiver.url(), |input| input.retry = Some(100));
    let bench = Bench::new(vec![endpoint]).await;
    bench.jobs(40).await;
    let deliveries = bench.all_ended(80).await;
    assert_eq!(count(&deliveries, DeliveryState::Delivered), 80);
    let mut order: HashMap<String, Vec<String>> = HashMap::new();
    for seen in receiver.seen() {
        let of_job = order.entry(seen.body["data"]["job_id"].to_string()).or_default();
        of_job.push(seen.body["event"].as_str().unwrap().to_owned());
    }
    for (job, events) in order {
        let turn = events.iter().position(|event| event == "job.cancelled").unwrap();
        assert!(events[turn..].iter().all(|event| event == "job.cancelled"), "{job}: {events:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_delays_no_other() {
    let dead: Vec<Receiver> =
        vec![Receiver::start(|_, _| Reply::Hang).await, Receiver::start(|_, _| Reply::Hang).await];
    let alive = Receiver::start(|_, _| ok()).await;
    let mut endpoints: Vec<Endpoint> = dead
        .iter()
        .enumerate()
        .map(|(number, receiver)| {
            endpoint(&format!("dead-{number}"), &receiver.url(), |input| {
                input.timeout = Some(Duration::from_secs(60))
            })
        })
        .collect();
    endpoints.push(endpoint("alive", &alive.url(), |_| {}));
    // As many shared places as the dead can fill.
    let config = DelivererConfig { shared: 8, ..DelivererConfig::default() };
    let bench = Bench::with(endpoints, None, config).await;
    bench.jobs(50).await;
    bench
        .until(|all| {
            all.iter()
                .filter(|one| one.endpoint.as_str() == "alive" && one.state == DeliveryState::Delivered)
                .count()
                == 100
        })
        .await;
    assert_eq!(alive.seen().len(), 100);
    let stats = bench.deliverer.drain(Duration::ZERO).await;
    assert_eq!(stats.endpoints["alive"].delivered, 100);
    let left = bench.deliveries().await;
    assert_eq!(count(&left, DeliveryState::InFlight), 0, "what was given up waits again");
    assert_eq!(count(&left, DeliveryState::Pending), 200);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_halted_until_it_is_resumed() {
    let receiver = Receiver::start(|number, _| if number == 0 { Reply::Status(410, "") } else { ok() }).await;
    let bench = Bench::new(vec![endpoint("ops", &receiver.url(), |_| {})]).await;
    bench.jobs(1).await;
    let all = bench.until(|all| count(all, DeliveryState::Dead) == 1 && all.len() == 2).await;
    assert_eq!(all[0].tries, 1, "nobody there is not tried again");
    while bench.deliverer.endpoint("ops").unwrap().halt.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let halt = bench.deliverer.endpoint("ops").unwrap().halt.clone().unwrap();
    assert!(halt.reason.contains("410 Gone"), "{halt:?}");
    bench.jobs(1).await;
    bench.until(|all| count(all, DeliveryState::Pending) == 3).await;
    assert_eq!(receiver.seen().len(), 1, "nothing more was sent");
    assert!(bench.deliverer.resume("ops").await.unwrap().halt.is_none());
    bench.until(|all| count(all, DeliveryState::Delivered) == 3).await;
}

#[tokio::test]
async fn an_address_inside_is_refused_and_nothing_is_sent() {
    let receiver = Receiver::start(|_, _| ok()).await;
    let mut inside = endpoint("ops", &receiver.url(), |input| {
        input.retry = Some(0);
        input.events = Some(vec!["job.created".into()]);
    });
    inside.spec.allow_private = false;
    let mut named = endpoint("named", &format!("http://localhost:{}/", receiver.address.port()), |input| {
        input.retry = Some(0);
        input.events = Some(vec!["job.created".into()]);
    });
    named.spec.allow_private = false;
    let bench = Bench::new(vec![inside, named]).await;
    bench.jobs(1).await;
    for delivery in bench.all_ended(2).await {
        assert_eq!(delivery.state, DeliveryState::Dead);
        let error = delivery.attempts[0].error.as_ref().unwrap();
        assert!(error.contains("allow_private: true"), "{error}");
    }
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_a_failure_that_says_what_to_do() {
    let receiver = Receiver::start(|_, _| Reply::Status(307, "location: http://127.0.0.1:1/\r\n")).await;
    let bench = Bench::new(vec![endpoint("ops", &receiver.url(), |input| input.retry = Some(0))]).await;
    let (_, _, _, answer) = bench.deliverer.test("ops").await.unwrap();
    assert_eq!(answer.status, Some(307));
    assert!(answer.error.unwrap().contains("final address"));
    assert_eq!(receiver.seen()[0].body["event"], "webhook.test");
}

#[tokio::test]
async fn no_more_than_four_kib_of_an_answer_are_read() {
    let receiver = Receiver::start(|_, _| Reply::Long(1 << 20)).await;
    let bench = Bench::new(vec![endpoint("ops", &receiver.url(), |_| {})]).await;
    let (_, _, _, answer) = bench.deliverer.test("ops").await.unwrap();
    assert!(answer.is_success());
    assert_eq!(answer.body.unwrap().len(), 4096);
}

#[tokio::test]
async fn an_endpoint_of_the_api_gets_what_happens_from_then_on() {
    let receiver = Receiver::start(|_, _| ok()).await;
    let bench = Bench::new(Vec::new()).await;
    bench.jobs(1).await;
    let spec =
        |secret: &str| endpoint("x", &receiver.url(), |input| input.secret = Some(secret.to_owned())).spec;
    let made = bench.deliverer.create(None, spec(SECRET)).await.unwrap();
    bench.jobs(1).await;
    assert_eq!(bench.all_ended(2).await.len(), 2);
    let taken = bench.deliverer.create(Some(made.id.clone()), spec(SECRET)).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);

    let changed = bench
        .deliverer
        .replace(made.id.as_str(), spec("another secret that is long enough"), None)
        .await
        .unwrap();
    assert_eq!(changed.spec.secrets(Utc::now()).count(), 2, "both sign for a day");
    assert_eq!(changed.spec.secrets(Utc::now() + Duration::from_secs(25 * 3600)).count(), 1);
    bench.jobs(1).await;
    bench.all_ended(4).await;
    assert_eq!(receiver.seen()[2].headers["webhook-signature"].split(' ').count(), 2);

    bench.deliverer.remove(made.id.as_str(), None).await.unwrap();
    assert_eq!(bench.deliverer.remove(made.id.as_str(), None).await.unwrap_err().kind(), ErrorKind::NotFound);
    bench.jobs(1).await;
    bench.deliverer.drain(Duration::from_secs(5)).await;
    assert_eq!(receiver.seen().len(), 4);
}

#[tokio::test]
async fn a_change_may_name_the_version_it_was_made_to() {
    let bench = Bench::new(Vec::new()).await;
    let spec = || endpoint("x", "http://127.0.0.1:1/", |_| {}).spec;
    let made = bench.deliverer.create(None, spec()).await.unwrap();
    let id = made.id.as_str();
    let changed = bench.deliverer.replace(id, spec(), Some(made.version)).await.unwrap();
    let late = bench.deliverer.replace(id, spec(), Some(made.version)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let late = bench.deliverer.remove(id, Some(made.version)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert!(bench.deliverer.endpoint(id).unwrap().spec.enabled, "a refused removal changes nothing");
    bench.deliverer.remove(id, Some(changed.version)).await.unwrap();
    assert!(bench.deliverer.endpoint(id).is_none());
}

#[tokio::test]
async fn one_of_the_configuration_is_not_changed_over_the_api() {
    let bench = Bench::new(vec![endpoint("ops", "http://127.0.0.1:1/", |_| {})]).await;
    assert_eq!(bench.deliverer.remove("ops", None).await.unwrap_err().kind(), ErrorKind::Conflict);
    let spec = endpoint("ops", "http://127.0.0.1:2/", |_| {}).spec;
    assert_eq!(bench.deliverer.replace("ops", spec, None).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_disabled_endpoint_is_told_nothing_later_either() {
    let receiver = Receiver::start(|_, _| ok()).await;
    let bench = Bench::new(vec![endpoint("ops", &receiver.url(), |input| input.enabled = Some(false))]).await;
    bench.jobs(3).await;
    bench.deliverer.drain(Duration::from_secs(1)).await;
    assert!(bench.deliveries().await.is_empty() && receiver.seen().is_empty());
}

/// Says that one job runs, a bit further each time.
#[derive(Debug)]
struct Running(JobId, std::sync::atomic::AtomicU64);

#[async_trait]
impl ProgressSource for Running {
    async fn sample(&self) -> Result<Vec<Sample>> {
        let percent = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![Sample {
            job: self.0.clone(),
            data: json!({ "job_id": self.0, "progress": { "percent_complete": percent } }),
        }])
    }
}

#[tokio::test]
async fn progress_is_sampled_for_whoever_names_it_and_collapsed_to_the_newest() {
    let listener = Receiver::start(|_, _| Reply::Late(200, Duration::from_millis(60))).await;
    let other = Receiver::start(|_, _| ok()).await;
    let endpoints = vec![
        endpoint("listener", &listener.url(), |input| input.events = Some(vec!["job.progress".into()])),
        endpoint("other", &other.url(), |_| {}),
    ];
    let source = Arc::new(Running(JobId::generate(), std::sync::atomic::AtomicU64::new(0)));
    let config =
        DelivererConfig { progress_interval: Duration::from_millis(10), ..DelivererConfig::default() };
    let bench = Bench::with(endpoints, Some(source.clone()), config).await;
    while listener.seen().len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(bench.deliveries().await.len() <= 2, "one on its way and the newest");
    }
    let sampled = source.1.load(std::sync::atomic::Ordering::SeqCst);
    assert!(sampled > 8, "{sampled} samples for {} requests", listener.seen().len());
    let told: Vec<u64> = listener
        .seen()
        .iter()
        .filter_map(|one| one.body["data"]["progress"]["percent_complete"].as_u64())
        .collect();
    assert!(told.is_sorted() && told.len() >= 4, "{told:?}");
    assert!(other.seen().is_empty());
}
