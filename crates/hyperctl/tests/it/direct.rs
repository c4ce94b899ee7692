//! `export --direct`: no daemon at all.

use hypersdk_tests::names;

use crate::terminal::Terminal;
use crate::world::{WEB, run, simulator};

const CTRL_C: u8 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_needs_no_daemon() {
    let sim = simulator().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let environment = [
        ("GOVC_URL", sim.url().to_string()),
        ("GOVC_USERNAME", sim.username().to_owned()),
        ("GOVC_PASSWORD", sim.password().to_owned()),
        ("HOME", out.to_owned()),
    ];
    let arguments =
        ["export", "/DC0/vm/prod/*", "--output", out, "--direct", "--thumbprint", sim.thumbprint()];
    let ended = run(&arguments, &environment);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(names(directory.path()), ["app.ova", "app.receipt.json", "web.ova", "web.receipt.json"]);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    assert!(sim.log().open_sessions().is_empty(), "it logs out");

    let wrong = run(&["export", WEB, "--output", out, "--direct"], &environment);
    assert_ne!(wrong.code, 0, "the certificate is not trusted unless it is pinned");
    assert!(!wrong.stderr.contains(sim.password()), "{}", wrong.stderr);
    sim.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_a_direct_export_and_releases_everything() {
    let sim = simulator().stream_rate(1 << 20).start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, format!("{}\n", sim.password())).unwrap();
    let packages = directory.path().join("packages");
    std::fs::create_dir(&packages).unwrap();
    let url = sim.url().to_string();
    let arguments = [
        &["export", WEB, "--direct", "--vcenter-url", &url, "--username", sim.username()][..],
        &["--thumbprint", sim.thumbprint(), "--password-file", password.to_str().unwrap()],
        &["--output", packages.to_str().unwrap()],
    ]
    .concat();
    let mut terminal = Terminal::start(90, &arguments, &[("HOME", out.to_owned())]);
    terminal.wait("bytes on the way", |screen| {
        screen.row("web-disk-0.vmdk").is_some_and(|row| row.contains("KiB"))
    });
    terminal.press(CTRL_C);
    assert_eq!(terminal.end(), 130, "{}", terminal.text());
    assert_eq!(names(&packages), [""; 0]);
    assert_eq!(sim.log().open_leases(), [""; 0]);
    sim.shutdown().await;
}
