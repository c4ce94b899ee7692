//! Accepting jobs.

use serde_json::json;

use super::{Bench, StoreFactory, id, new_job, spec};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::id::Seq;
use crate::job::{JobCounts, JobStatus, ManifestDigest, NewJob, PackageFormat, VerifyMode};
use crate::provider::PowerPolicy;

pub(super) async fn all(open: &StoreFactory<'_>) {
    a_job_is_pending_with_its_event_once_accepted(open).await;
    a_taken_id_refuses_the_whole_submission(open).await;
    an_id_twice_in_one_submission_refuses_it(open).await;
    nothing_submitted_is_nothing_done(open).await;
    a_spec_comes_back_as_it_was_given(open).await;
    the_hint_rises_with_the_log(open).await;
}

async fn a_job_is_pending_with_its_event_once_accepted(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let accepted = bench.store.submit(vec![new_job("a"), new_job("b")]).await.expect("accepted");
    assert_eq!(accepted.len(), 2);
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!(job, accepted[0]);
    assert_eq!((job.status, job.attempt, job.failures), (JobStatus::Pending, 0, 0));
    assert_eq!((job.created_at, job.updated_at), (bench.now(), bench.now()));
    assert_eq!((job.started_at, job.completed_at, job.not_before), (None, None, None));

    let events = bench.events().await;
    assert_eq!(events.len(), 2);
    for (event, job) in events.iter().zip(&accepted) {
        let about = event.job.as_ref();
        assert_eq!((event.kind, about, event.time), (EventKind::JobCreated, Some(&job.id), bench.now()));
        assert_eq!(event.data, job.event_data(EventKind::JobCreated));
    }
    assert_eq!(bench.store.get(&id("c")).await.expect("get"), None);
}

async fn a_taken_id_refuses_the_whole_submission(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["taken"]).await;
    let jobs = vec![new_job("fresh"), new_job("taken"), new_job("later")];
    let error = bench.store.submit(jobs).await.expect_err("the id is taken");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("taken"), "names the id: {error}");
    assert_eq!(bench.store.get(&id("fresh")).await.expect("get"), None);
    assert_eq!(bench.events().await.len(), 1);
    assert_eq!(bench.store.counts().await.expect("counts"), JobCounts { pending: 1, ..Default::default() });
}

async fn an_id_twice_in_one_submission_refuses_it(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let error = bench.store.submit(vec![new_job("twin"), new_job("twin")]).await.expect_err("twins");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("twin"), "names the id: {error}");
    assert_eq!(bench.store.counts().await.expect("counts").total(), 0);
    assert_eq!(bench.events().await, []);
}

async fn nothing_submitted_is_nothing_done(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    assert_eq!(bench.store.submit(Vec::new()).await.expect("accepted"), []);
    assert_eq!(bench.events().await, []);
    bench.store.check().await.expect("an empty store can be written to");
}

async fn a_spec_comes_back_as_it_was_given(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let mut spec = spec();
    spec.vm = "vm-42".parse().expect("an id");
    spec.name = Some("nightly \"web\" 'ü' \u{1F4BE}".to_owned());
    spec.provider = Some("vc-berlin".parse().expect("a name"));
    spec.package_name = Some("web01".to_owned());
    spec.format = PackageFormat::Ovf;
    spec.compress = true;
    spec.compression_level = 9;
    spec.cleanup_ovf = false;
    spec.verify = VerifyMode::Full;
    spec.manifest_digest = ManifestDigest::Sha512;
    spec.keep_partial = true;
    spec.overwrite = true;
    spec.priority = i32::MIN;
    spec.options.power = PowerPolicy::Keep;
    spec.options.quiesce = true;
    spec.metadata = json!({"ticket": 4711, "tags": ["a", null]}).as_object().expect("an object").clone();
    bench.store.submit(vec![NewJob { id: id("full"), spec: spec.clone() }]).await.expect("accepted");
    assert_eq!(bench.store.get(&id("full")).await.expect("get").expect("it exists").spec, spec);
}

async fn the_hint_rises_with_the_log(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let mut latest = bench.store.latest();
    assert_eq!(*latest.borrow_and_update(), Seq::START);
    bench.submit(&["a", "b"]).await;
    let newest = bench.events().await.last().expect("two events").seq;
    assert_eq!(*latest.wait_for(|seq| *seq >= newest).await.expect("the store lives"), newest);
}
