//! VMware's own client against the simulator.

use std::path::{Path, PathBuf};
use std::process::Command;

use hypersdk_vsim::{Kind, Vsim};

fn python() -> String {
    let python = std::env::var("HYPERSDK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import pyVmomi"]).output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "{python} cannot import pyVmomi: pip install pyvmomi, or name an interpreter that can in HYPERSDK_PYTHON"
    );
    python
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/pyvmomi/export.py")
}

/// Runs the script for each machine that is off and compares each disk with its source.
async fn export_all(kind: Kind) {
    let python = python();
    let folder = tempfile::tempdir().unwrap();
    let sim = Vsim::builder().kind(kind).vms(5).disk_size(8 << 20).start().await.unwrap();
    for vm in ["web-01", "db-01", "build-01"] {
        let (disk, raw) = (folder.path().join(format!("{vm}.vmdk")), folder.path().join(format!("{vm}.raw")));
        let mut command = tokio::process::Command::new(&python);
        command.arg(script()).arg(sim.url().as_str()).args([sim.username(), sim.password(), vm]).arg(&disk);
        let output = command.output().await.unwrap();
        assert!(
            output.status.success(),
            "{vm}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        sim.write_raw(vm, 0, &raw).await.unwrap();
        let compared =
            tokio::process::Command::new("qemu-img").arg("compare").args([&disk, &raw]).output().await;
        let compared = compared.expect("qemu-img is installed (apt-get install qemu-utils)");
        assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
    }
    assert_eq!(sim.log().open_leases(), [""; 0]);
    assert_eq!(sim.log().open_sessions(), [""; 0]);
    assert_eq!(sim.log().snapshots(), []);
    sim.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_exports_from_a_vcenter() {
    export_all(Kind::VirtualCenter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pyvmomi_exports_from_an_esxi_host() {
    export_all(Kind::Esxi).await;
}
