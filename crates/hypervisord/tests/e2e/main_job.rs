use std::path::Path;

use hypersdk_tests::{command, names};
use hypersdk_vsim::{Event, Vsim};
use serde_json::{Value, json};

use crate::world::{APP, WEB, World, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_becomes_an_ova_that_every_tool_accepts() {
    let world = World::new().await;
    let job = world.complete(&world.job(WEB)).await;
    let ova = world.out().join("web.ova");
    assert_eq!(job["result"]["ovf_path"], json!(ova), "{job:#}");
    assert_eq!(job["result"]["total_size"], json!(std::fs::metadata(&ova).unwrap().len()));
    for file in job["result"]["files"].as_array().unwrap() {
        assert_eq!(file["attested"], true, "the host attested {file}");
        assert_eq!(file["host_sha256"], file["source_sha256"], "{file}");
    }

    check_receipt(&world, &job);
    let opened = world.path("opened");
    std::fs::create_dir(&opened).unwrap();
    let listing = command("tar", &["-tf", ova.to_str().unwrap()], &opened);
    let members: Vec<&str> = listing.lines().collect();
    assert_eq!(members.first(), Some(&"web.ovf"));
    assert_eq!(members.last(), Some(&"web.mf"));
    assert_eq!(members.len(), 5, "{members:?}");
    command("tar", &["-xf", ova.to_str().unwrap()], &opened);

    check_manifest(&opened, "web.mf", members.len() - 1);
    check_descriptor(&opened, "web.ovf");
    compare_disks(&world.sim, "web", &opened, &["web-disk-0.vmdk", "web-disk-1.vmdk"]).await;
    assert_eq!(std::fs::read(opened.join("web-web.nvram")).unwrap(), vec![0x5a; 8684]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ovf_package_is_a_directory_beside_its_receipt() {
    let world = World::new().await;
    let mut job = world.job(WEB);
    job["format"] = json!("ovf");
    job["verify"] = json!("full");
    world.complete(&job).await;
    assert_eq!(names(&world.out()), ["web", "web.receipt.json"]);
    let package = world.out().join("web");
    check_manifest(&package, "web.mf", 4);
    check_descriptor(&package, "web.ovf");
    compare_disks(&world.sim, "web", &package, &["web-disk-0.vmdk", "web-disk-1.vmdk"]).await;
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_vm_is_exported_from_a_snapshot_that_is_removed() {
    let world = World::new().await;
    world.complete(&world.job(APP)).await;
    let events = world.sim.log().events();
    assert!(events.iter().any(|event| matches!(event, Event::SnapshotCreated { .. })), "{events:?}");
    assert!(world.sim.log().snapshots().is_empty());
    let receipt = std::fs::read(world.out().join("app.receipt.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    assert!(receipt["source"]["snapshot"].as_str().is_some_and(|name| !name.is_empty()), "{receipt:#}");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_glob_becomes_one_job_a_vm() {
    let world = World::new().await;
    let (status, answer) = world.client().post("/jobs/submit", &world.job("/DC0/vm/prod/*")).await;
    assert_eq!((status, &answer["accepted"]), (202, &json!(2)), "{answer}");
    for id in answer["job_ids"].as_array().unwrap() {
        let job = world.client().wait_for_end(id.as_str().unwrap()).await;
        assert_eq!(job["status"], "completed", "{job:#}");
    }
    assert_eq!(names(&world.out()), ["app.ova", "app.receipt.json", "web.ova", "web.receipt.json"]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_expires_without_renewal_is_renewed_through_a_slow_export() {
    // At 4 MiB a second the larger disk takes several times the lease's two seconds.
    let slow = simulator().lease_timeout(std::time::Duration::from_secs(2)).stream_rate(2 << 20);
    let world = World::over(slow, |config| config).await;
    world.complete(&world.job(WEB)).await;
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_esxi_host_exports_like_a_vcenter() {
    let world = World::over(simulator().kind(hypersdk_vsim::Kind::Esxi), |config| config).await;
    let path = world.sim.vm_paths().into_iter().find(|path| path.ends_with("/web")).unwrap();
    world.complete(&world.job(&path)).await;
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_served_by_another_host_are_pinned_by_its_thumbprint() {
    let world = World::over(simulator().separate_nfc_host(), |config| config).await;
    world.complete(&world.job(WEB)).await;
    world.stop_clean().await;
}

/// The receipt tells where the VM came from, when, by which program, and who vouches for which bytes.
fn check_receipt(world: &World, job: &Value) {
    let receipt = std::fs::read(world.out().join("web.receipt.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    let text = |pointer: &str| {
        let found = receipt.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("{pointer} in {receipt:#}")).to_owned()
    };
    assert_eq!(text("/tool"), concat!("hypersdk ", env!("CARGO_PKG_VERSION")));
    assert_eq!(text("/job"), job["definition"]["id"]);
    assert!(text("/source/vm").starts_with("vm-"), "{receipt:#}");
    assert_eq!(text("/source/vm_name"), "web");
    assert_eq!(text("/source/instance_uuid").len(), 36);
    assert!(text("/source/host").starts_with("DC0_"), "{receipt:#}");
    assert!(receipt["source"]["snapshot"].is_null(), "a stopped VM needs none");
    assert!(text("/started_at") < text("/finished_at"));
    for index in 0..3 {
        let file = &receipt["outcome"]["files"][index];
        for field in ["name", "size", "sha256", "source_size", "source_sha256", "host_sha256", "attested"] {
            assert_eq!(file[field], job["result"]["files"][index][field], "{field} in {receipt:#}");
        }
    }
}

/// `sha256sum` agrees with every line of the manifest, and there are as many lines as files.
fn check_manifest(directory: &Path, manifest: &str, files: usize) {
    let text = std::fs::read_to_string(directory.join(manifest)).unwrap();
    assert_eq!(text.lines().count(), files, "{text}");
    for line in text.lines() {
        let (name, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
        let sum = command("sha256sum", &[name], directory);
        assert_eq!(sum.split_whitespace().next(), Some(digest), "{line}");
    }
}

/// The descriptor is well-formed and each file's size in it is the file's.
fn check_descriptor(directory: &Path, descriptor: &str) {
    command("xmllint", &["--noout", descriptor], directory);
    let count = command(
        "xmllint",
        &["--xpath", "count(//*[local-name()='References']/*[local-name()='File'])", descriptor],
        directory,
    );
    let count: usize = count.trim().parse().unwrap();
    assert!(count > 0);
    for index in 1..=count {
        let attribute = |name: &str| {
            let path = format!(
                "string((//*[local-name()='References']/*[local-name()='File'])[{index}]/@*[local-name()='{name}'])"
            );
            command("xmllint", &["--xpath", &path, descriptor], directory).trim().to_owned()
        };
        let size: u64 = attribute("size").parse().unwrap();
        let file = directory.join(attribute("href"));
        assert_eq!(size, std::fs::metadata(&file).unwrap().len(), "{}", file.display());
    }
}

/// Each disk holds what the simulator's source disk does.
async fn compare_disks(sim: &Vsim, vm: &str, directory: &Path, disks: &[&str]) {
    for (index, disk) in disks.iter().enumerate() {
        sim.write_raw(vm, index, &directory.join("source.raw")).await.unwrap();
        command("qemu-img", &["check", disk], directory);
        command("qemu-img", &["convert", "-O", "raw", disk, "exported.raw"], directory);
        command("qemu-img", &["compare", "-f", "raw", "-F", "raw", "source.raw", "exported.raw"], directory);
    }
}
