//! What is in an export's way, found by looking at the project's own simulator, which is put in each such state.

use hypersdk_core::{
    DiskSelection, ErrorKind, ExportOptions, Finding, PowerPolicy, Preflight, PreflightDepth, Provider,
    ProviderExt, VmId,
};
use hypersdk_vsim::{
    Attachment, DiskSpec, Event, FaultKind as Strike, FaultRule, Kind, Obstacle, PowerState, VmSpec, Vsim,
    VsimBuilder,
};
use hypersdk_vsphere::{VsphereConfig, VsphereProvider};

const MIB: u64 = 1 << 20;

/// A VM in some state, how it is to be exported, and everything there is to be said about that: the level and code
/// of each finding, and a part of its words.
struct Row {
    vm: VmSpec,
    options: ExportOptions,
    findings: &'static [(&'static str, &'static str)],
}

fn off(name: &str) -> VmSpec {
    VmSpec::new(name).disk(DiskSpec::synth(1, MIB))
}

fn on(name: &str) -> VmSpec {
    off(name).power(PowerState::On)
}

fn with_disk(name: &str, attachment: Attachment) -> VmSpec {
    off(name).disk(DiskSpec::synth(2, MIB).attached(attachment))
}

fn power(power: PowerPolicy) -> ExportOptions {
    ExportOptions { power, ..ExportOptions::default() }
}

fn disks(include: &[&str], exclude: &[&str]) -> ExportOptions {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let disks = DiskSelection { include: list(include), exclude: list(exclude) };
    ExportOptions { disks, ..ExportOptions::default() }
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let any = ExportOptions::default;
    let row = |vm, options, findings| Row { vm, options, findings };
    let stay_off = ExportOptions { restore_power: false, ..power(PowerPolicy::Shutdown) };
    let without_image = ExportOptions { remove_cdrom: true, ..any() };
    let iso = || Obstacle::ConnectedIso(vec![7; 2048].into());
    vec![
        row(off("stopped"), any(), &[]),
        row(on("runs"), any(), &[("info power_state", "from a temporary snapshot")]),
        row(on("runs-keep"), power(PowerPolicy::Keep), &[("error power_state", "power is keep")]),
        row(on("runs-shutdown"), power(PowerPolicy::Shutdown), &[("info power_state", "shut down for the export, and switched on again")]),
        row(on("runs-stay-off"), stay_off, &[("info power_state", "shut down for the export")]),
        row(on("runs-poweroff"), power(PowerPolicy::Poweroff), &[("warning power_state", "switched off hard")]),
        row(on("no-tools").without_tools(), power(PowerPolicy::Shutdown), &[("error tools", "VMware Tools do not run")]),
        row(off("suspended").power(PowerState::Suspended), any(), &[("error power_state", "suspended")]),
        row(off("tpm").obstacle(Obstacle::Tpm), any(), &[("error vtpm", "Virtual TPM")]),
        row(off("encrypted").obstacle(Obstacle::Encryption), any(), &[("error encrypted", "encrypted")]),
        row(off("passthrough").obstacle(Obstacle::Passthrough), any(), &[("error descriptor", "PCI device 0")]),
        row(off("iso").obstacle(iso()), any(), &[("warning iso_connected", "iso/iso.iso is connected")]),
        row(off("iso-left-out").obstacle(iso()), without_image, &[("info iso_connected", "left out, as asked for")]),
        row(off("consolidate").obstacle(Obstacle::Consolidation), any(), &[("warning consolidation_needed", "slow")]),
        row(with_disk("independent-off", Attachment::Independent), any(), &[("info independent_disk", "Hard disk 2")]),
        row(with_disk("independent-on", Attachment::Independent).power(PowerState::On), any(),
            &[("error independent_disk", "Hard disk 2"), ("info power_state", "snapshot")]),
        row(with_disk("raw-virtual", Attachment::RawVirtual), any(), &[("warning rdm", "Hard disk 2 is a raw device")]),
        row(with_disk("raw-physical", Attachment::RawPhysical), any(),
            &[("error rdm", "Hard disk 2"), ("warning disk_count", "describes 1 disks, 2 are to be exported")]),
        row(with_disk("raw-left-out", Attachment::RawPhysical), disks(&[], &["Hard disk 2"]),
            &[("warning disks_left_out", "1 of 2 disks")]),
        row(with_disk("one-of-two", Attachment::Dependent), disks(&["disk-1.vmdk"], &[]),
            &[("warning disks_left_out", "1 of 2 disks")]),
        row(off("unknown-disk"), disks(&[], &["Hard disk 9"]), &[("error disk_unknown", "\"Hard disk 9\"")]),
        row(off("all-left-out"), disks(&[], &["0"]), &[("error no_disks", "no disk is left")]),
        row(VmSpec::new("no-disks"), any(), &[("error no_disks", "no disk is left")]),
    ]
}

fn connect(sim: &Vsim) -> VsphereProvider {
    let mut config = VsphereConfig::new(sim.url().as_str(), sim.username(), sim.password());
    config.thumbprint = Some(sim.thumbprint().to_owned());
    VsphereProvider::new(config).expect("a usable configuration")
}

/// A simulator and a connection to it.
async fn start(simulator: VsimBuilder) -> (Vsim, VsphereProvider) {
    let sim = simulator.start().await.expect("the simulator starts");
    let provider = connect(&sim);
    (sim, provider)
}

async fn id(provider: &VsphereProvider, name: &str) -> VmId {
    let selector = format!("/DC0/vm/{name}").parse().expect("a path");
    provider.get(&selector).await.expect("the VM is there").id
}

async fn look(provider: &VsphereProvider, name: &str, options: &ExportOptions) -> Preflight {
    let vm = id(provider, name).await;
    provider
        .preflight(&vm, options, PreflightDepth::Quick)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn named(finding: &Finding) -> String {
    format!("{:?} {}", finding.level, finding.code).to_lowercase()
}

fn of_code<'a>(preflight: &'a Preflight, code: &str) -> Vec<&'a Finding> {
    preflight.findings.iter().filter(|finding| finding.code == code).collect()
}

#[tokio::test]
async fn each_thing_in_an_exports_way_is_found_with_its_level_and_advice_and_nothing_else_is() {
    let simulator = rows().into_iter().fold(Vsim::builder(), |sim, row| sim.vm(row.vm));
    let (sim, provider) = start(simulator).await;
    for Row { vm, options, findings } in rows() {
        let found = look(&provider, &vm.name, &options).await;
        let codes: Vec<String> = found.findings.iter().map(named).collect();
        let wanted: Vec<&str> = findings.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, wanted, "{}: {:#?}", vm.name, found.findings);
        for (finding, (_, words)) in found.findings.iter().zip(findings) {
            assert!(finding.message.contains(words), "{}: {finding:?}", vm.name);
            let advised = finding.advice.is_some() || !named(finding).starts_with("error");
            assert!(advised, "{}: an error says what to do: {finding:?}", vm.name);
        }
        assert_eq!(found.verdict().is_err(), wanted.iter().any(|code| code.starts_with("error")));
    }
    provider.close().await;
    let touched = |event: &Event| {
        !matches!(event, Event::LoggedIn { .. } | Event::LoggedOut { .. } | Event::DescriptorCreated { .. })
    };
    let events = sim.log().events();
    assert!(!events.iter().any(touched), "looking changes nothing: {events:#?}");
}

#[tokio::test]
async fn each_missing_privilege_is_named_with_the_vm_and_only_if_the_export_needs_it() {
    const SNAPSHOT: [&str; 2] =
        ["VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot"];
    const OFF: &str = "VirtualMachine.Interact.PowerOff";
    const ON: &str = "VirtualMachine.Interact.PowerOn";
    let denied = ["VApp.Export", SNAPSHOT[0], SNAPSHOT[1], OFF, ON];
    let simulator = Vsim::builder().vm(off("stopped")).vm(on("runs"));
    let (sim, provider) =
        start(denied.iter().fold(simulator, |sim, privilege| sim.deny_privilege(*privilege))).await;
    let stay_off = ExportOptions { restore_power: false, ..power(PowerPolicy::Poweroff) };
    for (name, options, needed) in [
        ("stopped", ExportOptions::default(), vec!["VApp.Export"]),
        ("runs", ExportOptions::default(), vec!["VApp.Export", SNAPSHOT[0], SNAPSHOT[1]]),
        ("runs", power(PowerPolicy::Shutdown), vec!["VApp.Export", OFF, ON]),
        ("runs", stay_off, vec!["VApp.Export", OFF]),
    ] {
        let vm = id(&provider, name).await;
        let found = look(&provider, name, &options).await;
        let missing = of_code(&found, "privilege_missing");
        assert_eq!(missing.len(), needed.len(), "{missing:#?}");
        for (finding, privilege) in missing.iter().zip(needed) {
            assert!(finding.message.contains(&format!("{privilege} on {name} ({vm})")), "{finding:?}");
            assert!(finding.advice.as_ref().is_some_and(|advice| advice.contains(privilege)), "{finding:?}");
        }
        assert_eq!(found.verdict().unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    // A server that does not tell is no obstacle.
    let unknown = Strike::MethodFault { fault: "NotSupported".to_owned() };
    sim.add_fault(FaultRule::method("HasPrivilegeOnEntities", unknown));
    let found = look(&provider, "stopped", &ExportOptions::default()).await;
    assert_eq!(found.findings.iter().map(named).collect::<Vec<_>>(), ["info privileges"]);
    provider.close().await;
}

#[tokio::test]
async fn snapshots_of_people_are_told_and_a_busy_vm_is_no_obstacle() {
    let (sim, provider) = start(Vsim::builder().vm(off("kept"))).await;
    let vm = id(&provider, "kept").await;
    for (name, told) in [("before update", "has a snapshot;"), ("after update", "has 2 snapshots;")] {
        provider.create_snapshot(&vm, name, false).await.expect("a snapshot is made");
        let found = look(&provider, "kept", &ExportOptions::default()).await;
        assert!(of_code(&found, "snapshots")[0].message.contains(told), "{found:?}");
    }
    let busy = Strike::MethodFault { fault: "TaskInProgress".to_owned() };
    sim.add_fault(FaultRule::method("CreateDescriptor", busy));
    let found = look(&provider, "kept", &ExportOptions::default()).await;
    let descriptor = of_code(&found, "descriptor");
    assert!(named(descriptor[0]) == "info descriptor" && descriptor[0].message.contains("busy"), "{found:?}");
    assert!(found.verdict().is_ok());
    provider.close().await;
}

#[tokio::test]
async fn a_full_datastore_is_told_where_a_snapshot_will_grow() {
    let simulator = Vsim::builder().datastores(1).datastore_free(MIB).vm(off("stopped")).vm(on("runs"));
    let (_sim, provider) = start(simulator).await;
    let found = look(&provider, "runs", &ExportOptions::default()).await;
    let space = of_code(&found, "space_there");
    assert!(space[0].message.contains("datastore1 has 1048576 bytes free"), "{found:?}");
    assert_eq!((space.len(), named(space[0]).as_str()), (1, "warning space_there"));
    for (name, options) in [("stopped", ExportOptions::default()), ("runs", power(PowerPolicy::Poweroff))] {
        assert!(
            of_code(&look(&provider, name, &options).await, "space_there").is_empty(),
            "no snapshot grows"
        );
    }
    provider.close().await;
}

#[tokio::test]
async fn the_expected_size_is_what_the_chosen_disks_occupy() {
    let vm = VmSpec::new("sized")
        .disk(DiskSpec::synth(1, 8 * MIB).fill(1.0))
        .disk(DiskSpec::synth(2, 64 * MIB).fill(0.0))
        .disk(DiskSpec::synth(3, 4 * MIB).fill(1.0));
    let (_sim, provider) = start(Vsim::builder().vm(vm)).await;
    // Grains that do not deflate grow by up to a hundredth, and each disk has its tables.
    let about = |held: u64| held + held / 100 + MIB;
    // The second disk is all zeros: what it holds is not known to be nothing, so its capacity counts.
    let found = look(&provider, "sized", &ExportOptions::default()).await;
    assert_eq!(found.expected_bytes, Some(about(8 * MIB) + about(64 * MIB) + about(4 * MIB)));
    let found = look(&provider, "sized", &disks(&["0"], &[])).await;
    assert_eq!(found.expected_bytes, Some(about(8 * MIB)));
    provider.close().await;
}

#[tokio::test]
async fn the_host_that_will_serve_the_files_is_tried_and_its_certificate_compared() {
    let thorough = async |provider: &VsphereProvider, name: &str| {
        let vm = id(provider, name).await;
        let found = provider.preflight(&vm, &ExportOptions::default(), PreflightDepth::Thorough).await;
        found.expect("it can be looked at").findings
    };
    // The first VM is on the first host, the second on the second, whose name leads nowhere.
    let two = || Vsim::builder().hosts(2).separate_nfc_host().reachable_host().vm(off("a")).vm(off("b"));
    let (_sim, provider) = start(two()).await;
    let reached = thorough(&provider, "a").await;
    assert_eq!(reached.iter().map(named).collect::<Vec<_>>(), ["info host_reachable"], "{reached:?}");
    let unreachable = thorough(&provider, "b").await;
    assert_eq!(unreachable.iter().map(named).collect::<Vec<_>>(), ["warning host_unreachable"]);
    assert!(unreachable[0].message.contains("DC0_C0_H1"), "{unreachable:?}");
    assert!(unreachable[0].advice.as_ref().is_some_and(|advice| advice.contains("DC0_C0_H1:443")));
    let vm = id(&provider, "b").await;
    let quick = provider.preflight(&vm, &ExportOptions::default(), PreflightDepth::Quick).await.unwrap();
    assert!(quick.findings.is_empty(), "a job's own check does not connect anywhere: {quick:?}");
    provider.close().await;

    let wrong = (0..20).map(|_| "AB").collect::<Vec<_>>().join(":");
    let (_other, provider) = start(two().host_thumbprint(&wrong)).await;
    let refused = thorough(&provider, "a").await;
    assert_eq!(refused.iter().map(named).collect::<Vec<_>>(), ["warning host_thumbprint"], "{refused:?}");
    assert!(refused[0].message.contains("127.0.0.1") && refused[0].advice.is_some(), "{refused:?}");
    provider.close().await;

    // A stand-alone host serves its files itself, and was reached already.
    let (_esxi, provider) = start(Vsim::builder().kind(Kind::Esxi).vm(off("a"))).await;
    let found =
        provider.preflight(&VmId::new("1"), &ExportOptions::default(), PreflightDepth::Thorough).await;
    assert_eq!(found.unwrap().findings, []);
    provider.close().await;
}
