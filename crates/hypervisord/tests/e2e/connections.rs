//! Several vCenters under one daemon, and trust by a person's word.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use hypersdk_tests::{Client, Daemon, DaemonConfig, names};
use hypersdk_vsim::{DiskSpec, VmSpec, Vsim};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

async fn vcenter(names: &[&str]) -> Vsim {
    let builder = names.iter().enumerate().fold(Vsim::builder(), |builder, (number, name)| {
        builder.vm(VmSpec::new(*name).disk(DiskSpec::synth(number as u64 + 1, 1 << 20)))
    });
    builder.start().await.expect("the simulator starts")
}

fn entry(name: &str, sim: &Vsim, more: &str) -> String {
    format!(
        "{{ name: {name}, vcenter_url: \"{}\", username: \"{}\", password: \"{}\"{more} }}",
        sim.url(),
        sim.username(),
        sim.password()
    )
}

async fn submit(client: &Client, vm: &str, out: &std::path::Path, provider: Option<&str>) -> (u16, Value) {
    let mut job = json!({ "vm_path": format!("/DC0/vm/{vm}"), "output_dir": out });
    if let Some(provider) = provider {
        job["provider"] = json!(provider);
    }
    client.post("/jobs/submit", &job).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_to_the_vcenter_that_has_its_vm() {
    let (berlin, paris) = (vcenter(&["web", "both"]).await, vcenter(&["db", "both"]).await);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let pin = |sim: &Vsim| format!(", thumbprint: \"{}\"", sim.thumbprint());
    let list =
        format!("[{}, {}]", entry("berlin", &berlin, &pin(&berlin)), entry("paris", &paris, &pin(&paris)));
    let daemon = Daemon::start(BINARY, &DaemonConfig::bare(directory.path()).set("providers", &list));
    let client = daemon.client();
    for (vm, wanted) in [("web", "berlin"), ("db", "paris")] {
        let (status, answer) = submit(client, vm, &out, None).await;
        assert_eq!(status, 202, "{answer}");
        let job = client.wait_for_end(answer["job_ids"][0].as_str().unwrap()).await;
        assert_eq!((&job["status"], &job["definition"]["provider"]), (&json!("completed"), &json!(wanted)));
    }
    let (status, problem) = submit(client, "both", &out, None).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("provider")), "{problem}");
    let message = problem["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("berlin, paris"), "{problem}");
    let (status, answer) = submit(client, "both", &out, Some("paris")).await;
    assert_eq!(status, 202, "{answer}");
    client.wait_for_end(answer["job_ids"][0].as_str().unwrap()).await;
    assert_eq!((berlin.log().calls("ExportVm"), paris.log().calls("ExportVm")), (1, 2));

    let (_, pool) = client.get("/stats/pool").await;
    let each = pool["connections"].as_array().unwrap();
    let sum: u64 = each.iter().map(|one| one["total_created"].as_u64().unwrap()).sum();
    assert_eq!((each.len(), pool["total_created"].as_u64()), (2, Some(sum)), "{pool}");
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
    for sim in [berlin, paris] {
        assert_eq!(sim.log().open_sessions(), [""; 0], "{log}");
        sim.shutdown().await;
    }
}

fn trust(config: &std::path::Path, host: &str, yes: bool, answer: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("--config").arg(config).args(["trust", host]);
    if yes {
        command.arg("--yes");
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // One that was told --yes may have ended already.
    let _ = child.stdin.take().expect("a pipe").write_all(answer.as_bytes());
    child.wait_with_output().expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_person_trusts_is_trusted_by_a_daemon_that_runs() {
    let sim = vcenter(&["web"]).await;
    let directory = tempfile::tempdir().unwrap();
    let known = directory.path().join("known_hosts");
    let config = DaemonConfig::bare(directory.path())
        .set("known_hosts", &format!("{known:?}"))
        .set("vcenter_url", &format!("\"{}\"", sim.url()))
        .set("username", sim.username())
        .set("password", sim.password());
    let daemon = Daemon::start(BINARY, &config);
    let client = daemon.client();
    let (status, _) = submit(client, "web", directory.path(), None).await;
    assert_eq!(status, 503, "nobody vouches for it yet");
    assert!(daemon.log().contains("hypervisord trust"), "{}", daemon.log());

    let file = directory.path().join("hypersdk.yaml");
    let host = format!("127.0.0.1:{}", sim.url().port().unwrap());
    for answer in ["", "no\n"] {
        let refused = trust(&file, &host, false, answer);
        assert!(!refused.status.success(), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stdout).contains(sim.thumbprint_sha256()), "{refused:?}");
        assert!(!known.exists());
    }
    let recorded = trust(&file, &host, false, "yes\n");
    assert!(recorded.status.success(), "{recorded:?}");
    assert!(std::fs::read_to_string(&known).unwrap().contains(sim.thumbprint_sha256()));
    let again = trust(&file, &host, true, "");
    assert!(String::from_utf8_lossy(&again.stdout).contains("trusted already"), "{again:?}");
    let nobody = trust(&file, "127.0.0.1:1", true, "");
    assert!(!nobody.status.success(), "{nobody:?}");

    let (status, answer) = submit(client, "web", directory.path(), None).await;
    assert_eq!(status, 202, "{answer}\n{}", daemon.log());
    client.wait_for_end(answer["job_ids"][0].as_str().unwrap()).await;
    assert!(names(directory.path()).contains(&"web.ova".to_owned()));
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains(sim.password()), "the password is never logged");
}
