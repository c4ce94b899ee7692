use std::fs;
use std::path::Path;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use hypersdk_ova::digest::DigestAlgorithm;
use hypersdk_ova::tar::TarHeader;
use hypersdk_ova::verify::{
    FaultClass, Level, PackageFormat, Report, verify, verify_blocking, verify_written,
};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use crate::package::Machine;
use crate::tool;

const LEVELS: [Level; 3] = [Level::Headers, Level::Structure, Level::Full];

#[track_caller]
fn whole(path: &Path, level: Level) -> Report {
    let report = verify_blocking(path, level).unwrap();
    assert!(report.is_ok(), "{level:?}: {report}");
    report
}

#[track_caller]
fn faulty(path: &Path, level: Level, class: FaultClass, message: &str) -> Report {
    let report = verify_blocking(path, level).unwrap();
    let found = report.faults.iter().find(|fault| fault.class == class);
    let found = found.unwrap_or_else(|| panic!("no {class:?} fault: {report}"));
    assert!(found.to_string().contains(message), "{report}");
    report
}

#[test]
fn our_packages_are_whole_by_every_algorithm_and_level() {
    let machine = Machine::new(40);
    for algorithm in DigestAlgorithm::ALL {
        for level in LEVELS {
            let folder = tempfile::tempdir().unwrap();
            let (ova, written) = machine.ova(folder.path(), algorithm);
            let report = whole(&ova, level);
            assert_eq!(report.warnings, vec![]);
            assert_eq!(report.format, PackageFormat::Ova);
            let names: Vec<&str> = report.files.iter().map(|file| file.name.as_str()).collect();
            assert_eq!(names, ["web01.ovf", "web01-disk1.vmdk", "web01.nvram", "web01.mf"]);
            assert_eq!(report.files[0].digest.as_ref(), Some(&written.descriptor.digest));
            let disk = report.files[1].disk.as_ref();
            assert_eq!(disk.map(|disk| disk.grains), (level > Level::Headers).then_some(14));

            let folder = tempfile::tempdir().unwrap();
            let written = machine.directory(folder.path(), algorithm);
            for path in [folder.path().to_owned(), folder.path().join("web01.ovf")] {
                let report = whole(&path, level);
                assert_eq!(report.warnings, vec![]);
                assert_eq!(report.format, PackageFormat::Ovf);
                assert_eq!(report.files.len(), 4);
            }
            assert!(verify_written(folder.path(), &written).unwrap().is_ok());
        }
    }
}

#[test]
fn xmllint_accepts_the_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    Machine::new(1).directory(folder.path(), DigestAlgorithm::Sha256);
    tool::run("xmllint", &["--noout".as_ref(), folder.path().join("web01.ovf").as_os_str()]);
}

#[test]
fn an_archive_made_by_gnu_tar_with_another_manifest_spelling_is_whole_with_warnings() {
    let folder = tempfile::tempdir().unwrap();
    Machine::new(10).directory(folder.path(), DigestAlgorithm::Sha256);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let manifest = fs::read_to_string(at("web01.mf")).unwrap().replace("SHA256(", "SHA2-256(");
    fs::write(at("web01.mf"), manifest).unwrap();
    let members = ["web01.ovf", "web01.mf", "web01-disk1.vmdk", "web01.nvram"];
    let ova = at("web01.ova");
    tool::run("tar", &[&["--format=ustar", "-cf", &ova, "-C", &at("")], &members[..]].concat());
    let report = whole(Path::new(&ova), Level::Full);
    assert_eq!(report.warnings.len(), 3, "{report}");
    tool::run("tar", &[&["--format=posix", "-cf", &ova, "-C", &at("")], &members[..]].concat());
    let report = whole(Path::new(&ova), Level::Full);
    assert!(report.warnings.iter().any(|warning| warning.message.contains("PAX")), "{report}");
}

#[tokio::test]
async fn archives_wrapped_in_gzip_or_zstd_are_verified_and_their_truncation_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (ova, _) = Machine::new(10).ova(folder.path(), DigestAlgorithm::Sha512);
    let plain = fs::read(ova).unwrap();
    let mut gzip = GzipEncoder::new(Vec::new());
    let mut zstd = ZstdEncoder::new(Vec::new());
    gzip.write_all(&plain).await.unwrap();
    gzip.shutdown().await.unwrap();
    zstd.write_all(&plain).await.unwrap();
    zstd.shutdown().await.unwrap();
    for (name, format, packed) in [
        ("a.ova.gz", PackageFormat::OvaGzip, gzip.into_inner()),
        ("a.ova.zst", PackageFormat::OvaZstd, zstd.into_inner()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, &packed).unwrap();
        let report = verify(&path, Level::Full).await.unwrap();
        assert!(report.is_ok(), "{report}");
        assert_eq!(report.format, format);
        for length in [packed.len() - 1, packed.len() - 5, packed.len() / 2, 20] {
            fs::write(&path, &packed[..length]).unwrap();
            assert!(!verify(&path, Level::Full).await.unwrap().is_ok(), "{name} cut to {length}");
        }
    }
}

#[test]
fn every_truncation_of_an_archive_is_seen_at_every_level() {
    let folder = tempfile::tempdir().unwrap();
    let (ova, written) = Machine::new(1).ova(folder.path(), DigestAlgorithm::Sha256);
    let content = fs::read(&ova).unwrap();
    let near_boundary = |length: &usize| [0, 1, 511].contains(&(length % 512));
    for length in (0..content.len()).filter(near_boundary) {
        fs::write(&ova, &content[..length]).unwrap();
        for level in LEVELS {
            assert!(!verify_blocking(&ova, level).unwrap().is_ok(), "{level:?} at {length}");
        }
        assert!(!verify_written(&ova, &written).unwrap().is_ok());
    }
}

#[test]
fn every_truncation_of_a_disk_in_a_directory_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(1);
    machine.directory(folder.path(), DigestAlgorithm::Sha256);
    for length in (0..machine.disk.len()).step_by(512) {
        fs::write(folder.path().join("web01-disk1.vmdk"), &machine.disk[..length]).unwrap();
        faulty(folder.path(), Level::Headers, FaultClass::Size, "the descriptor says");
        if length > 4 {
            faulty(folder.path(), Level::Structure, FaultClass::Truncated, "missing");
        }
    }
}

/// Where a member's bytes begin in an archive.
fn place(content: &[u8], name: &str) -> usize {
    let header = content.windows(name.len()).position(|window| window == name.as_bytes());
    // The first mention is in the descriptor, headers lie at whole blocks.
    let mut at = header.unwrap();
    while !at.is_multiple_of(512) {
        let from = at + 1;
        at = from + content[from..].windows(name.len()).position(|window| window == name.as_bytes()).unwrap();
    }
    at + 512
}

#[test]
fn damage_is_named_with_its_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let (ova, written) = Machine::new(4).ova(folder.path(), DigestAlgorithm::Sha256);
    let content = fs::read(&ova).unwrap();
    let disk = place(&content, "web01-disk1.vmdk");

    let mut damaged = content.clone();
    damaged[disk + 65_536 + 1000] ^= 1;
    fs::write(&ova, &damaged).unwrap();
    whole(&ova, Level::Headers);
    faulty(&ova, Level::Structure, FaultClass::Digest, "web01-disk1.vmdk: sha256:");
    let report = faulty(&ova, Level::Full, FaultClass::Disk, "web01-disk1.vmdk: byte 65536: grain");
    assert_eq!(report.worst(), Some(FaultClass::Digest));

    let mut damaged = content.clone();
    damaged[disk..disk + 4].copy_from_slice(b"QFI\xfb");
    fs::write(&ova, &damaged).unwrap();
    faulty(&ova, Level::Structure, FaultClass::Disk, "described as VMDK");

    let mut damaged = content.clone();
    let descriptor = place(&content, "web01.ovf");
    damaged[descriptor + 4000] = b'\n';
    fs::write(&ova, &damaged).unwrap();
    faulty(&ova, Level::Headers, FaultClass::Digest, "web01.ovf");
    assert!(!verify_written(&ova, &written).unwrap().is_ok());
}

/// Builds an archive of these members.
fn archive(path: &Path, members: &[(TarHeader, &[u8])]) {
    let mut content = Vec::new();
    for (header, data) in members {
        content.extend(header.encode());
        content.extend(*data);
        content.resize(content.len().next_multiple_of(512), 0);
    }
    content.extend([0; 1024]);
    fs::write(path, content).unwrap();
}

fn member<'a>(name: &str, data: &'a [u8]) -> (TarHeader, &'a [u8]) {
    let mut header = TarHeader::file("x", data.len() as u64, 0).unwrap();
    header.name = name.to_owned();
    (header, data)
}

#[test]
fn hostile_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ova");
    let envelope = b"<Envelope/>".as_slice();
    for level in LEVELS {
        archive(&path, &[member("a.ovf", envelope)]);
        whole(&path, level);
        archive(&path, &[member("a.ovf", envelope), member("../x", b"1")]);
        faulty(&path, level, FaultClass::Unsafe, "it is a path");
        archive(&path, &[member("a.ovf", envelope), member("/etc/x", b"1")]);
        faulty(&path, level, FaultClass::Unsafe, "it is a path");
        archive(&path, &[member("a.ovf", envelope), member("x", b"1"), member("x", b"2")]);
        faulty(&path, level, FaultClass::Archive, "comes twice");
        archive(&path, &[member("x", b"1"), member("a.ovf", envelope)]);
        faulty(&path, level, FaultClass::Archive, "where the descriptor must be");
        archive(&path, &[member("x", b"1")]);
        faulty(&path, level, FaultClass::Descriptor, "no descriptor");
        archive(&path, &[member("a.ovf", b"<!DOCTYPE a><Envelope/>")]);
        faulty(&path, level, FaultClass::Descriptor, "document type");
        archive(
            &path,
            &[member("a.ovf", envelope), member("x", b"1"), member("a.mf", b""), member("y", b"1")],
        );
        faulty(&path, level, FaultClass::Archive, "neither second nor last");
        archive(&path, &[]);
        faulty(&path, level, FaultClass::Descriptor, "no descriptor");
    }
}

#[test]
fn a_link_in_a_package_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Machine::new(1).directory(folder.path(), DigestAlgorithm::Sha256);
    fs::rename(at("web01.nvram"), at("elsewhere")).unwrap();
    std::os::unix::fs::symlink(at("elsewhere"), at("web01.nvram")).unwrap();
    faulty(folder.path(), Level::Structure, FaultClass::Unsafe, "web01.nvram");
    let ova = at("a.ova");
    let arguments = ["-cf", ova.to_str().unwrap(), "-C", folder.path().to_str().unwrap()];
    let members = ["web01.ovf", "web01-disk1.vmdk", "web01.nvram", "web01.mf"];
    tool::run("tar", &[&arguments[..], &members].concat());
    faulty(&ova, Level::Structure, FaultClass::Unsafe, "no file but Link");
}

#[test]
fn parts_that_contradict_each_other_are_named() {
    let machine = Machine::new(1);
    let with = |file: &str, change: &dyn Fn(String) -> String, class, message: &str| {
        let folder = tempfile::tempdir().unwrap();
        machine.directory(folder.path(), DigestAlgorithm::Sha256);
        let path = folder.path().join(file);
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
        faulty(folder.path(), Level::Structure, class, message);
    };
    let no_nvram =
        |text: String| text.lines().filter(|line| !line.contains("nvram")).collect::<Vec<_>>().join("\n");
    with("web01.mf", &no_nvram, FaultClass::Manifest, "web01.nvram: the manifest does not list it");
    with("web01.mf", &|_| "nonsense".into(), FaultClass::Manifest, "line 1");
    let more = |text: String| text.clone() + &text.lines().next().unwrap().replace(".ovf", ".iso") + "\n";
    with("web01.mf", &more, FaultClass::Missing, "web01.iso: the manifest lists it");
    let missing = |text: String| text.replace("web01.nvram", "web02.nvram");
    with("web01.ovf", &missing, FaultClass::Missing, "web02.nvram: the descriptor refers to it");
    with("web01.ovf", &|text| text.replace("8684", "8685"), FaultClass::Size, "the descriptor says 8685");
    let smaller = |text: String| text.replace("capacity=\"", "capacity=\"512\" old=\"");
    with("web01.ovf", &smaller, FaultClass::Disk, "but the descriptor says 512");
    let unlisted = |text: String| text.replace("fileRef=\"file1\"", "fileRef=\"file9\"");
    with("web01.ovf", &unlisted, FaultClass::Descriptor, "which is not listed");
}

#[test]
fn a_written_package_that_was_changed_since_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(1);
    let mut written = machine.directory(folder.path(), DigestAlgorithm::Sha256);
    assert!(verify_written(folder.path(), &written).unwrap().is_ok());
    written.files[0].digest = written.files[1].digest.clone();
    let report = verify_written(folder.path(), &written).unwrap();
    assert_eq!(report.worst(), Some(FaultClass::Digest), "{report}");
    fs::remove_file(folder.path().join("web01.nvram")).unwrap();
    let report = verify_written(folder.path(), &written).unwrap();
    assert_eq!(report.worst(), Some(FaultClass::Missing), "{report}");
}

#[test]
fn what_is_no_package_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(verify_blocking(folder.path(), Level::Full).is_err());
    assert!(verify_blocking(&folder.path().join("missing.ova"), Level::Full).is_err());
    let text = folder.path().join("text.ova");
    fs::write(&text, "hello ".repeat(200)).unwrap();
    faulty(&text, Level::Full, FaultClass::Archive, "not a tar header");
}

#[test]
fn a_report_survives_json() {
    let folder = tempfile::tempdir().unwrap();
    let (ova, _) = Machine::new(1).ova(folder.path(), DigestAlgorithm::Sha256);
    let report = whole(&ova, Level::Full);
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains("\"format\":\"ova\"") && json.contains("\"digest\":\"sha256:"), "{json}");
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damage_is_always_seen_and_never_a_panic(
        at in any::<prop::sample::Index>(),
        byte in 1..=255_u8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (ova, _) = Machine::new(1).ova(folder.path(), DigestAlgorithm::Sha256);
        let mut content = fs::read(&ova).unwrap();
        let index = at.index(content.len());
        content[index] ^= byte;
        fs::write(&ova, &content).unwrap();
        let report = verify_blocking(&ova, Level::Full).unwrap();
        // Nobody reads the zeros that fill up the last block of a member; and a manifest may be
        // spelt in several ways.
        let nvram_end = place(&content, "web01.nvram") + 8684;
        let in_filler = (nvram_end..nvram_end.next_multiple_of(512)).contains(&index);
        let in_filler = in_filler || index >= place(&content, "web01.mf");
        prop_assert!(!report.is_ok() || in_filler, "byte {}: {}", index, report);
    }
}
