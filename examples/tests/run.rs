//! Runs every example as a process, over its own simulator, and looks at what it printed and wrote.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use hypersdk_ova::digest::{DigestAlgorithm, hash_file};
use hypersdk_vsim::Vsim;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

/// An example's binary. `cargo test` builds it beside this test's own.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let binary = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.is_file(), "{} is not built: run cargo test -p hypersdk-examples", binary.display());
    binary
}

/// Runs an example to its end and gives what it printed.
fn run(name: &str, arguments: &[&str]) -> String {
    let output = try_run(name, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{name} ended with {}\n{printed}\n{errors}", output.status);
    assert!(!printed.contains("vsim-password"), "{printed}");
    printed
}

fn try_run(name: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(binary(name));
    for variable in ["GOVC_URL", "GOVC_USERNAME", "GOVC_PASSWORD", "GOVC_INSECURE"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().expect("the example starts")
}

/// Runs a program that has to succeed.
fn tool(name: &str, arguments: &[&str]) {
    let output =
        Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
}

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the directory reads");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn export_ova_writes_a_package_that_verify_package_finds_whole() {
    let output = tempfile::tempdir().expect("a directory");
    let printed = run("export_ova", &["/DC0/vm/demo/db01", text(output.path())]);
    assert!(printed.contains("exported db01 to "), "{printed}");
    assert!(printed.contains("(attested by the host)"), "{printed}");
    assert_eq!(names(output.path()), ["db01.ova", "db01.receipt.json"]);
    let ova = output.path().join("db01.ova");
    assert!(run("verify_package", &[text(&ova)]).contains("db01.ova: whole"));

    let whole = std::fs::read(&ova).expect("the package reads");
    std::fs::write(&ova, &whole[..whole.len() / 2]).expect("the package is cut");
    let cut = try_run("verify_package", &[text(&ova)]);
    assert!(!cut.status.success() && String::from_utf8_lossy(&cut.stdout).contains("db01.ova: faulty"));
}

#[test]
fn verify_package_shows_what_a_damaged_byte_looks_like() {
    let printed = run("verify_package", &[]);
    assert!(printed.contains("web01.ova: whole"), "{printed}");
    assert!(printed.contains("Headers finds 0 faults"), "{printed}");
    assert!(printed.contains("Some(Digest)"), "{printed}");
}

#[test]
fn list_vms_prints_every_vm_or_those_of_a_name() {
    let printed = run("list_vms", &[]);
    assert!(printed.contains("/DC0/vm/demo/web01") && printed.ends_with("2 VMs\n"), "{printed}");
    let printed = run("list_vms", &["DB*"]);
    assert!(printed.contains("/DC0/vm/demo/db01") && printed.ends_with("1 VMs\n"), "{printed}");
}

#[test]
fn watch_inventory_tells_what_changes_and_lists_it_from_memory() {
    let printed = run("watch_inventory", &[]);
    assert!(printed.contains("listed   vm-101 /DC0/vm/demo/web01"), "{printed}");
    assert!(printed.contains("changed  vm-101 /DC0/vm/demo/web02"), "{printed}");
    assert!(printed.contains("listed   vm-101 /DC0/vm/demo/web02"), "{printed}");
    assert!(printed.contains("gone     vm-103") && printed.contains("read 1 time(s)"), "{printed}");
}

#[test]
fn watch_progress_reaches_the_end_without_going_back() {
    let printed = run("watch_progress", &[]);
    let shares: Vec<f64> = printed
        .lines()
        .filter_map(|line| line.split(" %").next()?.split_whitespace().last()?.parse().ok())
        .collect();
    assert!(shares.len() > 2 && shares.is_sorted() && shares.ends_with(&[100.0]), "{printed}");
    assert!(printed.contains("exporting ") && printed.contains("MiB/s"), "{printed}");
}

#[test]
fn custom_provider_makes_a_whole_package_of_a_disk_in_a_folder() {
    let output = tempfile::tempdir().expect("a directory");
    let printed = run("custom_provider", &[text(output.path())]);
    assert!(printed.contains("disk of 1073741824 bytes in 1 grains"), "{printed}");
    assert!(printed.contains("appliance.ova: whole"), "{printed}");
    assert!(names(output.path()).contains(&"appliance.ova".to_owned()));
}

#[test]
fn custom_packager_keeps_every_file_once_under_its_digest() {
    let store = tempfile::tempdir().expect("a directory");
    let printed = run("custom_packager", &["/DC0/vm/demo/*", text(store.path())]);
    assert_eq!(printed.matches("packed /DC0/vm/demo/").count(), 2, "{printed}");
    let kept = names(&store.path().join("files"));
    assert_eq!(kept.len(), printed.matches(" is new").count(), "{printed}");
    for digest in &kept {
        let file = store.path().join("files").join(digest);
        assert_eq!(*digest, hash_file(&file, DigestAlgorithm::Sha256).expect("it reads").hex());
    }
    let pages: Vec<String> = names(store.path()).into_iter().filter(|name| name != "files").collect();
    assert_eq!(pages.len(), 2, "two pages and no draft: {pages:?}");
    let mut disks = 0;
    for page in &pages {
        let page = std::fs::read(store.path().join(page)).expect("the page reads");
        let page: serde_json::Value = serde_json::from_slice(&page).expect("the page is JSON");
        assert!(page["ovf"].as_str().is_some_and(|ovf| ovf.contains("<VirtualHardwareSection")), "{page}");
        for file in page["files"].as_array().expect("files") {
            assert!(kept.iter().any(|digest| file["sha256"] == *digest), "{file} is not there");
            disks += usize::from(file["kind"] == "disk");
        }
    }
    assert_eq!(disks, 3);

    let again = run("custom_packager", &["/DC0/vm/demo/*", text(store.path())]);
    assert_eq!(again.matches(" is there already").count(), kept.len(), "{again}");
    assert_eq!(names(&store.path().join("files")), kept, "nothing came twice");
}

#[test]
fn compress_writes_less_than_came_and_shows_both() {
    let output = tempfile::tempdir().expect("a directory");
    let printed = run("compress", &["/DC0/vm/demo/web01", text(output.path())]);
    let size = |name: &str| std::fs::metadata(output.path().join(name)).expect("the package is there").len();
    let (as_sent, compressed) = (size("as-sent.ova"), size("compressed.ova"));
    assert!(printed.contains(&format!("as-sent: {as_sent} bytes in ")), "{printed}");
    assert!(printed.contains(&format!("compressed: {compressed} bytes in ")), "{printed}");
    assert!(compressed < as_sent, "{printed}");
    let ova = output.path().join("compressed.ova");
    assert!(run("verify_package", &[text(&ova)]).contains("compressed.ova: whole"));
}

#[test]
fn convert_to_qcow2_writes_the_disk_that_an_ova_has() {
    let output = tempfile::tempdir().expect("a directory");
    let printed = run("convert_to_qcow2", &["/DC0/vm/demo/web01", text(output.path())]);
    assert!(printed.contains("web01-disk-0.qcow2: a disk of 67108864 bytes; "), "{printed}");
    assert!(printed.contains(": whole"), "{printed}");
    let qcow2 = output.path().join("web01").join("web01-disk-0.qcow2");
    tool("qemu-img", &["check", "-f", "qcow2", text(&qcow2)]);

    run("export_ova", &["/DC0/vm/demo/web01", text(output.path())]);
    let ova = output.path().join("web01.ova");
    tool("tar", &["-C", text(output.path()), "-xf", text(&ova), "web01-disk-0.vmdk"]);
    let vmdk = output.path().join("web01-disk-0.vmdk");
    tool("qemu-img", &["compare", "-f", "qcow2", "-F", "vmdk", text(&qcow2), text(&vmdk)]);
}

#[test]
fn embedded_daemon_exports_over_its_api_and_stops_in_order() {
    let output = tempfile::tempdir().expect("a directory");
    let printed = run("embedded_daemon", &[text(output.path())]);
    let ova = output.path().canonicalize().expect("it is there").join("web01.ova");
    let told = format!("\"/DC0/vm/demo/web01\" is \"completed\": \"{}\"", ova.display());
    let told = ["job.created", "job.started", "job.completed", &told];
    let places: Vec<Option<usize>> = told.iter().map(|line| printed.find(line)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{printed}");
    assert!(printed.ends_with("stopped; the simulator has 0 open sessions\n"), "{printed}");
    assert!(run("verify_package", &[text(&ova)]).contains("web01.ova: whole"));
    // SQLite removes its journal when the last connection is closed well.
    assert_eq!(names(output.path()), ["daemon.db", "daemon.db.lock", "web01.ova", "web01.receipt.json"]);
}

#[test]
fn progress_in_terminal_prints_plain_lines_into_a_pipe() {
    let output = try_run("progress_in_terminal", &[]);
    let (printed, lines) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{lines}");
    assert!(printed.ends_with("db01.ova\n") && printed.lines().count() == 1, "{printed}");
    assert!(!lines.contains(['\u{1b}', '\r']), "{lines:?}");
    // How many there are is the machine's affair.
    let told: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    assert!(!told.is_empty(), "{lines}");
    assert!(told.iter().all(|line| line.contains(" % ") && line.ends_with("B/s")), "{lines}");
}

#[test]
fn progress_in_terminal_draws_a_bar_for_each_disk_on_a_terminal() {
    let size = PtySize { rows: 24, cols: 100, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
    let mut command = CommandBuilder::new(binary("progress_in_terminal"));
    command.env_remove("GOVC_URL");
    command.env_remove("NO_COLOR");
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).expect("the example starts");
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let (mut screen, mut buffer) = (Vec::new(), [0; 4096]);
    // At its end Linux answers a read with an error.
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        screen.extend_from_slice(&buffer[..count]);
    }
    let screen = String::from_utf8_lossy(&screen);
    assert!(child.wait().expect("it ends").success(), "{screen}");
    for disk in ["db01-disk-0.vmdk", "db01-disk-1.vmdk"] {
        assert!(screen.contains(&format!("{disk}     [")), "{screen:?}");
    }
    assert!(screen.contains('\u{1b}') && screen.contains(" % "), "{screen:?}");
    assert!(screen.trim_end().ends_with("db01.ova"), "the path stands below: {screen:?}");
}

#[test]
fn inject_faults_survives_them() {
    let printed = run("inject_faults", &[]);
    assert!(printed.contains("survived 3 faults"), "{printed}");
    assert_eq!(printed.matches("simulator: disk-0.vmdk: ").count(), 3, "cut, altered, whole: {printed}");
}

#[test]
fn embedded_jobs_are_known_after_the_store_was_closed() {
    let output = tempfile::tempdir().expect("a directory");
    let printed = run("embedded_jobs", &["/DC0/vm/demo/*", text(output.path())]);
    for vm in ["web01", "db01"] {
        assert!(printed.contains(&format!("of /DC0/vm/demo/{vm} is completed: ")), "{printed}");
        assert!(output.path().join(vm).join(format!("{vm}.ovf")).is_file(), "{printed}");
    }
}

#[test]
fn cron_preview_tells_the_words_and_the_times() {
    let printed = run("cron_preview", &[]);
    assert!(printed.contains("at 02:30 on Sunday and Saturday (Europe/Berlin)"), "{printed}");
    assert!(printed.contains("Sun 2026-03-29 03:00:00 CEST  2026-03-29T01:00:00+00:00"), "{printed}");
    let wrong = try_run("cron_preview", &["61 * * * *"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("use 0 to 59"), "{wrong:?}");
}

#[test]
fn schedules_are_fired_and_kept() {
    let output = tempfile::tempdir().expect("a directory");
    let ran = |printed: &str| -> u64 {
        let rest = printed.split("greet every second ran ").nth(1).expect("how often it ran");
        rest.split(' ').next().and_then(|count| count.parse().ok()).expect("a number")
    };
    let printed = run("schedules", &[text(output.path())]);
    assert!(printed.matches("greet: hello \"world\"").count() >= 4, "{printed}");
    let first = ran(&printed);
    assert!(first >= 4, "twice before the restart and twice after it: {printed}");

    // Another process finds it and goes on counting.
    let printed = run("schedules", &[text(output.path())]);
    assert!(ran(&printed) >= first + 4, "{first}, then {printed}");
}

#[test]
fn pool_statistics_shows_that_sessions_are_reused() {
    let printed = run("pool_statistics", &[]);
    assert!(printed.contains("without a pool: 41 pieces of work, 41 logins, 0 found a session"), "{printed}");
    assert!(
        printed.contains("with a pool: 43 pieces of work, 3 logins, 40 found a session (93 %)"),
        "{printed}"
    );
    assert!(printed.contains("export-") && printed.contains(" has a session"), "{printed}");
}

#[test]
fn preflight_tells_what_is_in_the_way_and_what_to_expect() {
    let printed = run("preflight", &[]);
    let (snapshot, keep) = printed.split_once("with power Keep").expect("both are looked at");
    assert!(snapshot.contains("Info power_state: the VM runs: it is exported from"), "{printed}");
    assert!(snapshot.contains("Warning host_unreachable: ") && snapshot.contains(" MiB in "), "{printed}");
    assert!(keep.contains("Error power_state: ") && keep.contains("it would fail: "), "{printed}");
    assert!(run("preflight", &["/DC0/vm/demo/web01"]).contains(" MiB in "));
}

#[test]
fn several_vcenters_says_which_of_them_has_a_vm() {
    let printed = run("several_vcenters", &[]);
    assert!(printed.contains("/DC0/vm/web01 is at berlin\n"), "{printed}");
    assert!(printed.contains("/DC0/vm/both is at berlin and paris: a job has to say which"), "{printed}");
    assert!(printed.contains("8 look-ups, 2 logins"), "{printed}");
    assert!(run("several_vcenters", &["/DC0/vm/db01"]).contains("/DC0/vm/db01 is at paris\n"));
}

#[test]
fn webhooks_arrive_signed_and_in_order() {
    let printed = run("webhooks", &[]);
    let events = ["job.created", "job.started", "job.completed"];
    let places: Vec<Option<usize>> =
        events.iter().map(|event| printed.find(&format!("verified \"{event}\""))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{printed}");
    assert!(printed.contains("3 delivered"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_environment_names_is_used_and_nothing_is_taken_from_it_unasked() {
    let server = Vsim::builder().vms(5).start().await.expect("the simulator starts");
    let govc = |name: &str| {
        let mut command = Command::new(binary(name));
        command
            .env("GOVC_URL", server.url().as_str())
            .env("GOVC_USERNAME", server.username())
            .env("GOVC_PASSWORD", server.password())
            .env("GOVC_INSECURE", "1");
        tokio::task::block_in_place(|| command.output()).expect("the example starts")
    };
    let listed = govc("list_vms");
    assert!(String::from_utf8_lossy(&listed.stdout).ends_with("5 VMs\n"), "{listed:?}");
    for name in [
        "export_ova",
        "watch_progress",
        "embedded_jobs",
        "compress",
        "convert_to_qcow2",
        "custom_packager",
        "progress_in_terminal",
    ] {
        let refused = govc(name);
        assert!(!refused.status.success(), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("say which VM"), "{refused:?}");
    }
    assert!(server.log().open_sessions().is_empty(), "it was logged out of");
    assert!(server.log().calls("ExportVm") == 0);
    server.shutdown().await;
}

#[test]
fn a_server_without_an_account_is_refused_by_name() {
    let output = Command::new(binary("list_vms"))
        .env("GOVC_URL", "https://127.0.0.1:1/sdk")
        .env_remove("GOVC_USERNAME")
        .output()
        .expect("the example starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("GOVC_USERNAME is not"));
}

#[test]
fn every_example_is_run_here_and_fits_on_a_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let examples = names(&folder);
    assert!(examples.len() >= 7, "{examples:?}");
    for file in examples {
        let name = file.strip_suffix(".rs").unwrap_or_else(|| panic!("{file} is no example"));
        assert!(include_str!("run.rs").contains(&format!("run(\"{name}\", ")), "no test runs {name}");
        let lines = std::fs::read_to_string(folder.join(&file)).expect("a text").lines().count();
        assert!(lines < 100, "{file} has {lines} lines");
    }
}

#[test]
fn a_provider_of_ones_own_takes_fewer_than_80_lines() {
    let text = include_str!("../examples/custom_provider.rs");
    let lines: Vec<&str> = text.lines().collect();
    let begins = lines.iter().position(|line| line.contains("derive")).expect("its first type");
    let ends = lines.iter().position(|line| line.contains("tokio::main")).expect("what uses it");
    assert!(ends - begins < 80, "{}", ends - begins);
}
