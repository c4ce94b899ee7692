//! Against govmomi's vSphere simulator: other people's server, real SOAP.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use hypersdk_core::{
    ErrorKind, ExportOptions, PowerPolicy, PowerState, Provider, ProviderExt, VmChange, VmFilter, VmId,
    VmSelector,
};
use hypersdk_vsphere::{CertificateRefused, Fault, FaultKind, Thumbprint, VsphereConfig, VsphereProvider};

/// The simulator as a child process; ends with the test.
struct Vcsim {
    child: Child,
    url: String,
    trace: PathBuf,
    _dir: tempfile::TempDir,
}

/// The first start builds the program; the others wait for it.
static STARTING: Mutex<()> = Mutex::new(());

impl Vcsim {
    fn start(arguments: &[&str]) -> Vcsim {
        let _one_build = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let trace = dir.path().join("trace");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/vcsim/run.sh");
        let mut child = Command::new(&script)
            .args(arguments)
            .arg("-trace")
            .arg(&trace)
            .env("VCSIM_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("vcsim"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
        let mut url = String::new();
        let stdout = child.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut url).expect("a line or its end");
        assert!(
            url.starts_with("https://"),
            "govmomi's simulator did not start; these tests need: \
             apt-get install golang-go golang-github-vmware-govmomi-dev"
        );
        Vcsim { child, url: url.trim().to_owned(), trace, _dir: dir }
    }

    fn config(&self) -> VsphereConfig {
        let mut config = VsphereConfig::new(&self.url, "user", "pass");
        config.insecure = true;
        config
    }

    fn provider(&self) -> VsphereProvider {
        VsphereProvider::new(self.config()).expect("a usable configuration")
    }

    /// How often a method was called.
    fn calls(&self, method: &str) -> usize {
        let trace = std::fs::read_to_string(&self.trace).unwrap_or_default();
        trace.matches(&format!("<{method} xmlns=")).count()
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        // Standard input closes with the handle, and the program ends.
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

fn selector(text: &str) -> VmSelector {
    text.parse().expect("a selector")
}

#[tokio::test]
async fn the_whole_inventory_of_a_vcenter_is_listed_with_its_paths() {
    let vcsim = Vcsim::start(&["-vms", "40", "-datacenters", "2", "-folders", "1"]);
    let provider = vcsim.provider();
    let vms = provider.list_all(VmFilter::default()).await.unwrap();
    // A lone host and a cluster in each of two datacenters, forty VMs in each.
    assert_eq!(vms.len(), 160);
    for vm in &vms {
        // The second datacenter and its VMs stand in folders, the first does not.
        let datacenter = &vm.name[..3];
        let path = if datacenter == "DC0" { "/DC0/vm" } else { "/F0/DC1/vm/F0" };
        assert_eq!(vm.path, format!("{path}/{}", vm.name));
        assert_eq!(vm.power, PowerState::On);
        assert!(vm.host.is_some() && vm.instance_uuid.is_some() && vm.memory_bytes.is_some(), "{vm:?}");
    }
    let filter = VmFilter { name: Some("dc1_*_vm7".into()), ..VmFilter::default() };
    assert_eq!(provider.list_all(filter).await.unwrap().len(), 2);
    let filter = VmFilter { folder: Some("/F0/DC1".into()), ..VmFilter::default() };
    assert_eq!(provider.list_all(filter).await.unwrap().len(), 80);
    provider.close().await;
    assert_eq!((vcsim.calls("Login"), vcsim.calls("Logout")), (1, 1));
    assert_eq!(vcsim.calls("CreateContainerView"), vcsim.calls("DestroyView"));
}

#[tokio::test]
async fn paths_ids_uuids_and_globs_find_the_same_vm() {
    let vcsim = Vcsim::start(&["-folders", "1"]);
    let provider = vcsim.provider();
    let all = provider.list_all(VmFilter::default()).await.unwrap();
    for vm in &all {
        assert_eq!(provider.get(&VmSelector::Path(vm.path.clone())).await.unwrap(), *vm);
        assert_eq!(provider.get(&VmSelector::Id(vm.id.clone())).await.unwrap(), *vm);
        let uuid = VmSelector::Id(VmId::new(vm.instance_uuid.as_deref().unwrap()));
        assert_eq!(provider.get(&uuid).await.unwrap(), *vm);
    }
    let globbed = provider.find(&selector("/F0/DC0/vm/*/DC0_H0_*")).await.unwrap();
    assert_eq!(globbed.len(), 2, "{globbed:?}");
    assert_eq!(provider.find(&selector("/**/DC0_*")).await.unwrap().len(), all.len());
    for nothing in ["/F0/DC0/vm/no-such", "/F0/DC0/vm", "vm-999999", "/nowhere/*"] {
        assert_eq!(provider.find(&selector(nothing)).await.unwrap(), [], "{nothing}");
    }
    let unknown = VmSelector::Id(VmId::new("6ba7b810-9dad-11d1-80b4-00c04fd430c8"));
    assert_eq!(provider.find(&unknown).await.unwrap(), []);
    provider.close().await;
}

#[tokio::test]
async fn a_stand_alone_host_has_its_own_paths() {
    let vcsim = Vcsim::start(&["-kind", "esx", "-vms", "3"]);
    let provider = vcsim.provider();
    let vms = provider.list_all(VmFilter::default()).await.unwrap();
    assert_eq!(vms.len(), 3);
    for vm in &vms {
        assert_eq!(vm.path, format!("/ha-datacenter/vm/{}", vm.name));
        assert_eq!(provider.get(&VmSelector::Path(vm.path.clone())).await.unwrap(), *vm);
        assert_eq!(provider.get(&VmSelector::Id(vm.id.clone())).await.unwrap(), *vm);
    }
    provider.close().await;
    assert_eq!((vcsim.calls("Login"), vcsim.calls("Logout")), (1, 1));
}

#[tokio::test]
async fn a_vm_is_switched_off_and_on() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    let vm = selector("/DC0/vm/DC0_H0_VM0");
    let id = provider.get(&vm).await.unwrap().id;
    provider.power_off(&id).await.unwrap();
    assert_eq!(provider.get(&vm).await.unwrap().power, PowerState::Off);
    let again = provider.power_off(&id).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{}", again.chain());
    assert_eq!(fault_of(&again), Some(FaultKind::InvalidPowerState));
    provider.power_on(&id).await.unwrap();
    assert_eq!(provider.get(&vm).await.unwrap().power, PowerState::On);
    provider.close().await;
    assert_eq!(vcsim.calls("CreatePropertyCollector"), vcsim.calls("DestroyPropertyCollector"));
}

#[tokio::test]
async fn a_snapshot_is_made_found_and_removed() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    let vm = provider.get(&selector("/DC0/vm/DC0_H0_VM0")).await.unwrap().id;
    let name = "hypersdk-job <1> & \"two\"";
    let snapshot = provider.create_snapshot(&vm, name, false).await.unwrap();
    assert_eq!(provider.find_snapshots(&vm, name).await.unwrap(), std::slice::from_ref(&snapshot));
    provider.remove_snapshot(&snapshot).await.unwrap();
    assert_eq!(provider.find_snapshots(&vm, name).await.unwrap(), Vec::<String>::new());
    provider.remove_snapshot(&snapshot).await.expect("one that is gone already is no error");
    provider.close().await;
}

#[tokio::test]
async fn an_export_this_server_cannot_do_is_unsupported() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    let vm = provider.get(&selector("/DC0/vm/DC0_H0_VM0")).await.unwrap().id;
    let options = ExportOptions { power: PowerPolicy::Keep, ..ExportOptions::default() };
    let error = provider.open_export(&vm, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", error.chain());
    assert_eq!(fault_of(&error), Some(FaultKind::NotSupported));
    assert!(!error.is_retryable());
    assert_eq!(vcsim.calls("ExportVm"), 1);
    provider.close().await;
}

#[tokio::test]
async fn a_failed_export_of_a_running_vm_leaves_no_snapshot() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    let vm = provider.get(&selector("/DC0/vm/DC0_H0_VM0")).await.unwrap().id;
    let job = "job-7".parse().unwrap();
    let options = ExportOptions { job: Some(job), ..ExportOptions::default() };
    // This version of the simulator has no ExportSnapshot.
    let error = provider.open_export(&vm, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", error.chain());
    assert_eq!((vcsim.calls("CreateSnapshot_Task"), vcsim.calls("RemoveSnapshot_Task")), (1, 1));
    assert_eq!(provider.find_snapshots(&vm, "hypersdk-job-7").await.unwrap(), Vec::<String>::new());
    provider.close().await;
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_not_again() {
    let vcsim = Vcsim::start(&[]);
    let mut config = vcsim.config();
    config.password = "wrong".into();
    let provider = VsphereProvider::new(config).unwrap();
    for _ in 0..3 {
        let error = provider.find(&selector("vm-1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
        assert!(!error.is_retryable());
    }
    let error = provider.list(VmFilter::default()).next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(vcsim.calls("Login"), 1);
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_with_its_thumbprint_which_then_works() {
    let vcsim = Vcsim::start(&[]);
    let mut config = vcsim.config();
    config.insecure = false;
    let error = VsphereProvider::new(config.clone()).unwrap().find(&selector("vm-1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.is_retryable());
    let refused = refused_of(&error).clone();
    assert!(error.advice().unwrap().contains(&refused.sha256.to_string()), "{:?}", error.advice());
    assert_eq!(vcsim.calls("Login"), 0);

    for thumbprint in [refused.sha256.to_string(), refused.sha1.to_string().to_lowercase()] {
        config.thumbprint = Some(thumbprint);
        let provider = VsphereProvider::new(config.clone()).unwrap();
        assert!(!provider.list_all(VmFilter::default()).await.unwrap().is_empty());
        provider.close().await;
    }
    config.thumbprint = Some(Thumbprint::sha256(b"another certificate").to_string());
    // A thumbprint that does not match is refused even where any certificate would do.
    config.insecure = true;
    let error = VsphereProvider::new(config).unwrap().find(&selector("vm-1")).await.unwrap_err();
    assert_eq!(refused_of(&error).sha256, refused.sha256);
}

#[tokio::test]
async fn a_provider_that_is_dropped_logs_out() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    let listing: Vec<_> = provider.list(VmFilter::default()).try_collect().await.unwrap();
    assert!(!listing.is_empty());
    drop(provider);
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while vcsim.calls("Logout") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the session is logged out in the background");
}

#[tokio::test]
async fn a_closed_provider_connects_again_when_used() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    for _ in 0..2 {
        assert_eq!(provider.find(&selector("/DC0/vm/DC0_H0_VM0")).await.unwrap().len(), 1);
        provider.close().await;
    }
    assert_eq!((vcsim.calls("Login"), vcsim.calls("Logout")), (2, 2));
}

fn fault_of(error: &hypersdk_core::Error) -> Option<FaultKind> {
    std::error::Error::source(error)?.downcast_ref::<Fault>().map(Fault::kind)
}

fn refused_of(error: &hypersdk_core::Error) -> &CertificateRefused {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref())
        .unwrap_or_else(|| panic!("a refused certificate, not {}", error.chain()))
}

#[tokio::test]
async fn sessions_are_borrowed_returned_and_logged_out() {
    let vcsim = Vcsim::start(&[]);
    let mut config = vcsim.config();
    config.connection_pool.max_connections = 3;
    let provider = VsphereProvider::new(config).unwrap();
    let vm = selector("/DC0/vm/DC0_H0_VM0");
    for _ in 0..4 {
        let found = futures::future::join_all((0..8).map(|_| provider.get(&vm))).await;
        assert!(found.iter().all(Result::is_ok), "{found:?}");
    }
    let stats = provider.connections();
    assert_eq!((stats.in_use, stats.idle, stats.total_borrowed), (0, stats.total_created, 32), "{stats:?}");
    assert!(stats.total_created <= 3 && stats.reuse_ratio() > 0.9, "{stats:?}");
    assert_eq!(vcsim.calls("Login") as u64, stats.total_created);
    provider.close().await;
    assert_eq!(vcsim.calls("Logout"), vcsim.calls("Login"));
}

#[tokio::test]
async fn a_session_that_an_administrator_ends_is_replaced_by_one_login() {
    let vcsim = Vcsim::start(&[]);
    let provider = vcsim.provider();
    let vm = selector("/DC0/vm/DC0_H0_VM0");
    let mut listing = provider.list(VmFilter::default());
    assert!(listing.next().await.unwrap().is_ok());
    drop(listing);
    assert_eq!(vcsim.calls("Login"), 1);
    Administrator::log_in(&vcsim).await.end_other_sessions().await;
    let before = vcsim.calls("Login");
    provider.get(&vm).await.expect("the session is renewed by its borrower");
    provider.get(&vm).await.expect("and goes on");
    assert_eq!(vcsim.calls("Login"), before + 1);
    assert_eq!((provider.connections().total_created, provider.connections().total_renewed), (1, 1));
    provider.close().await;
}

#[tokio::test]
async fn a_check_before_lending_notices_a_session_that_has_ended() {
    let vcsim = Vcsim::start(&[]);
    let mut config = vcsim.config();
    config.connection_pool.health_check_interval = std::time::Duration::from_millis(1);
    let provider = VsphereProvider::new(config).unwrap();
    let vm = selector("/DC0/vm/DC0_H0_VM0");
    provider.get(&vm).await.unwrap();
    Administrator::log_in(&vcsim).await.end_other_sessions().await;
    let before = vcsim.calls("Login");
    provider.get(&vm).await.unwrap();
    assert_eq!(vcsim.calls("Login"), before + 1);
    let stats = provider.connections();
    assert_eq!((stats.total_created, stats.total_renewed, stats.total_closed), (2, 0, 1), "{stats:?}");
    provider.close().await;
}

#[tokio::test]
async fn power_and_snapshot_tasks_of_many_vms_go_through_few_sessions() {
    let vcsim = Vcsim::start(&["-vms", "6"]);
    let mut config = vcsim.config();
    config.connection_pool.max_connections = 2;
    let provider = VsphereProvider::new(config).unwrap();
    let vms = provider.list_all(VmFilter::default()).await.unwrap();
    assert_eq!(vms.len(), 12);
    let work = vms.iter().map(|vm| async {
        let snapshot = provider.create_snapshot(&vm.id, "pooled", false).await?;
        provider.remove_snapshot(&snapshot).await?;
        provider.power_off(&vm.id).await?;
        provider.power_on(&vm.id).await
    });
    for outcome in futures::future::join_all(work).await {
        outcome.unwrap();
    }
    let vms = provider.list_all(VmFilter::default()).await.unwrap();
    assert!(vms.iter().all(|vm| vm.power == PowerState::On), "{vms:?}");
    let stats = provider.connections();
    assert_eq!((stats.in_use, stats.total_timeouts), (0, 0), "{stats:?}");
    assert!(stats.total_created <= 2, "{stats:?}");
    provider.close().await;
    assert_eq!(vcsim.calls("Logout"), vcsim.calls("Login"));
    assert_eq!(vcsim.calls("CreatePropertyCollector"), vcsim.calls("DestroyPropertyCollector"));
}

/// Somebody else with an account there, by SOAP as text.
struct Administrator {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Administrator {
    async fn log_in(vcsim: &Vcsim) -> Self {
        // Somebody else may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http =
            reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().expect("a client");
        let mut administrator = Administrator { http, url: vcsim.url.clone(), cookie: String::new() };
        administrator.call("Login", "<userName>user</userName><password>pass</password>").await;
        administrator
    }

    async fn end_other_sessions(mut self) {
        let collector = "<specSet><propSet><type>SessionManager</type><pathSet>sessionList</pathSet></propSet>\
                         <objectSet><obj type=\"SessionManager\">SessionManager</obj></objectSet></specSet>";
        let listed =
            self.call_on("PropertyCollector", "propertyCollector", "RetrieveProperties", collector).await;
        let mine = self.cookie.split('=').nth(1).unwrap_or_default().trim_matches('"').to_owned();
        let keys = listed.split("<key>").skip(1).filter_map(|rest| rest.split("</key>").next());
        let others: String =
            keys.filter(|key| *key != mine).map(|key| format!("<sessionId>{key}</sessionId>")).collect();
        assert!(others.contains("sessionId"), "there is another session: {listed}");
        self.call("TerminateSession", &others).await;
    }

    async fn call(&mut self, method: &str, arguments: &str) -> String {
        self.call_on("SessionManager", "SessionManager", method, arguments).await
    }

    async fn call_on(&mut self, kind: &str, this: &str, method: &str, arguments: &str) -> String {
        let body = format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <{method} xmlns=\"urn:vim25\"><_this type=\"{kind}\">{this}</_this>{arguments}</{method}>\
             </e:Body></e:Envelope>"
        );
        let request = self.http.post(&self.url).header("SOAPAction", "urn:vim25/7.0");
        let answer = request.header("Cookie", &self.cookie).body(body).send().await.expect("an answer");
        if let Some(cookie) = answer.headers().get("Set-Cookie") {
            cookie.to_str().expect("text").split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        let status = answer.status();
        let text = answer.text().await.expect("a text");
        assert!(status.is_success(), "{method}: {text}");
        text
    }
}

/// Renames what is at this path with VMware's own client.
fn rename_by_pyvmomi(vcsim: &Vcsim, path: &str, name: &str) {
    let python = std::env::var("HYPERSDK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/pyvmomi/rename.py");
    let output = Command::new(&python)
        .arg(script)
        .args([&vcsim.url, "user", "pass", path, name])
        .output()
        .unwrap_or_else(|error| panic!("cannot run {python}: {error}"));
    assert!(
        output.status.success(),
        "{python}: {}; it needs pyVmomi: pip install pyvmomi, or name an interpreter that has it in HYPERSDK_PYTHON",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_and_a_folder_that_pyvmomi_renames_show_up_in_the_kept_inventory() {
    let vcsim = Vcsim::start(&["-folders", "1"]);
    let provider = vcsim.provider();
    let inventory = provider.inventory().expect("it is kept by default");
    let listed = provider.list_all(VmFilter::default()).await.unwrap();
    assert_eq!(inventory.copy().await.expect("a copy").vms[..], listed);
    let mut changes = inventory.changes();
    assert_eq!(changes.next().await, Some(VmChange::Reset));

    let vm = listed.iter().find(|vm| vm.name == "DC0_H0_VM0").expect("a VM").clone();
    rename_by_pyvmomi(&vcsim, &vm.path, "renamed by others");
    // Their simulator gathers changes for a quarter of a second; a change may come in several parts.
    let renamed = async {
        loop {
            match changes.next().await.expect("no end") {
                VmChange::Changed(changed) if changed.name == "renamed by others" => break changed,
                _other => {}
            }
        }
    };
    let renamed = tokio::time::timeout(Duration::from_secs(2), renamed).await.expect("it shows soon");
    assert_eq!((&renamed.id, renamed.path.as_str()), (&vm.id, "/F0/DC0/vm/F0/renamed by others"));
    let copy = inventory.copy().await.expect("a copy");
    assert!(copy.vms.contains(&renamed) && !copy.vms.iter().any(|vm| vm.name == "DC0_H0_VM0"));

    rename_by_pyvmomi(&vcsim, "/F0/DC0/vm/F0", "F9");
    let begun = std::time::Instant::now();
    while !inventory.copy().await.expect("a copy").vms.iter().all(|vm| vm.path.starts_with("/F0/DC0/vm/F9/"))
    {
        assert!(begun.elapsed() < Duration::from_secs(2), "the folder's new name does not show");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(inventory.stats().readings, 1);
    drop(changes);
    provider.close().await;
    assert_eq!(vcsim.calls("CreateContainerView"), vcsim.calls("DestroyView"));
    assert_eq!(vcsim.calls("CreatePropertyCollector"), vcsim.calls("DestroyPropertyCollector"));
    // pyVmomi's own sessions are logged out by itself.
    assert_eq!(vcsim.calls("Login"), vcsim.calls("Logout"));
}
