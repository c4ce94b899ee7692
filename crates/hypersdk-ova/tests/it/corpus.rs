//! The corpus of the fuzz targets, replayed through the same functions.
//!
//! Its files are made by the recipes here (`UPDATE_CORPUS=1 cargo test -p hypersdk-ova corpus`
//! writes them anew), except for those a fuzzer found: these are named `found-…`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hypersdk_ova::verify::{Level, verify_blocking};

#[expect(unreachable_pub, reason = "it is a crate's module as well")]
#[path = "../../../../fuzz/src/entry.rs"]
mod entry;
mod recipes;

use recipes::{Recipe, Target, recipes};

/// In a debug build on a busy machine; each takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Address space for all of the replay, threads and their stacks included.
const MEMORY_KIB: u64 = 1 << 20;
const LIMIT_BYTES: u64 = 2 << 20;

fn folder(target: Target) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    root.join(target.name())
}

fn run(target: Target, data: &[u8]) {
    match target {
        Target::TarHeader => entry::tar_header(data),
        Target::OvaScanVerify => entry::ova_scan_verify(data),
        Target::Descriptor => entry::descriptor(data),
        Target::Manifest => entry::manifest(data),
        Target::VmdkInspector => entry::vmdk_inspector(data),
        Target::VmdkReader => entry::vmdk_reader(data),
    }
}

#[test]
fn the_corpus_holds_what_its_recipes_make() {
    for Recipe { target, name, content, .. } in recipes() {
        let path = folder(target).join(name);
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            fs::create_dir_all(folder(target)).unwrap();
            fs::write(&path, &content).unwrap();
        }
        assert!(fs::read(&path).unwrap_or_default() == content, "{} is out of date", path.display());
    }
}

#[test]
fn every_file_of_the_corpus_is_replayed_without_panic_and_soon() {
    let (mut files, mut bytes) = (0, 0);
    for target in Target::ALL {
        for entry in fs::read_dir(folder(target)).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::read(&path).unwrap();
            let start = Instant::now();
            run(target, &data);
            assert!(start.elapsed() < PATIENCE, "{} took {:?}", path.display(), start.elapsed());
            (files, bytes) = (files + 1, bytes + data.len() as u64);
        }
    }
    assert!(files >= recipes().len());
    assert!(bytes < LIMIT_BYTES, "the corpus has {bytes} bytes");
}

#[test]
fn the_corpus_is_replayed_in_bounded_memory() {
    let script = format!("ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "corpus::every_file_of_the_corpus_is_replayed_without_panic_and_soon"])
        // Otherwise each thread reserves 64 MiB of addresses.
        .env("MALLOC_ARENA_MAX", "2")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("1 passed"), "{printed}");
}

#[test]
fn each_hostile_file_is_refused_with_its_reason() {
    let mut failures = Vec::new();
    for Recipe { target, name, content, fault } in recipes() {
        let Some(expected) = fault else { continue };
        let folder = tempfile::tempdir().unwrap();
        let package = recipes::package(folder.path(), target, &content);
        let report = verify_blocking(&package, Level::Full).unwrap();
        if !report.faults.iter().any(|fault| fault.to_string().contains(expected)) {
            failures.push(format!("{}/{name}: not {expected:?} but {report}", target.name()));
        }
        let escaped = folder.path().parent().unwrap().join("escaped");
        assert!(!escaped.exists());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn each_valid_file_is_accepted() {
    for Recipe { target, name, content, fault } in recipes() {
        if fault.is_none() && name.starts_with("valid") && target != Target::TarHeader {
            let folder = tempfile::tempdir().unwrap();
            let package = recipes::package(folder.path(), target, &content);
            let report = verify_blocking(&package, Level::Full).unwrap();
            assert!(report.is_ok(), "{name}: {report}");
        }
    }
}
