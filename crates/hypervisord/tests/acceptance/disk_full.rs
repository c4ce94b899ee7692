//! A full disk under the database: the API says so, and all heals when there is room again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hypersdk_tests::{Daemon, DaemonConfig};
use serde_json::json;

use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};

/// A small file system of its own, unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Small {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "this test mounts a small tmpfs and needs CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Small(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_answered_with_503_and_heals() {
    let sim = Vsim::builder()
        .vm(VmSpec::new("web").power(PowerState::Off).disk(DiskSpec::synth(1, 8 << 20)))
        .stream_rate(1 << 20)
        .start()
        .await
        .unwrap();
    let small = Small::mount("4m");
    let directory = tempfile::tempdir().unwrap();
    let config = DaemonConfig::over(&sim, directory.path())
        .set("database_path", &format!("{:?}", small.path().join("jobs.db")));
    let daemon = Daemon::start(BINARY, &config);
    let client = daemon.client();
    let job = json!({ "vm_path": "/DC0/vm/web", "output_dir": directory.path() });
    let running = client.submit(&job).await;
    client.wait_for(&running, |job| job["progress"]["bytes_downloaded"].as_u64() > Some(0)).await;

    let filler = small.path().join("filler");
    let full = std::fs::write(&filler, vec![0_u8; 8 << 20]);
    assert!(full.is_err(), "the file system is small");
    let mut accepted = 1;
    let refused = loop {
        let mut later = job.clone();
        later["metadata"] = json!({ "padding": "x".repeat(20_000) });
        later["package_name"] = json!(format!("later-{accepted}"));
        let (status, answer) = client.post("/jobs/submit", &later).await;
        if status != 202 {
            break (status, answer);
        }
        accepted += 1;
        assert!(accepted < 500, "it fills up");
    };
    assert_eq!(refused.0, 503, "{}", refused.1);
    assert!(refused.1["detail"].as_str().unwrap().contains("disk is full"), "{}", refused.1);
    let (status, ready) = client.get("/health/ready").await;
    assert!(status == 503 || ready["status"] == "ready", "{ready}");
    let (status, _) = client.get("/jobs").await;
    assert_eq!(status, 200, "reading goes on");

    // The transfer goes on meanwhile: its bytes have nothing to do with the database's disk.
    let package = directory.path().join("web.ova");
    let begun = std::time::Instant::now();
    while !package.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::remove_file(&filler).unwrap();
    let job = client.wait_for_end(&running).await;
    assert_eq!(job["status"], "completed", "{job}\n{}", daemon.log());
    assert_eq!(client.get("/health/ready").await.0, 200);
    let (_, listed) = client.get("/jobs").await;
    assert_eq!(listed["total"], accepted, "what was refused left no trace");
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
    sim.shutdown().await;
}

use crate::BINARY;
