//! Packages in every shape a job can ask for, and their verification.

use std::process::{Command, Output};

use hypersdk_tests::{command, names};
use serde_json::{Value, json};

use crate::world::{WEB, World};

#[tokio::test(flavor = "multi_thread")]
async fn every_format_holds_the_source_disks() {
    let world = World::new().await;
    for (format, compress) in
        [("qcow2", false), ("qcow2", true), ("raw", false), ("vmdk", false), ("vmdk", true), ("ovf", true)]
    {
        let mut job = world.job(WEB);
        job["format"] = json!(format);
        job["compress"] = json!(compress);
        job["package_name"] = json!(format!("{format}-{compress}"));
        job["verify"] = json!("full");
        let job = world.complete(&job).await;
        let package = world.out().join(format!("{format}-{compress}"));
        let ending = if format == "ovf" { "vmdk" } else { format };
        for disk in 0..2 {
            let file = format!("{format}-{compress}-disk-{disk}.{ending}");
            world.sim.write_raw("web", disk, &world.path("source.raw")).await.unwrap();
            let source = world.path("source.raw");
            let compare = ["compare", "-f", ending, "-F", "raw", &file, source.to_str().unwrap()];
            command("qemu-img", &compare, &package);
            if ending != "raw" {
                command("qemu-img", &["check", &file], &package);
            }
        }
        assert!(job["result"]["warnings"].is_array());
    }
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_level_of_compression_makes_an_ova_that_holds_the_same_disks() {
    let world = World::new().await;
    for level in [0, 1, 6, 9] {
        let mut job = world.job(WEB);
        job["compress"] = json!(true);
        job["compression_level"] = json!(level);
        job["package_name"] = json!(format!("level-{level}"));
        let job = world.complete(&job).await;
        let opened = world.path(&format!("opened-{level}"));
        std::fs::create_dir(&opened).unwrap();
        command("tar", &["-xf", job["result"]["ovf_path"].as_str().unwrap()], &opened);
        let disk = format!("level-{level}-disk-0.vmdk");
        world.sim.write_raw("web", 0, &world.path("source.raw")).await.unwrap();
        let source = world.path("source.raw");
        command(
            "qemu-img",
            &["compare", "-f", "vmdk", "-F", "raw", &disk, source.to_str().unwrap()],
            &opened,
        );
        let sizes = &job["result"]["files"][0];
        assert!(
            sizes["size"].as_u64() <= sizes["source_size"].as_u64().map(|size| size + (128 << 10)),
            "{sizes}"
        );
    }
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disks_of_a_directory_are_cut_in_chunks_of_the_size_asked_for() {
    let world = World::new().await;
    let mut job = world.job(WEB);
    job["format"] = json!("ovf");
    job["chunk_size"] = json!(1 << 20);
    let job = world.complete(&job).await;
    assert_eq!(job["definition"]["chunk_size"], json!(1 << 20));
    let package = world.out().join("web");
    for (index, file) in job["result"]["files"].as_array().unwrap().iter().take(2).enumerate() {
        let (name, size) = (file["name"].as_str().unwrap(), file["size"].as_u64().unwrap());
        let chunks = file["chunks"].as_array().unwrap();
        assert_eq!(chunks.len() as u64, size.div_ceil(1 << 20), "{file:#}");
        assert_eq!(chunks[0]["name"], format!("{name}.000000000"));
        // The shell lists them in their order.
        command("sh", &["-c", &format!("cat {name}.0* > ../../{name}")], &package);
        let whole = world.path(name);
        let sum = command("sha256sum", &[whole.to_str().unwrap()], &package);
        assert!(sum.starts_with(file["sha256"].as_str().unwrap()), "{file:#}");
        world.sim.write_raw("web", index, &world.path("source.raw")).await.unwrap();
        let source = world.path("source.raw");
        let compare =
            ["compare", "-f", "vmdk", "-F", "raw", whole.to_str().unwrap(), source.to_str().unwrap()];
        command("qemu-img", &compare, &package);
    }
    let verify = |path: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_hypervisord")).arg("verify").arg(path).output().unwrap()
    };
    assert!(verify(&package).status.success());
    std::fs::remove_file(package.join("web-disk-0.vmdk.000000001")).unwrap();
    let faulty = verify(&package);
    assert_eq!(faulty.status.code(), Some(15), "a missing file: {}", String::from_utf8_lossy(&faulty.stdout));
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_verified_by_command_and_by_request() {
    let world = World::new().await;
    world.complete(&world.job(WEB)).await;
    let ova = world.out().join("web.ova");
    let (status, report) =
        world.client().post("/packages/verify", &json!({ "path": ova, "level": "full" })).await;
    assert_eq!((status, &report["ok"]), (200, &json!(true)), "{report}");

    let verify = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_hypervisord")).args(arguments).output().unwrap()
    };
    let path = ova.to_str().unwrap();
    let whole = verify(&["verify", path]);
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    let inspected = verify(&["inspect", path, "--json"]);
    let report: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(report["files"].as_array().unwrap().len(), 5, "{report:#}");

    let content = std::fs::read(&ova).unwrap();
    let mut flipped = content.clone();
    flipped[content.len() / 2] ^= 1;
    std::fs::write(&ova, flipped).unwrap();
    assert_eq!(verify(&["verify", path]).status.code(), Some(17), "another digest");
    std::fs::write(&ova, &content[..content.len() / 2]).unwrap();
    let cut = verify(&["verify", path]);
    assert_eq!(cut.status.code(), Some(10), "{}", String::from_utf8_lossy(&cut.stdout));
    assert_eq!(verify(&["verify", "/nonexistent.ova"]).status.code(), Some(2));
    assert_eq!(names(&world.out()), ["web.ova", "web.receipt.json"]);
    world.stop_clean().await;
}
