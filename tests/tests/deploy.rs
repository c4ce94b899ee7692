//! What is installed beside the binaries: the unit is as tight as promised, and the files agree with each other.

use std::path::Path;

use hypersdk_tests::command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_unit_is_exposed_by_two_of_ten_at_most() {
    // The threshold is in tenths; the command fails above it.
    let arguments =
        ["security", "--offline=true", "--threshold=20", "--no-pager", "deploy/systemd/hypervisord.service"];
    let report = command("systemd-analyze", &arguments, Path::new(ROOT));
    let overall = report.lines().find(|line| line.contains("Overall exposure level")).expect("a verdict");
    assert!(overall.contains("OK"), "{overall}");
}

#[test]
fn the_unit_promises_what_the_guide_does() {
    let unit = read("deploy/systemd/hypervisord.service");
    for line in [
        "Type=notify",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "ReadWritePaths=/var/lib/hypersdk",
        "Restart=on-failure",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    for key in ["WatchdogSec=", "LoadCredential=hypersdk.password"] {
        assert!(unit.lines().any(|line| line.starts_with(key)), "{key}");
    }
}

/// Every file that the metadata of either package names is there.
#[test]
fn the_packages_contain_only_files_that_exist() {
    let manifest = read("crates/hypervisord/Cargo.toml");
    let mut found = 0;
    for part in manifest.split('"').filter(|part| part.starts_with("../../")) {
        found += 1;
        assert!(Path::new(ROOT).join("crates/hypervisord").join(part).exists(), "{part}");
    }
    assert!(found >= 14, "files were found");
}

#[test]
fn the_account_that_the_unit_runs_as_is_the_one_that_is_made() {
    let unit = read("deploy/systemd/hypervisord.service");
    assert!(unit.contains("User=hypersdk\n"));
    assert!(read("deploy/systemd/sysusers.d-hypersdk.conf").contains("\nu hypersdk "));
    let tmpfiles = read("deploy/systemd/tmpfiles.d-hypersdk.conf");
    let config = read("deploy/hypersdk.yaml");
    // Packages install files as root's; the account must be able to read this one.
    assert!(tmpfiles.contains("\nz /etc/hypersdk/hypersdk.yaml 0640 root hypersdk "), "{tmpfiles}");
    for key in ["export_root: ", "database_path: "] {
        let line = config.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        let directory =
            if key.starts_with("export") { line } else { line.rsplit_once('/').expect("a path").0 };
        assert!(tmpfiles.contains(&format!("d {directory} ")), "{directory} is made");
        assert!(directory.starts_with("/var/lib/hypersdk"), "the unit lets it write there");
    }
}
