//! The arrows between the crates, as ARCHITECTURE.md draws them. A new arrow is a design question: put it
//! there first, then here.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate of the workspace may use, tests aside.
const ARROWS: &[(&str, &[&str])] = &[
    ("hypersdk-core", &[]),
    ("hypersdk-ova", &[]),
    ("hypersdk-vsim", &[]),
    ("hypersdk-vsphere", &["hypersdk-core"]),
    ("hypersdk-export", &["hypersdk-core", "hypersdk-ova"]),
    ("hypersdk-sched", &["hypersdk-core"]),
    ("hypersdk-webhook", &["hypersdk-core"]),
    ("hypersdk-store", &["hypersdk-core", "hypersdk-sched", "hypersdk-webhook"]),
    ("hyperctl", &["hypersdk-core", "hypersdk-export", "hypersdk-vsphere"]),
    (
        "hypervisord",
        &[
            "hypersdk-core",
            "hypersdk-export",
            "hypersdk-ova",
            "hypersdk-sched",
            "hypersdk-store",
            "hypersdk-vsim",
            "hypersdk-vsphere",
            "hypersdk-webhook",
        ],
    ),
];

/// Crates for tests, examples and chores, which may use any other.
const FREE: &[&str] = &["hypersdk-examples", "hypersdk-tests", "xtask"];

/// What a library must not know: HTTP servers, databases and configuration files are other crates' business.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("hypersdk-core", &["axum", "hyper", "reqwest", "sqlx", "figment", "quick-xml", "libdeflater"]),
    ("hypersdk-ova", &["axum", "hyper", "reqwest", "sqlx", "figment"]),
    ("hypersdk-vsphere", &["axum", "sqlx", "figment"]),
    ("hypersdk-export", &["axum", "hyper", "reqwest", "sqlx", "figment", "quick-xml"]),
    ("hypersdk-sched", &["axum", "hyper", "reqwest", "sqlx", "figment", "quick-xml"]),
    ("hypersdk-store", &["axum", "hyper", "reqwest", "figment", "quick-xml"]),
    ("hyperctl", &["axum", "hyper", "sqlx", "figment", "quick-xml"]),
    ("hypersdk-webhook", &["axum", "hyper", "sqlx", "figment", "quick-xml"]),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata answers");
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let used = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), used)
        })
        .collect()
}

#[test]
fn no_crate_uses_another_against_the_arrows() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    for (name, used) in &dependencies {
        if FREE.contains(&name.as_str()) {
            continue;
        }
        let allowed = ARROWS
            .iter()
            .find(|(from, _)| from == name)
            .unwrap_or_else(|| panic!("{name} is not in the table of arrows"))
            .1;
        for target in used.iter().filter(|target| ours.contains(target.as_str())) {
            assert!(allowed.contains(&target.as_str()), "{name} must not use {target}");
        }
    }
}

#[test]
fn the_table_names_only_crates_that_exist() {
    let dependencies = dependencies();
    for (from, to) in ARROWS {
        assert!(dependencies.contains_key(*from), "{from} is gone");
        for target in *to {
            assert!(dependencies.contains_key(*target), "{target} is gone");
        }
    }
}

#[test]
fn libraries_know_no_server_database_or_configuration_file() {
    let dependencies = dependencies();
    for (name, forbidden) in FORBIDDEN {
        for target in *forbidden {
            assert!(!dependencies[*name].contains(*target), "{name} must not use {target}");
        }
    }
}

#[test]
fn the_core_names_no_vendor() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/hypersdk-core/src");
    let mut folders = vec![std::path::PathBuf::from(sources)];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the core's sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            read += 1;
            let text = std::fs::read_to_string(&path).expect("a text file");
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default().to_lowercase();
                let in_example = code.contains("register(") || code.contains("capabilities::new(");
                for vendor in ["vmware", "esxi", "vcenter", "proxmox"] {
                    assert!(
                        in_example || !code.contains(vendor),
                        "{}:{}: {line}",
                        path.display(),
                        number + 1
                    );
                }
            }
        }
    }
    assert!(read > 10, "the core's sources were found");
}
