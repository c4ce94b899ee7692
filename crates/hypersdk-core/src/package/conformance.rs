//! What every catalogue of packages does, as a suite that any implementation can run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use super::{
    Package, PackageCatalogue, PackageChange, PackageQuery, PackageState, Verification, VerificationLevel,
};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::id::{JobId, Seq};
use crate::job::{
    Claimant, Clock, JobSpec, JobStore, NewJob, Outcome, Owner, ScheduledBy, Settled, VerifyMode,
};
use crate::progress::Progress;

/// Opens an empty store that takes the time from the given clock, as what enters packages and as what knows them; a
/// new one at each call.
pub type CatalogueFactory<'a> =
    dyn Fn(Clock) -> BoxFuture<'a, (Arc<dyn JobStore>, Arc<dyn PackageCatalogue>)> + Send + Sync + 'a;

/// Runs the whole suite.
///
/// # Panics
/// On the first thing the catalogue does not do.
pub async fn package_catalogue(open: &CatalogueFactory<'_>) {
    what_completes_a_job_enters_its_package_and_nothing_else_does(open).await;
    a_listing_pages_and_can_be_narrowed(open).await;
    a_later_package_of_the_same_name_replaces_the_earlier(open).await;
    a_check_is_kept(open).await;
    a_package_is_removed_in_two_steps_and_told_of_once(open).await;
    a_package_outlives_its_job_and_is_forgotten_when_it_is_gone(open).await;
}

struct Bench {
    jobs: Arc<dyn JobStore>,
    catalogue: Arc<dyn PackageCatalogue>,
    micros: Arc<AtomicI64>,
    owner: Owner,
}

impl Bench {
    async fn new(open: &CatalogueFactory<'_>) -> Self {
        let micros = Arc::new(AtomicI64::new(1_800_000_000_000_001));
        let hand = micros.clone();
        let (jobs, catalogue) = open(Clock::new(move || instant(hand.load(Ordering::SeqCst)))).await;
        Bench { jobs, catalogue, micros, owner: Owner::unique() }
    }

    fn now(&self) -> DateTime<Utc> {
        instant(self.micros.load(Ordering::SeqCst))
    }

    /// A job that ends as told, a second after the last one.
    async fn end(&self, spec: JobSpec, text: &str, settled: Settled) {
        self.micros.fetch_add(1_000_000, Ordering::SeqCst);
        self.jobs.submit(vec![NewJob { id: id(text), spec }]).await.expect("it is accepted");
        let claims = self.jobs.claim(&Claimant::of_any(&self.owner), 1).await.expect("it is claimed");
        self.jobs.settle(&id(text), claims[0].fence, settled, Progress::default()).await.expect("it settles");
    }

    async fn complete(&self, spec: JobSpec, text: &str, path: &str) {
        self.end(spec, text, Settled::Completed(outcome(path))).await;
    }

    async fn package(&self, text: &str) -> Package {
        self.catalogue.package(&id(text)).await.expect("reads").expect("it is in the catalogue")
    }

    async fn listed(&self, query: &PackageQuery) -> String {
        let page = self.catalogue.packages(query).await.expect("lists");
        page.packages.iter().map(|package| package.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    async fn removals(&self) -> Vec<serde_json::Value> {
        let events = self.jobs.read_after(Seq::START, None, 1000).await.expect("the log reads");
        let removals = events.into_iter().filter(|event| event.kind == EventKind::PackageRemoved);
        removals.inspect(|event| assert_eq!(event.job, None)).map(|event| event.data).collect()
    }
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time in this century")
}

fn id(text: &str) -> JobId {
    text.parse().expect("a job id")
}

fn spec(vm: &str) -> JobSpec {
    JobSpec::new(vm.parse().expect("a path"), "/srv/exports")
}

fn of_schedule(vm: &str, schedule: &str) -> JobSpec {
    let by = ScheduledBy { id: schedule.parse().expect("an id"), planned_at: instant(1_800_000_000_000_000) };
    JobSpec { schedule: Some(by), ..spec(vm) }
}

fn outcome(path: &str) -> Outcome {
    Outcome {
        vm_name: "web ü".to_owned(),
        output_dir: "/srv/exports".to_owned(),
        ovf_path: path.to_owned(),
        files: Vec::new(),
        total_size: 9 << 30,
        duration_seconds: 61.5,
        checksum: "cd".repeat(32),
        warnings: Vec::new(),
    }
}

fn doomed(reason: &str) -> PackageChange {
    PackageChange::Doomed { reason: reason.to_owned(), remover: "node-1".to_owned() }
}

async fn what_completes_a_job_enters_its_package_and_nothing_else_does(open: &CatalogueFactory<'_>) {
    let bench = Bench::new(open).await;
    let full = JobSpec { verify: VerifyMode::Full, ..of_schedule("/DC0/vm/web", "nightly") };
    bench.complete(full.clone(), "a", "/srv/exports/a.ova").await;
    let expected = Package {
        id: id("a"),
        spec: full,
        outcome: outcome("/srv/exports/a.ova"),
        completed_at: bench.now(),
        verification: Some(Verification { at: bench.now(), level: VerificationLevel::Full, fault: None }),
        state: PackageState::Present,
        reason: None,
        remover: None,
        updated_at: bench.now(),
    };
    assert_eq!(bench.package("a").await, expected);
    bench.end(spec("/DC0/vm/web"), "b", Settled::Cancelled).await;
    bench.end(spec("/DC0/vm/web"), "c", Settled::Requeued { failure: None, not_before: None }).await;
    assert_eq!(bench.listed(&PackageQuery::default()).await, "a");
    assert_eq!(bench.catalogue.package(&id("b")).await.expect("reads"), None);
}

async fn a_listing_pages_and_can_be_narrowed(open: &CatalogueFactory<'_>) {
    let bench = Bench::new(open).await;
    for (text, job) in [
        ("m", of_schedule("/DC0/vm/web", "nightly")),
        ("z", of_schedule("/DC0/vm/db", "nightly")),
        ("a", of_schedule("/DC0/vm/web", "weekly")),
        ("k", spec("vm-42")),
        ("b", of_schedule("/DC0/vm/web", "nightly")),
    ] {
        bench.complete(job, text, &format!("/srv/exports/{text}.ova")).await;
    }
    let mut query = PackageQuery { limit: 2, ..PackageQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = bench.catalogue.packages(&query).await.expect("lists");
        seen.extend(page.packages.iter().map(|package| package.id.to_string()));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["b", "k", "a", "z", "m"]);
    let exact =
        bench.catalogue.packages(&PackageQuery { limit: 5, ..PackageQuery::default() }).await.expect("lists");
    assert_eq!((exact.packages.len(), exact.next), (5, None));
    let query = PackageQuery { before: Some(id("nowhere")), ..PackageQuery::default() };
    let error = bench.catalogue.packages(&query).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");

    bench.catalogue.change_package(&id("z"), doomed("x")).await.expect("changes");
    let of = |schedule: Option<&str>, vm: Option<&str>, states: &[PackageState]| PackageQuery {
        schedule: schedule.map(|text| text.parse().expect("an id")),
        vm: vm.map(str::to_owned),
        states: states.to_vec(),
        ..PackageQuery::default()
    };
    assert_eq!(bench.listed(&of(Some("nightly"), None, &[])).await, "b z m");
    assert_eq!(bench.listed(&of(None, Some("/DC0/vm/web"), &[])).await, "b a m");
    assert_eq!(bench.listed(&of(None, Some("vm-42"), &[])).await, "k");
    assert_eq!(bench.listed(&of(None, Some("web ü"), &[])).await, "b k a z m", "by the VM's name");
    assert_eq!(bench.listed(&of(None, None, &[PackageState::Removing])).await, "z");
    assert_eq!(bench.listed(&of(Some("nightly"), None, &[PackageState::Present])).await, "b m");
    let both = of(Some("nightly"), Some("/DC0/vm/web"), &[PackageState::Present, PackageState::Removing]);
    assert_eq!(bench.listed(&both).await, "b m");
    let narrow = PackageQuery { before: Some(id("b")), limit: 1, ..both };
    assert_eq!(bench.listed(&narrow).await, "m");
}

async fn a_later_package_of_the_same_name_replaces_the_earlier(open: &CatalogueFactory<'_>) {
    let bench = Bench::new(open).await;
    let path = "/srv/exports/web.ova";
    bench.complete(spec("/DC0/vm/web"), "a", path).await;
    bench.complete(spec("/DC0/vm/db"), "other", "/srv/exports/db.ova").await;
    assert_eq!(
        bench.catalogue.package_at(path).await.expect("reads").map(|package| package.id),
        Some(id("a"))
    );
    bench.complete(spec("/DC0/vm/web"), "b", path).await;
    let replaced = bench.package("a").await;
    assert_eq!((replaced.state, replaced.updated_at), (PackageState::Replaced, bench.now()));
    assert!(replaced.reason.expect("a reason").contains("job b"), "names who has its place");
    assert_eq!(bench.package("other").await.state, PackageState::Present);
    assert_eq!(
        bench.catalogue.package_at(path).await.expect("reads").map(|package| package.id),
        Some(id("b"))
    );
    let error = bench.catalogue.change_package(&id("a"), doomed("x")).await.expect_err("it is not its own");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

async fn a_check_is_kept(open: &CatalogueFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.complete(spec("/DC0/vm/web"), "a", "/srv/exports/a.ova").await;
    let check = |level, fault: Option<&str>| Verification {
        at: instant(1_800_000_123_000_004),
        level,
        fault: fault.map(str::to_owned),
    };
    let faulty = check(VerificationLevel::Full, Some("a.ova: \"digest\" differs, ü"));
    let changed = bench.catalogue.change_package(&id("a"), PackageChange::Verified(faulty.clone())).await;
    assert_eq!(changed.expect("changes").verification, Some(faulty.clone()));
    let shallow = PackageChange::Verified(check(VerificationLevel::Structure, None));
    bench.catalogue.change_package(&id("a"), shallow).await.expect("changes");
    assert_eq!(bench.package("a").await.verification, Some(faulty));
    let whole = check(VerificationLevel::Full, None);
    bench.catalogue.change_package(&id("a"), PackageChange::Verified(whole.clone())).await.expect("changes");
    assert_eq!(bench.package("a").await.verification, Some(whole.clone()));
    let error = bench.catalogue.change_package(&id("b"), PackageChange::Verified(whole)).await;
    assert_eq!(error.expect_err("unknown").kind(), ErrorKind::NotFound);
}

async fn a_package_is_removed_in_two_steps_and_told_of_once(open: &CatalogueFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.complete(of_schedule("/DC0/vm/web", "nightly"), "a", "/srv/exports/a.ova").await;
    let early = bench.catalogue.change_package(&id("a"), PackageChange::Removed { note: None }).await;
    assert_eq!(early.expect_err("nobody has doomed it").kind(), ErrorKind::Conflict);
    let going = bench.catalogue.change_package(&id("a"), doomed("no rule keeps it")).await.expect("changes");
    assert_eq!((going.state, going.remover.as_deref()), (PackageState::Removing, Some("node-1")));
    let twice = bench.catalogue.change_package(&id("a"), doomed("x")).await;
    assert_eq!(twice.expect_err("only one removes it").kind(), ErrorKind::Conflict);
    assert_eq!(bench.catalogue.package_at("/srv/exports/a.ova").await.expect("reads"), None);
    assert!(bench.removals().await.is_empty());
    let note = Some("it was gone already".to_owned());
    let gone =
        bench.catalogue.change_package(&id("a"), PackageChange::Removed { note }).await.expect("changes");
    assert_eq!(gone.state, PackageState::Removed);
    assert_eq!(gone.reason.as_deref(), Some("no rule keeps it; it was gone already"));
    assert_eq!(bench.package("a").await, gone);
    assert_eq!(bench.removals().await, [gone.event_data()]);
    let again = bench.catalogue.change_package(&id("a"), PackageChange::Removed { note: None }).await;
    assert_eq!(again.expect_err("it is gone").kind(), ErrorKind::Conflict);
    assert_eq!(bench.removals().await.len(), 1);
}

async fn a_package_outlives_its_job_and_is_forgotten_when_it_is_gone(open: &CatalogueFactory<'_>) {
    let bench = Bench::new(open).await;
    for text in ["a", "b"] {
        bench.complete(spec("/DC0/vm/web"), text, &format!("/srv/exports/{text}.ova")).await;
    }
    let pruned = bench.jobs.prune(Some(0), None, Seq(i64::MAX), 100).await.expect("prunes");
    assert_eq!(pruned, 2);
    assert_eq!(bench.listed(&PackageQuery::default()).await, "b a");
    bench.catalogue.change_package(&id("a"), doomed("x")).await.expect("changes");
    let later = bench.now() + chrono::TimeDelta::seconds(1);
    assert_eq!(bench.catalogue.forget_packages(later).await.expect("forgets"), 0, "none is gone");
    bench.catalogue.change_package(&id("a"), PackageChange::Removed { note: None }).await.expect("changes");
    assert_eq!(bench.catalogue.forget_packages(bench.now()).await.expect("forgets"), 0, "it is not old");
    assert_eq!(bench.catalogue.forget_packages(later).await.expect("forgets"), 1);
    assert_eq!(bench.listed(&PackageQuery::default()).await, "b");
}
