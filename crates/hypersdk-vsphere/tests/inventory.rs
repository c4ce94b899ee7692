//! The inventory in memory over the simulator: what changes there shows here, through lost sessions and restarts.
//! Together about ten seconds, nearly all of them waits of the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt};
use hypersdk_core::testing::provider_conformance;
use hypersdk_core::{Inventory, PowerState, Provider, ProviderExt, VmChange, VmFilter, VmId, VmSummary};
use hypersdk_vsim::{Event, FaultKind, FaultRule, VmSpec, Vsim, VsimBuilder};
use hypersdk_vsphere::{PoolConfig, VsphereConfig, VsphereProvider};

/// How soon a change must show.
const SOON: Duration = Duration::from_secs(2);
/// How soon it must show when a server has to come back before.
const AT_LAST: Duration = Duration::from_secs(20);

fn builder() -> VsimBuilder {
    Vsim::builder().disk_size(1 << 20)
}

fn config(sim: &Vsim) -> VsphereConfig {
    let mut config = VsphereConfig::new(sim.url().as_str(), sim.username(), sim.password());
    config.insecure = true;
    config
}

fn provider(config: VsphereConfig) -> (VsphereProvider, Arc<dyn Inventory>) {
    let provider = VsphereProvider::new(config).expect("a usable configuration");
    let inventory = provider.inventory().expect("it is kept by default");
    (provider, inventory)
}

async fn listed(inventory: &dyn Inventory) -> Arc<[VmSummary]> {
    inventory.copy().await.expect("a copy").vms
}

async fn paths(inventory: &dyn Inventory) -> Vec<String> {
    listed(inventory).await.iter().map(|vm| vm.path.clone()).collect()
}

/// Waits until the copy is as wanted; while there is none it is asked for again.
async fn shows(inventory: &dyn Inventory, within: Duration, wanted: impl Fn(&[VmSummary]) -> bool) {
    let begun = Instant::now();
    loop {
        let copy = inventory.copy().await;
        if copy.as_ref().is_some_and(|copy| wanted(&copy.vms)) {
            return;
        }
        assert!(begun.elapsed() < within, "after {:?}: {copy:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has(vms: &[VmSummary], name: &str) -> bool {
    vms.iter().any(|vm| vm.name == name)
}

async fn next(changes: &mut BoxStream<'static, VmChange>) -> VmChange {
    tokio::time::timeout(SOON, changes.next()).await.expect("a change in time").expect("no end")
}

async fn end(sim: &Vsim, provider: &VsphereProvider) {
    provider.close().await;
    assert!(sim.log().open_sessions().is_empty(), "{:?}", sim.log().open_sessions());
    assert_eq!(sim.log().calls("CreateContainerView"), sim.log().calls("DestroyView"));
    assert_eq!(sim.log().calls("CreatePropertyCollector"), sim.log().calls("DestroyPropertyCollector"));
}

#[tokio::test]
async fn a_large_inventory_is_read_in_few_calls_and_then_listed_without_any() {
    let sim = builder().vms(3000).page_size(10_000).hosts(8).start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    let copy = inventory.copy().await.expect("a copy");
    let first = copy.vms;
    assert!(copy.age < SOON, "{:?}", copy.age);
    let calls: u64 = sim.log().all_calls().values().sum();
    assert!(calls <= 8, "{:?}", sim.log().all_calls());
    assert_eq!(first.len(), 3000);
    assert!(first.is_sorted_by_key(|vm| (vm.path.clone(), vm.id.clone())));
    let asked = sim.log().calls("RetrievePropertiesEx");
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&first, &listed(&*inventory).await), "nothing changed");
    }
    assert_eq!(sim.log().calls("RetrievePropertiesEx"), asked);
    let mut live = provider.list_all(VmFilter::default()).await.unwrap();
    assert_eq!(live.len(), 3000);
    live.sort_by(|a, b| (&a.path, &a.id).cmp(&(&b.path, &b.id)));
    assert!(live == first[..]);
    end(&sim, &provider).await;
}

#[tokio::test]
async fn an_inventory_told_in_pieces_is_whole_although_it_changes_between_them() {
    let sim = builder().vms(40).page_size(3).soap_delay(Duration::from_millis(2)).start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    let renaming = async {
        for number in 1..=8 {
            while sim.log().calls("WaitForUpdatesEx") < number {
                tokio::task::yield_now().await;
            }
            // Told of already, or not yet.
            for id in [format!("vm-{}", 100 + number), format!("vm-{}", 140 - number)] {
                sim.rename(&id, &format!("new-{id}")).unwrap();
            }
        }
    };
    let (before, ()) = tokio::join!(paths(&*inventory), renaming);
    assert_eq!(before.len(), 40);
    let now = sim.vm_paths();
    assert_eq!(now.iter().filter(|path| path.contains("/new-vm-")).count(), 16);
    shows(&*inventory, AT_LAST, |vms| vms.iter().map(|vm| &vm.path).eq(&now)).await;
    assert_eq!(inventory.stats().readings, 1, "{:?}", inventory.stats());
    end(&sim, &provider).await;
}

#[tokio::test]
async fn what_happens_at_the_server_shows_here() {
    let sim = builder().start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    let before = paths(&*inventory).await;
    assert_eq!(before, sim.vm_paths());
    let mut changes = inventory.changes();
    assert_eq!(next(&mut changes).await, VmChange::Reset);

    sim.rename("web-01", "web/02").unwrap();
    let VmChange::Changed(vm) = next(&mut changes).await else { panic!("it was renamed") };
    assert_eq!((vm.name.as_str(), vm.path.as_str()), ("web/02", "/DC0/vm/prod/web%2f02"));
    shows(&*inventory, SOON, |vms| has(vms, "web/02") && !has(vms, "web-01")).await;

    provider.power_on(&VmId::new("vm-101")).await.unwrap();
    shows(&*inventory, SOON, |vms| vms.iter().any(|vm| vm.name == "web/02" && vm.power == PowerState::On))
        .await;

    let id = sim.add_vm(VmSpec::new("late").folder("new/place")).unwrap();
    shows(&*inventory, SOON, |vms| vms.iter().any(|vm| vm.path == "/DC0/vm/new/place/late")).await;
    sim.remove_vm(&id).unwrap();
    shows(&*inventory, SOON, |vms| !has(vms, "late")).await;
    loop {
        match next(&mut changes).await {
            VmChange::Removed(gone) => break assert_eq!(gone.as_str(), id),
            _earlier => {}
        }
    }
    assert_eq!(paths(&*inventory).await, sim.vm_paths());
    assert_eq!(inventory.stats().readings, 1, "{:?}", inventory.stats());
    drop(changes);
    end(&sim, &provider).await;
}

#[tokio::test]
async fn a_session_that_ends_while_it_waits_is_replaced_and_followers_miss_nothing() {
    let sim = builder().start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    paths(&*inventory).await;
    let mut changes = inventory.changes();
    assert_eq!(next(&mut changes).await, VmChange::Reset);
    for round in 0..3 {
        // Renamed after the wait broke off and before there is another one.
        sim.terminate_sessions();
        let (from, to) = (format!("web-0{}", round + 1), format!("web-0{}", round + 2));
        sim.rename(&from, &to).unwrap();
        // The waits between attempts that broke off grow beyond what is soon.
        let change = tokio::time::timeout(AT_LAST, changes.next()).await.expect("a change").expect("no end");
        let VmChange::Changed(vm) = change else { panic!("it was renamed: {change:?}") };
        assert_eq!(vm.name, to);
        shows(&*inventory, AT_LAST, |vms| has(vms, &to) && !has(vms, &from)).await;
    }
    assert!(inventory.stats().readings >= 4, "{:?}", inventory.stats());
    drop(changes);
    provider.close().await;
    assert!(sim.log().open_sessions().is_empty());
}

#[tokio::test]
async fn a_server_that_comes_back_as_another_is_read_anew() {
    let sim = builder().start().await.unwrap();
    let address = sim.url().socket_addrs(|| None).unwrap()[0];
    let mut config = config(&sim);
    config.call_timeout = Duration::from_secs(5);
    let (provider, inventory) = provider(config);
    assert_eq!(listed(&*inventory).await.len(), 4);
    sim.shutdown().await;
    // While nobody answers there is nothing to vouch for, and the error is the listing's.
    let begun = Instant::now();
    while inventory.copy().await.is_some() {
        assert!(begun.elapsed() < AT_LAST, "it never noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(inventory.stats().age, None);
    assert!(provider.list_all(VmFilter::default()).await.is_err());
    let sim = builder().vms(9).listen(address).start().await.unwrap();
    shows(&*inventory, AT_LAST, |vms| vms.len() == 9).await;
    sim.rename("web-01", "web-02").unwrap();
    shows(&*inventory, SOON, |vms| has(vms, "web-02")).await;
    provider.close().await;
    assert!(sim.log().open_sessions().is_empty());
}

#[tokio::test]
async fn a_wait_that_the_server_fails_leads_to_a_new_reading() {
    let sim = builder().start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    paths(&*inventory).await;
    for fault in ["InvalidCollectorVersion", "RequestCanceled", "ManagedObjectNotFound"] {
        let readings = inventory.stats().readings;
        let fails = FaultKind::MethodFault { fault: fault.to_owned() };
        sim.add_fault(FaultRule::method("WaitForUpdatesEx", fails));
        // The wait that is under way ends with this and the next one fails.
        sim.rename("web-01", "web-02").unwrap();
        shows(&*inventory, AT_LAST, |vms| has(vms, "web-02") && inventory.stats().readings > readings).await;
        sim.rename("web-02", "web-01").unwrap();
        shows(&*inventory, AT_LAST, |vms| has(vms, "web-01")).await;
    }
    provider.close().await;
    assert!(sim.log().open_sessions().is_empty());
}

#[tokio::test]
async fn an_inventory_that_cannot_be_watched_is_listed_all_the_same() {
    let sim = builder().start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    let fails = FaultKind::MethodFault { fault: "NotSupported".to_owned() };
    sim.add_fault(FaultRule::method("CreatePropertyCollector", fails).always());
    assert!(inventory.copy().await.is_none());
    assert_eq!(provider.list_all(VmFilter::default()).await.unwrap().len(), 4);
    // It is not tried again with each listing.
    assert!(inventory.copy().await.is_none());
    assert_eq!(sim.log().calls("CreatePropertyCollector"), 1);
    provider.close().await;
    assert!(sim.log().open_sessions().is_empty());
}

#[tokio::test]
async fn watching_takes_one_session_that_others_share_and_gives_it_back_when_nobody_asks() {
    let sim = builder().start().await.unwrap();
    let mut config = config(&sim);
    config.connection_pool = PoolConfig::default();
    config.connection_pool.max_connections = 1;
    config.inventory_cache.idle_timeout = Duration::from_millis(100);
    let (provider, inventory) = provider(config);
    paths(&*inventory).await;
    assert_eq!(provider.connections().holders[0].work, "inventory");
    assert_eq!(provider.list_all(VmFilter::default()).await.unwrap().len(), 4, "the session is shared");
    let logins = sim.log().events().iter().filter(|event| matches!(event, Event::LoggedIn { .. })).count();
    assert_eq!(logins, 1);
    // It looks whether anybody asks with each answer.
    tokio::time::sleep(Duration::from_millis(150)).await;
    sim.rename("web-01", "web-02").unwrap();
    let begun = Instant::now();
    while provider.connections().in_use > 0 {
        assert!(begun.elapsed() < SOON, "{:?}", provider.connections());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((inventory.stats().vms, inventory.stats().age), (0, None));
    assert!(paths(&*inventory).await.contains(&"/DC0/vm/prod/web-02".to_owned()), "it begins again");
    end(&sim, &provider).await;
}

#[tokio::test]
async fn a_provider_that_is_dropped_while_it_watches_leaves_no_session() {
    let sim = builder().start().await.unwrap();
    let (provider, inventory) = provider(config(&sim));
    paths(&*inventory).await;
    drop((provider, inventory));
    let left = |event: &Event| matches!(event, Event::LoggedOut { .. });
    sim.log().wait_for_within(SOON, left).await.expect("it logs out");
}

#[tokio::test]
async fn a_provider_that_keeps_its_inventory_conforms() {
    let sim = builder().start().await.unwrap();
    let (provider, _) = provider(config(&sim));
    provider_conformance(&provider, &"/DC0/vm/prod/web-01".parse().unwrap()).await;
    end(&sim, &provider).await;
}
