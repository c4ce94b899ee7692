//! The session pool over the simulator: who gets which session, what becomes of sessions that end, and that
//! none is left behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use hypersdk_core::{
    ConnectionStats, ErrorKind, ExportOptions, ExportSession, PackagedFile, Provider, ProviderExt, VmFilter,
    VmId, VmSelector,
};
use hypersdk_vsim::{Event, FaultKind as Strike, FaultRule, Vsim, VsimBuilder};
use hypersdk_vsphere::{PoolConfig, VsphereConfig, VsphereProvider};

const SOON: Duration = Duration::from_secs(10);
const PATH: &str = "/DC0/vm/prod/web-01";

fn builder() -> VsimBuilder {
    Vsim::builder().disk_size(4 << 20)
}

fn pool(max_connections: u32) -> PoolConfig {
    let mut pool = PoolConfig::default();
    pool.max_connections = max_connections;
    pool
}

fn provider(sim: &Vsim, pool: PoolConfig) -> VsphereProvider {
    let mut config = VsphereConfig::new(sim.url().as_str(), sim.username(), sim.password());
    config.thumbprint = Some(sim.thumbprint().to_owned());
    config.connection_pool = pool;
    VsphereProvider::new(config).expect("a usable configuration")
}

fn selector(text: &str) -> VmSelector {
    text.parse().expect("a selector")
}

fn job(id: &str) -> ExportOptions {
    ExportOptions { job: Some(id.parse().expect("a job id")), ..ExportOptions::default() }
}

fn logins(sim: &Vsim) -> u64 {
    let events = sim.log().events();
    events.iter().filter(|event| matches!(event, Event::LoggedIn { .. })).count() as u64
}

/// Every login of the simulator's log is one the pool counted, and is logged out or known to have ended.
fn assert_adds_up(sim: &Vsim, stats: &ConnectionStats) {
    assert_eq!(stats.total_created, stats.total_connections + stats.total_closed, "{stats:?}");
    assert_eq!(stats.total_connections, stats.in_use + stats.idle, "{stats:?}");
    assert!(stats.total_reused <= stats.total_borrowed, "{stats:?}");
    assert!((0.0..=1.0).contains(&stats.reuse_ratio()), "{stats:?}");
    assert_eq!(logins(sim), stats.total_created + stats.total_renewed, "{stats:?}");
}

async fn close(sim: &Vsim, provider: &VsphereProvider) {
    provider.close().await;
    let stats = provider.connections();
    assert_adds_up(sim, &stats);
    assert_eq!((stats.total_connections, stats.holders.len()), (0, 0), "{stats:?}");
    assert!(sim.log().open_leases().is_empty(), "{:?}", sim.log().open_leases());
    assert!(sim.log().open_sessions().is_empty(), "{:?}", sim.log().open_sessions());
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "{what} within {SOON:?}");
}

async fn fetch(session: &dyn ExportSession) -> hypersdk_core::Result<()> {
    let mut packaged = Vec::new();
    for file in session.files() {
        let mut stream = session.open(file).await?;
        let mut size_bytes = 0;
        while let Some(chunk) = stream.next().await {
            size_bytes += chunk?.len() as u64;
        }
        packaged.push(PackagedFile {
            key: file.key.clone(),
            name: file.name.clone(),
            size_bytes,
            capacity_bytes: file.capacity_bytes,
            populated_bytes: None,
        });
    }
    session.descriptor("vm", &packaged).await.map(drop)
}

#[tokio::test]
async fn one_after_the_other_share_one_login() {
    let sim = builder().start().await.unwrap();
    let provider = provider(&sim, pool(5));
    for _ in 0..20 {
        provider.get(&selector(PATH)).await.unwrap();
        provider.list_all(VmFilter::default()).await.unwrap();
    }
    let stats = provider.connections();
    assert_eq!((stats.total_created, stats.total_borrowed, stats.total_reused), (1, 40, 39), "{stats:?}");
    assert_eq!((stats.in_use, stats.idle, stats.max_connections), (0, 1, 5), "{stats:?}");
    close(&sim, &provider).await;
}

#[tokio::test]
async fn no_more_sessions_are_made_than_allowed_whatever_the_rush() {
    let sim = builder().soap_delay(Duration::from_millis(5)).start().await.unwrap();
    let provider = provider(&sim, pool(3));
    let path = selector(PATH);
    let found = join_all((0..40).map(|_| provider.get(&path))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(logins(&sim), 3);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn those_who_wait_are_served_in_their_order() {
    let sim = builder().soap_delay(Duration::from_millis(5)).start().await.unwrap();
    let provider = provider(&sim, pool(1));
    let path = selector(PATH);
    let mut work: FuturesUnordered<_> = (0..12)
        .map(|number| {
            let (provider, path) = (&provider, &path);
            async move {
                provider.get(path).await.unwrap();
                number
            }
        })
        .collect();
    let mut order = Vec::new();
    while let Some(number) = work.next().await {
        order.push(number);
    }
    drop(work);
    // The collection may poll its futures in either direction at first; from then on the queue decides.
    assert!(order.is_sorted() || order.iter().rev().is_sorted(), "{order:?}");
    close(&sim, &provider).await;
}

#[tokio::test]
async fn an_exhausted_pool_says_so_and_who_has_the_sessions() {
    let sim = builder().start().await.unwrap();
    let mut narrow = pool(1);
    narrow.borrow_timeout = Duration::from_millis(100);
    let provider = provider(&sim, narrow);
    provider.get(&selector(PATH)).await.unwrap();
    sim.add_fault(FaultRule::method("FindByInventoryPath", Strike::Delay { ms: 1000 }));
    let path = selector(PATH);
    let (slow, refused) = tokio::join!(provider.get(&path), async {
        until("the session is lent", || provider.connections().in_use == 1).await;
        provider.list_all(VmFilter::default()).await
    });
    slow.unwrap();
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("exhausted") && error.to_string().contains("find (0 s)"), "{error}");
    assert!(error.advice().unwrap().contains("max_connections"), "{:?}", error.advice());
    assert_eq!(provider.connections().total_timeouts, 1);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn more_exports_than_sessions_share_them_and_lookups_get_through() {
    let sim = builder().vms(8).start().await.unwrap();
    let mut narrow = pool(2);
    narrow.borrow_timeout = Duration::from_millis(500);
    let provider = provider(&sim, narrow);
    let vms = provider.list_all(VmFilter::default()).await.unwrap();
    let mut open = Vec::new();
    for (number, vm) in vms.iter().enumerate() {
        open.push(provider.open_export(&vm.id, &job(&format!("job-{number}"))).await.unwrap());
    }
    let stats = provider.connections();
    assert_eq!((stats.in_use, stats.idle, stats.total_connections), (2, 0, 2), "{stats:?}");
    for number in 0..open.len() {
        assert!(stats.holders.iter().any(|holder| holder.work == format!("job-{number}")), "{stats:?}");
    }
    provider.get(&selector(PATH)).await.expect("a look-up shares an export's session");
    for session in open {
        fetch(&*session).await.unwrap();
        session.complete().await.unwrap();
    }
    assert_eq!(provider.connections().in_use, 0, "{:?}", provider.connections());
    assert_eq!(logins(&sim), 2);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn without_a_pool_each_piece_of_work_logs_in_and_out() {
    let sim = builder().start().await.unwrap();
    let mut none = pool(5);
    none.enabled = false;
    let provider = provider(&sim, none);
    for _ in 0..3 {
        provider.get(&selector(PATH)).await.unwrap();
    }
    until("every session is logged out", || sim.log().open_sessions().is_empty()).await;
    let stats = provider.connections();
    assert_eq!((stats.total_created, stats.total_reused, stats.max_connections), (3, 0, 0), "{stats:?}");
    assert!(!stats.pooled);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn an_idle_session_is_logged_out_and_the_next_work_logs_in_anew() {
    let sim = builder().start().await.unwrap();
    let mut brief = pool(5);
    brief.idle_timeout = Duration::from_millis(100);
    let provider = provider(&sim, brief);
    provider.get(&selector(PATH)).await.unwrap();
    until("the idle session is logged out", || sim.log().open_sessions().is_empty()).await;
    assert_eq!(provider.connections().total_connections, 0);
    provider.get(&selector(PATH)).await.unwrap();
    assert_eq!(logins(&sim), 2);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn an_export_that_is_quiet_for_long_does_not_lose_its_session_to_the_idle_timeout() {
    let sim = builder().start().await.unwrap();
    let mut brief = pool(5);
    brief.idle_timeout = Duration::from_millis(50);
    brief.health_check_interval = Duration::from_millis(20);
    let provider = provider(&sim, brief);
    let session = provider.open_export(&VmId::new("vm-101"), &job("quiet")).await.unwrap();
    provider.get(&selector(PATH)).await.unwrap();
    until("the other session is logged out", || sim.log().open_sessions().len() == 1).await;
    fetch(&*session).await.unwrap();
    session.complete().await.unwrap();
    assert_eq!(provider.connections().total_renewed, 0);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn an_idle_session_that_ended_is_found_by_the_check_and_not_lent() {
    let sim = builder().start().await.unwrap();
    let mut watchful = pool(5);
    watchful.health_check_interval = Duration::from_millis(20);
    let provider = provider(&sim, watchful);
    provider.get(&selector(PATH)).await.unwrap();
    sim.terminate_sessions();
    until("the check drops it", || provider.connections().total_connections == 0).await;
    assert_eq!(logins(&sim), 1, "nobody needs a session, so nobody logs in");
    provider.get(&selector(PATH)).await.unwrap();
    assert_eq!(logins(&sim), 2);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_session_is_checked_before_it_is_lent_only_if_it_was_silent_for_long() {
    let sim = builder().start().await.unwrap();
    let mut patient = pool(5);
    patient.health_check_interval = Duration::from_millis(300);
    let provider = provider(&sim, patient);
    let calls = || sim.log().calls("RetrievePropertiesEx");
    provider.get(&selector(PATH)).await.unwrap();
    let each = calls();
    for _ in 0..4 {
        provider.get(&selector(PATH)).await.unwrap();
    }
    assert_eq!(calls(), 5 * each);
    // The background check and the one at checkout are the same call.
    until("a check", || calls() > 5 * each).await;
    close(&sim, &provider).await;
}

#[tokio::test]
async fn idle_sessions_outlive_the_servers_limit_while_they_are_wanted() {
    let sim = builder().session_idle(Duration::from_millis(600)).start().await.unwrap();
    let mut watchful = pool(5);
    watchful.health_check_interval = Duration::from_millis(100);
    let provider = provider(&sim, watchful);
    provider.get(&selector(PATH)).await.unwrap();
    until("fifteen checks", || sim.log().calls("RetrievePropertiesEx") >= 16).await;
    provider.get(&selector(PATH)).await.unwrap();
    assert_eq!(logins(&sim), 1);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_borrower_that_is_cancelled_gives_its_session_back() {
    let sim = builder().start().await.unwrap();
    let provider = provider(&sim, pool(1));
    provider.get(&selector(PATH)).await.unwrap();
    for _ in 0..5 {
        sim.add_fault(FaultRule::method("FindByInventoryPath", Strike::Delay { ms: 200 }));
        let path = selector(PATH);
        tokio::select! {
            found = provider.get(&path) => panic!("{found:?}"),
            () = until("the session is lent", || provider.connections().in_use == 1) => {}
        }
        sim.clear_faults();
    }
    assert_eq!(provider.connections().in_use, 0);
    assert_eq!(logins(&sim), 1);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_login_whose_borrower_is_cancelled_is_not_lost() {
    let sim = builder().soap_delay(Duration::from_millis(50)).start().await.unwrap();
    let provider = provider(&sim, pool(5));
    let path = selector(PATH);
    tokio::select! {
        found = provider.get(&path) => panic!("{found:?}"),
        () = until("the login is sent", || sim.log().calls("Login") == 1) => {}
    }
    until("it is logged out", || logins(&sim) == 1 && sim.log().open_sessions().is_empty()).await;
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_borrower_that_panics_leaks_nothing() {
    let sim = builder().start().await.unwrap();
    let provider = Arc::new(provider(&sim, pool(1)));
    let borrower = Arc::clone(&provider);
    let panicked = tokio::spawn(async move {
        let session = borrower.open_export(&VmId::new("vm-101"), &job("panics")).await.unwrap();
        let mut listing = borrower.list(VmFilter::default());
        listing.next().await.unwrap().unwrap();
        panic!("in the middle of {:?}", session.source().vm_name);
    });
    assert!(panicked.await.unwrap_err().is_panic());
    until("the session is back", || provider.connections().in_use == 0).await;
    provider.get(&selector(PATH)).await.unwrap();
    assert_eq!(logins(&sim), 1);
    close(&sim, &provider).await;
}

#[tokio::test]
async fn two_exports_whose_session_ends_are_renewed_by_one_login() {
    let sim = builder().lease_timeout(Duration::from_secs(2)).start().await.unwrap();
    let provider = provider(&sim, pool(1));
    let first = provider.open_export(&VmId::new("vm-101"), &job("first")).await.unwrap();
    let second = provider.open_export(&VmId::new("vm-102"), &job("second")).await.unwrap();
    assert_eq!(sim.terminate_sessions(), 1);
    let (one, two) = tokio::join!(fetch(&*first), fetch(&*second));
    one.unwrap();
    two.unwrap();
    let (one, two) = tokio::join!(first.complete(), second.complete());
    one.unwrap();
    two.unwrap();
    assert_eq!((logins(&sim), provider.connections().total_renewed), (2, 1));
    close(&sim, &provider).await;
}

#[tokio::test]
async fn of_two_exports_with_a_session_each_only_the_one_that_lost_it_logs_in_again() {
    let sim = builder().lease_timeout(Duration::from_secs(2)).start().await.unwrap();
    let provider = provider(&sim, pool(5));
    let first = provider.open_export(&VmId::new("vm-101"), &job("first")).await.unwrap();
    let second = provider.open_export(&VmId::new("vm-102"), &job("second")).await.unwrap();
    assert_eq!(provider.connections().in_use, 2);
    // It strikes the session of the call, whichever that is.
    sim.add_fault(FaultRule::method("CreateDescriptor", Strike::NotAuthenticated));
    let (one, two) = tokio::join!(fetch(&*first), fetch(&*second));
    one.unwrap();
    two.unwrap();
    let (one, two) = tokio::join!(first.complete(), second.complete());
    one.unwrap();
    two.unwrap();
    assert_eq!((logins(&sim), provider.connections().total_renewed), (3, 1));
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_session_that_ends_during_a_download_is_renewed_once_and_the_export_completes() {
    let sim = builder().lease_timeout(Duration::from_secs(1)).stream_rate(4 << 20).start().await.unwrap();
    let provider = provider(&sim, pool(5));
    let session = provider.open_export(&VmId::new("vm-101"), &job("download")).await.unwrap();
    let (fetched, ()) = tokio::join!(fetch(&*session), async {
        let begun = sim.log().wait_for(|event| matches!(event, Event::StreamStarted { .. })).await;
        assert!(matches!(begun.event, Event::StreamStarted { .. }));
        assert_eq!(sim.terminate_sessions(), 1);
    });
    fetched.unwrap();
    session.complete().await.unwrap();
    assert_eq!((logins(&sim), provider.connections().total_renewed), (2, 1));
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_session_that_ends_just_before_complete_is_renewed_once() {
    let sim = builder().start().await.unwrap();
    let provider = provider(&sim, pool(5));
    let session = provider.open_export(&VmId::new("vm-101"), &job("complete")).await.unwrap();
    fetch(&*session).await.unwrap();
    assert_eq!(sim.terminate_sessions(), 1);
    session.complete().await.unwrap();
    assert_eq!((logins(&sim), provider.connections().total_renewed), (2, 1));
    close(&sim, &provider).await;
}

#[tokio::test]
async fn a_password_that_was_changed_meanwhile_is_tried_once() {
    let sim = builder().start().await.unwrap();
    let provider = provider(&sim, pool(2));
    provider.get(&selector(PATH)).await.unwrap();
    sim.terminate_sessions();
    sim.add_fault(FaultRule::method("Login", Strike::MethodFault { fault: "InvalidLogin".into() }).always());
    let path = selector(PATH);
    for error in join_all((0..8).map(|_| provider.get(&path))).await.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(sim.log().calls("Login"), 2, "the first, and one refused");
    close(&sim, &provider).await;
}

#[tokio::test]
async fn closing_waits_for_nobody_for_long_and_logs_everybody_out() {
    let sim = builder().start().await.unwrap();
    let provider = provider(&sim, pool(3));
    let path = selector(PATH);
    join_all((0..3).map(|_| provider.get(&path))).await;
    let session = provider.open_export(&VmId::new("vm-101"), &job("left-open")).await.unwrap();
    drop(session);
    let begun = Instant::now();
    close(&sim, &provider).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    provider.get(&path).await.expect("a closed pool opens again");
    close(&sim, &provider).await;
}
