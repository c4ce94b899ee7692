//! Other people's importers.
#![expect(clippy::print_stderr, reason = "a test says what it found")]

use std::path::Path;
use std::process::Command;

use hypersdk_tests::{Vcsim, command};
use serde_json::{Value, json};

use crate::world::{WEB, World};

/// An OVA of [`WEB`] with these fields, and what became of the job.
async fn package(world: &World, name: &str, fields: Value) -> (String, Value) {
    let mut job = world.job(WEB);
    job["package_name"] = json!(name);
    job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let job = world.complete(&job).await;
    (job["result"]["ovf_path"].as_str().unwrap().to_owned(), job)
}

#[tokio::test(flavor = "multi_thread")]
async fn vmwares_client_imports_our_packages_into_govmomis_simulator() {
    let world = World::new().await;
    let python = std::env::var("HYPERSDK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/pyvmomi/import.py");
    let vcsim = Vcsim::start(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("vcsim"));
    let (user, password) = Vcsim::ACCOUNT;
    for (name, fields) in [
        ("plain", json!({})),
        ("deflated", json!({ "compress": true, "compression_level": 9 })),
        ("portable", json!({ "portable": true })),
    ] {
        let (ova, _) = package(&world, name, fields).await;
        let arguments = [script.to_str().unwrap(), vcsim.url(), user, password, &ova, name];
        let said = command(&python, &arguments, &world.out());
        assert!(said.starts_with(&format!("{name}: 2 disks")), "{said}");
    }
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn virt_v2v_reads_our_packages_and_that_the_vm_boots_by_efi() {
    // `cargo xtask test` says where it is, or why this machine cannot have it.
    let program = match std::env::var("HYPERSDK_VIRT_V2V") {
        Ok(reason) if reason.starts_with("none: ") => {
            eprintln!("NOT CHECKED: virt-v2v, {reason}");
            return;
        }
        Ok(program) => program,
        Err(_) => "virt-v2v".to_owned(),
    };
    let world = World::new().await;
    for (name, fields) in [
        ("plain", json!({})),
        ("deflated", json!({ "compress": true })),
        ("portable", json!({ "portable": true })),
    ] {
        let (ova, job) = package(&world, name, fields).await;
        let arguments = ["-i", "ova", "--print-source", &ova];
        let output =
            Command::new(&program).args(arguments).env("LC_ALL", "C").output().unwrap_or_else(|error| {
                panic!("{program}: {error}; `cargo xtask test` installs it, or says why it cannot be had")
            });
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        for line in ["source name: ", "hypervisor type: vmware", "firmware: uefi"] {
            let line = line.trim_end();
            assert!(said.contains(line), "{name}: no {line:?} in\n{said}");
        }
        let warned = job["result"]["warnings"].to_string().contains("EFI");
        assert_eq!(warned, name == "portable", "{}", job["result"]["warnings"]);
    }
    world.stop_clean().await;
}
