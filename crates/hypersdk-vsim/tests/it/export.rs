use std::path::Path;

use hypersdk_vsim::{DiskSpec, Event, Kind, Layout, StreamOutcome, VmSpec, Vsim};
use sha1::Digest as _;

use crate::client::{Client, all, drain, first, http};

/// By qemu: the stream converts to raw, and both equal the source disk.
async fn assert_equal(sim: &Vsim, vm: &str, disk: usize, stream: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("got.vmdk"), stream).unwrap();
    sim.write_raw(vm, disk, &path("source.raw")).await.unwrap();
    qemu_img(&["convert", "-O", "raw"], &path("got.vmdk"), &path("got.raw")).await;
    qemu_img(&["compare", "-f", "raw", "-F", "raw"], &path("got.raw"), &path("source.raw")).await;
}

async fn qemu_img(arguments: &[&str], from: &Path, to: &Path) {
    let run = tokio::process::Command::new("qemu-img").args(arguments).arg(from).arg(to).output().await;
    let output = run.expect("qemu-img is installed (apt-get install qemu-utils)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn disks_of_both_layouts_arrive_whole_and_the_manifest_and_descriptor_agree() {
    let machine = VmSpec::new("web & co")
        .disk(DiskSpec::synth(1, 40 << 20).fill(0.3))
        .disk(DiskSpec::synth(2, 33 << 20).layout(Layout::Qemu).compressibility(0.9))
        .nvram(vec![7; 300]);
    let sim = Vsim::builder().vm(machine).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    let names: Vec<&str> = lease.files.iter().map(|file| file.target.as_str()).collect();
    assert_eq!(names, ["disk-0.vmdk", "disk-1.vmdk", "web &amp; co.nvram"]);
    assert_eq!(all(&lease.info, "disk"), ["true", "true", "false"]);
    let pair = format!(
        "<deviceUrlsToChecksumTypes><key>{}</key><value>sha256</value></deviceUrlsToChecksumTypes>",
        lease.files[1].key
    );
    client.ok("HttpNfcLeaseSetManifestChecksumType", lease.object(), &pair).await;
    let mut bodies = Vec::new();
    for file in &lease.files {
        let reply = client.get(&file.url.replace("&amp;", "&")).await;
        assert_eq!(reply.status(), 200);
        assert!(reply.content_length().is_none());
        let (body, whole) = drain(reply).await;
        assert!(whole);
        bodies.push(body);
    }
    assert_equal(&sim, "web & co", 0, &bodies[0]).await;
    assert_equal(&sim, "web & co", 1, &bodies[1]).await;
    assert_eq!(bodies[2], vec![7; 300]);
    let manifest = client.ok("HttpNfcLeaseGetManifest", lease.object(), "").await;
    let entries = all(&manifest, "returnval");
    assert_eq!(entries.len(), 3);
    for (entry, body) in entries.iter().zip(&bodies) {
        assert_eq!(first(entry, "size"), body.len().to_string());
        assert_eq!(first(entry, "sha1"), hex::encode(sha1::Sha1::digest(body)));
    }
    assert_eq!(all(&manifest, "checksum"), [hex::encode(sha2::Sha256::digest(&bodies[1]))]);
    let files: String = lease
        .files
        .iter()
        .zip(&bodies)
        .map(|(file, body)| {
            let (key, size) = (&file.key, body.len());
            format!(
                "<ovfFiles><deviceId>{key}</deviceId><path>{}</path><size>{size}</size></ovfFiles>",
                file.target
            )
        })
        .collect();
    let arguments = format!("<obj type=\"VirtualMachine\">vm-101</obj><cdp>{files}<name>x</name></cdp>");
    let result = client.ok("CreateDescriptor", client.manager("ovfManager"), &arguments).await;
    assert!(all(&result, "error").is_empty() && all(&result, "warning").is_empty(), "{result}");
    for body in &bodies {
        assert!(result.contains(&format!("ovf:size=\"{}\"", body.len())), "{result}");
    }
    client.ok("HttpNfcLeaseComplete", lease.object(), "").await;
    let whole = |event: &Event| matches!(event, Event::StreamEnded { outcome: StreamOutcome::Whole, .. });
    assert_eq!(sim.log().events().iter().filter(|event| whole(event)).count(), 3);
}

#[tokio::test]
async fn a_descriptor_shows_the_clients_mistakes() {
    let sim = Vsim::builder().disk_size(1 << 20).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    drain(client.get(&lease.files[0].url).await).await;
    let key = lease.files[0].key.as_str();
    let ask = async |device: &str, path: &str, size: &str| {
        let arguments = format!(
            "<obj type=\"VirtualMachine\">vm-101</obj><cdp><ovfFiles><deviceId>{device}</deviceId>\
             <path>{path}</path>{size}</ovfFiles></cdp>"
        );
        let body = client.ok("CreateDescriptor", client.manager("ovfManager"), &arguments).await;
        (all(&body, "error").len(), all(&body, "warning").len())
    };
    assert_eq!(ask(key, "a.vmdk", "").await, (1, 0));
    assert_eq!(ask(key, "a.vmdk", "<size>0</size>").await, (1, 0));
    assert_eq!(ask(key, "a.vmdk", "<size>17</size>").await, (0, 1));
    assert_eq!(ask("/vm-101/none", "a.vmdk", "<size>17</size>").await, (1, 0));
    assert_eq!(ask(key, "", "<size>17</size>").await, (1, 1));
    let dry = "<obj type=\"VirtualMachine\">vm-101</obj><cdp></cdp>";
    let body = client.ok("CreateDescriptor", client.manager("ovfManager"), dry).await;
    assert!(body.contains("disk-0.vmdk") && all(&body, "error").is_empty());
}

#[tokio::test]
async fn a_disk_from_a_file_is_sent_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, vmdk) = (folder.path().join("a.raw"), folder.path().join("a.vmdk"));
    DiskSpec::synth(5, 3 << 20).write_raw(&raw).unwrap();
    qemu_img(&["convert", "-O", "vmdk", "-o", "subformat=streamOptimized"], &raw, &vmdk).await;
    let sim = Vsim::builder().vm(VmSpec::new("a").disk(DiskSpec::file(&vmdk))).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    let (body, _) = drain(client.get(&lease.files[0].url).await).await;
    assert!(body == std::fs::read(&vmdk).unwrap());
    assert_equal(&sim, "a", 0, &body).await;
}

#[tokio::test]
async fn an_esxi_host_serves_its_own_path() {
    let sim = Vsim::builder().kind(Kind::Esxi).disk_size(1 << 20).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("1").await;
    assert!(first(&lease.info, "url").starts_with("https://*/ha-nfc/"));
    assert!(drain(client.get(&lease.files[0].url).await).await.1);
}

#[tokio::test]
async fn a_separate_host_has_its_own_certificate_and_needs_no_cookie() {
    let sim = Vsim::builder().separate_nfc_host().disk_size(1 << 20).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    assert_ne!(sim.nfc_thumbprint(), sim.thumbprint());
    assert_eq!(first(&lease.info, "sslThumbprint"), sim.nfc_thumbprint());
    let url = &lease.files[0].url;
    assert!(!url.contains('*') && !url.starts_with(sim.url().as_str().trim_end_matches("/sdk")));
    assert!(drain(http().get(url).send().await.unwrap()).await.1);
    assert_eq!(client.get(&url.replace("disk-0", "disk-9")).await.status(), 404);
    let host = url.split("/nfc/").next().unwrap();
    assert_eq!(client.get(&format!("{host}/sdk/vimServiceVersions.xml")).await.status(), 404);
}
