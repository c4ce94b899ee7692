use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::ova::{OvaError, OvaOptions, OvaWriter, scan};

use crate::tool;

const DESCRIPTOR: &str = "<?xml version=\"1.0\"?>\n<Envelope/>\n";

fn sha256(data: &[u8]) -> Digest {
    Digest::of(DigestAlgorithm::Sha256, data)
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn extract(ova: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tool::run("tar", &["-xf", ova.to_str().unwrap(), "-C", folder.path().to_str().unwrap()]);
    folder
}

#[test]
fn tar_and_sha256sum_agree_with_a_written_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web01.ova.partial");
    let mut writer = OvaWriter::create(&path, OvaOptions::new("web01")).unwrap();
    let disks = [noise(3_500_001, 1), noise(512, 2), noise(0, 3), noise(1_048_576, 4)];
    for (index, disk) in disks.iter().enumerate() {
        writer.begin_member(&format!("web01-disk{index}.vmdk")).unwrap();
        disk.chunks(16_411).try_for_each(|chunk| writer.write(chunk)).unwrap();
        assert_eq!(writer.member_bytes(), disk.len() as u64);
        assert_eq!(writer.end_member(sha256(disk)).unwrap(), disk.len() as u64);
    }
    let spool = folder.path().join("spool");
    fs::write(&spool, &disks[0]).unwrap();
    writer.append_file("web01.nvram", &File::open(&spool).unwrap(), sha256(&disks[0])).unwrap();
    let summary = writer.finish(DESCRIPTOR).unwrap();
    assert_eq!(summary.bytes, fs::metadata(&path).unwrap().len());

    let listed = tool::run("tar", &["-tf", path.to_str().unwrap()]);
    let names: Vec<&str> = listed.lines().collect();
    assert_eq!(names.first(), Some(&"web01.ovf"));
    assert_eq!(names.last(), Some(&"web01.mf"));
    assert_eq!(names.len(), 7);

    let unpacked = extract(&path);
    for (index, disk) in disks.iter().enumerate() {
        assert!(fs::read(unpacked.path().join(format!("web01-disk{index}.vmdk"))).unwrap() == *disk);
    }
    assert!(fs::read(unpacked.path().join("web01.nvram")).unwrap() == disks[0]);
    let descriptor = fs::read_to_string(unpacked.path().join("web01.ovf")).unwrap();
    assert_eq!(descriptor.trim_end(), DESCRIPTOR.trim_end());
    tool::run("xmllint", &["--noout".as_ref(), unpacked.path().join("web01.ovf").as_os_str()]);
    for line in fs::read_to_string(unpacked.path().join("web01.mf")).unwrap().lines() {
        let (name, hex) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
        let sum = tool::run("sha256sum", &[unpacked.path().join(name)]);
        assert!(sum.starts_with(hex), "{line}");
    }
}

#[test]
fn a_descriptor_that_outgrows_its_slot_still_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ova");
    let options = OvaOptions { descriptor_slot_bytes: 1, ..OvaOptions::new("a") };
    let mut writer = OvaWriter::create(&path, options).unwrap();
    let disk = noise(2_000_000, 7);
    writer.begin_member("a.vmdk").unwrap();
    writer.write(&disk).unwrap();
    writer.end_member(sha256(&disk)).unwrap();
    let descriptor = format!("<Envelope>{}</Envelope>", "x".repeat(200_000));
    let summary = writer.finish(&descriptor).unwrap();
    let unpacked = extract(&path);
    let written = fs::read(unpacked.path().join("a.ovf")).unwrap();
    assert_eq!(String::from_utf8(written.clone()).unwrap().trim_end(), descriptor);
    assert_eq!(summary.descriptor.digest, sha256(&written));
    assert!(fs::read(unpacked.path().join("a.vmdk")).unwrap() == disk);
}

#[test]
fn a_member_that_starts_over_leaves_nothing_of_its_first_try() {
    let folder = tempfile::tempdir().unwrap();
    let (retried, straight) = (folder.path().join("retried.ova"), folder.path().join("straight.ova"));
    for (path, tries) in [(&retried, vec![3_000_000, 700, 0]), (&straight, vec![])] {
        let mut writer = OvaWriter::create(path, OvaOptions::new("a")).unwrap();
        writer.begin_member("first.vmdk").unwrap();
        writer.write(b"first").unwrap();
        writer.end_member(sha256(b"first")).unwrap();
        if !tries.is_empty() {
            writer.begin_member("never.vmdk").unwrap();
            writer.write(&noise(1_500_000, 1)).unwrap();
            writer.discard_member().unwrap();
        }
        writer.begin_member("second.vmdk").unwrap();
        for length in tries {
            writer.write(&noise(length, 9)).unwrap();
            writer.restart_member().unwrap();
            assert_eq!(writer.member_bytes(), 0);
        }
        writer.write(&noise(1_100_000, 5)).unwrap();
        writer.end_member(sha256(&noise(1_100_000, 5))).unwrap();
        writer.finish(DESCRIPTOR).unwrap();
    }
    assert!(fs::read(retried).unwrap() == fs::read(straight).unwrap());
}

#[test]
fn misuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let create = || OvaWriter::create(&folder.path().join("a.ova"), OvaOptions::new("a")).unwrap();
    let mut writer = create();
    assert!(matches!(writer.write(b"x"), Err(OvaError::Order(_))));
    assert!(matches!(writer.end_member(sha256(b"")), Err(OvaError::Order(_))));
    assert!(matches!(writer.begin_member("../a"), Err(OvaError::Name(_))));
    assert!(matches!(writer.begin_member("a.ovf"), Err(OvaError::Duplicate(_))));
    writer.begin_member("b").unwrap();
    assert!(matches!(writer.begin_member("c"), Err(OvaError::Order(_))));
    let sha1 = Digest::of(DigestAlgorithm::Sha1, b"");
    assert!(matches!(writer.end_member(sha1), Err(OvaError::Algorithm { .. })));
    let mut writer = create();
    writer.begin_member("b").unwrap();
    assert!(matches!(writer.finish(DESCRIPTOR), Err(OvaError::Order(_))));
    assert!(OvaWriter::create(&folder.path().join("x"), OvaOptions::new("a/b")).is_err());
}

#[test]
fn a_sparse_member_of_9_gib_is_listed_and_unpacked_by_tar() {
    const SIZE: u64 = 9 << 30;
    let folder = tempfile::tempdir().unwrap();
    let (spool, path) = (folder.path().join("spool"), folder.path().join("big.ova"));
    let mut source = File::create_new(&spool).unwrap();
    source.set_len(SIZE).unwrap();
    source.seek(SeekFrom::Start(SIZE - 4)).unwrap();
    source.write_all(b"last").unwrap();
    let mut writer = OvaWriter::create(&path, OvaOptions::new("big")).unwrap();
    // The digest is not what this test is about.
    writer.append_file("big.vmdk", &File::open(&spool).unwrap(), sha256(b"")).unwrap();
    writer.finish(DESCRIPTOR).unwrap();

    let listed = tool::run("tar", &["-tvf", path.to_str().unwrap()]);
    let line = listed.lines().find(|line| line.ends_with("big.vmdk")).unwrap();
    assert!(line.contains(&SIZE.to_string()), "{line}");
    assert!(listed.lines().last().unwrap().ends_with("big.mf"), "{listed}");
    let mut archive = File::open(&path).unwrap();
    let scanned = scan(&archive).unwrap();
    assert_eq!(scanned.fault, None);
    assert_eq!(scanned.members[1].size, SIZE);
    archive.seek(SeekFrom::Start(scanned.members[1].data_offset() + SIZE - 4)).unwrap();
    let mut last = [0; 4];
    archive.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"last");
    assert!(allocated(&path) < 1 << 30, "holes stay holes");

    let mut tar = tool::piped("tar", &["-xOf", path.to_str().unwrap(), "big.vmdk"]);
    let unpacked = folder.path().join("unpacked");
    assert_eq!(copy_sparse(&mut tar.stdout.take().unwrap(), &unpacked), SIZE);
    assert!(tar.wait().unwrap().success());
    let mut unpacked = File::open(&unpacked).unwrap();
    unpacked.seek(SeekFrom::Start(SIZE - 4)).unwrap();
    unpacked.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"last");
}

#[test]
fn a_member_of_9_gib_packed_by_tar_is_found() {
    const SIZE: u64 = 9 << 30;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("big.ovf"), DESCRIPTOR).unwrap();
    File::create_new(folder.path().join("big.vmdk")).unwrap().set_len(SIZE).unwrap();
    let home = folder.path().to_str().unwrap();
    let mut tar = tool::piped("tar", &["--format=gnu", "-C", home, "-cf", "-", "big.ovf", "big.vmdk"]);
    let path = folder.path().join("big.ova");
    copy_sparse(&mut tar.stdout.take().unwrap(), &path);
    assert!(tar.wait().unwrap().success());
    let scanned = scan(&File::open(&path).unwrap()).unwrap();
    assert_eq!(scanned.fault, None);
    let found: Vec<_> = scanned.members.iter().map(|member| (member.name.as_str(), member.size)).collect();
    assert_eq!(found, [("big.ovf", DESCRIPTOR.len() as u64), ("big.vmdk", SIZE)]);
}

/// Copies, leaving holes where a block is zeros, and gives the length.
fn copy_sparse(from: &mut impl Read, to: &Path) -> u64 {
    let mut file = File::create_new(to).unwrap();
    let (mut block, zeros) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut length = 0;
    loop {
        let read = from.read(&mut block).unwrap();
        if read == 0 {
            file.set_len(length).unwrap();
            return length;
        }
        if block[..read] != zeros[..read] {
            file.seek(SeekFrom::Start(length)).unwrap();
            file.write_all(&block[..read]).unwrap();
        }
        length += read as u64;
    }
}

fn allocated(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&fs::metadata(path).unwrap()) * 512
}
