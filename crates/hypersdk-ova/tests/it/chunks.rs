use std::fs::{self, File};
use std::num::NonZeroU64;
use std::path::Path;

use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::ova::{OvaError, OvaOptions, OvaWriter};
use hypersdk_ova::package::{ChunkedFile, PackagedFile, chunk_name, finish_directory};
use hypersdk_ova::verify::{FaultClass, Level, Report, verify_blocking, verify_written};
use proptest::prelude::*;

use crate::package::Machine;
use crate::tool;

fn bytes(count: u64) -> NonZeroU64 {
    NonZeroU64::new(count).unwrap()
}

fn directory(folder: &Path, machine: &Machine, chunk_bytes: NonZeroU64) {
    let algorithm = DigestAlgorithm::Sha256;
    let mut disk = ChunkedFile::new(folder, "web01-disk1.vmdk", chunk_bytes, algorithm).unwrap();
    disk.write(&machine.disk[..machine.disk.len() / 2]).unwrap();
    disk.restart().unwrap();
    machine.disk.chunks(16_411).for_each(|piece| disk.write(piece).unwrap());
    assert_eq!(disk.bytes(), machine.disk.len() as u64);
    let mut files = disk.finish().unwrap();
    fs::write(folder.join("web01.nvram"), &machine.nvram).unwrap();
    let (size, digest) = (machine.nvram.len() as u64, Digest::of(algorithm, &machine.nvram));
    files.push(PackagedFile { name: "web01.nvram".into(), size, digest });
    let xml = machine.envelope.to_chunked_xml(chunk_bytes);
    let written = finish_directory(folder, "web01", &xml, files, algorithm).unwrap();
    assert!(verify_written(folder, &written).unwrap().is_ok());
}

fn archive(path: &Path, machine: &Machine, chunk_bytes: NonZeroU64) {
    let options = OvaOptions { descriptor_slot_bytes: 4096, ..OvaOptions::new("web01") };
    let mut writer = OvaWriter::create(path, options).unwrap();
    writer.begin_chunked_member("never.vmdk", chunk_bytes).unwrap();
    writer.write(&machine.disk).unwrap();
    writer.discard_member().unwrap();
    writer.begin_chunked_member("web01-disk1.vmdk", chunk_bytes).unwrap();
    writer.write(&machine.disk[..machine.disk.len() / 2]).unwrap();
    writer.restart_member().unwrap();
    machine.disk.chunks(16_411).for_each(|piece| writer.write(piece).unwrap());
    assert_eq!(writer.member_bytes(), machine.disk.len() as u64);
    assert_eq!(writer.end_chunked_member().unwrap(), machine.disk.len() as u64);
    writer.begin_member("web01.nvram").unwrap();
    writer.write(&machine.nvram).unwrap();
    writer.end_member(Digest::of(DigestAlgorithm::Sha256, &machine.nvram)).unwrap();
    let written = writer.finish(&machine.envelope.to_chunked_xml(chunk_bytes)).unwrap();
    assert_eq!(written.bytes, fs::metadata(path).unwrap().len());
    assert!(verify_written(path, &written).unwrap().is_ok());
}

#[track_caller]
fn whole(path: &Path, grains: u64) -> Report {
    let report = verify_blocking(path, Level::Headers).unwrap();
    assert!(report.is_ok(), "{report}");
    for level in [Level::Structure, Level::Full] {
        let report = verify_blocking(path, level).unwrap();
        assert!(report.is_ok() && report.warnings.is_empty(), "{report}");
        let disk = report.files.iter().find(|file| file.name == chunk_name("web01-disk1.vmdk", 0)).unwrap();
        assert_eq!(disk.disk.as_ref().unwrap().grains, grains);
    }
    verify_blocking(path, Level::Full).unwrap()
}

#[test]
fn a_chunked_disk_is_put_together_by_cat_and_looked_into_as_a_whole() {
    let machine = Machine::new(40);
    for chunk in [100_000, 65_536, machine.disk.len() as u64, 1 << 40] {
        let folder = tempfile::tempdir().unwrap();
        let unpacked = folder.path().join("unpacked");
        let ova = folder.path().join("web01.ova");
        archive(&ova, &machine, bytes(chunk));
        whole(&ova, 14);
        fs::create_dir(&unpacked).unwrap();
        tool::run("tar", &["-xf", ova.to_str().unwrap(), "-C", unpacked.to_str().unwrap()]);
        let written = folder.path().join("written");
        fs::create_dir(&written).unwrap();
        directory(&written, &machine, bytes(chunk));
        for folder in [&unpacked, &written] {
            let report = whole(folder, 14);
            let count = (machine.disk.len() as u64).div_ceil(chunk);
            assert_eq!(report.files.len() as u64, count + 3);
            let parts: Vec<_> =
                (0..count).map(|number| folder.join(chunk_name("web01-disk1.vmdk", number))).collect();
            let disk = folder.join("whole.vmdk");
            fs::write(&disk, parts.iter().flat_map(|part| fs::read(part).unwrap()).collect::<Vec<_>>())
                .unwrap();
            assert!(fs::read(&disk).unwrap() == machine.disk);
            tool::run("qemu-img", &["check", disk.to_str().unwrap()]);
        }
        tool::run("xmllint", &["--noout".as_ref(), written.join("web01.ovf").as_os_str()]);
    }
}

#[test]
fn a_spool_is_cut_as_a_stream_is() {
    let machine = Machine::new(40);
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    fs::write(&spool, &machine.disk).unwrap();
    let mut writer = OvaWriter::create(&folder.path().join("a.ova"), OvaOptions::new("a")).unwrap();
    writer.append_chunked_file("a.vmdk", &File::open(&spool).unwrap(), bytes(70_000)).unwrap();
    writer.begin_chunked_member("b.vmdk", bytes(70_000)).unwrap();
    writer.write(&machine.disk).unwrap();
    writer.end_chunked_member().unwrap();
    let (first, second) = writer.members().split_at(writer.members().len() / 2);
    assert!(first.len() > 3);
    for (first, second) in first.iter().zip(second) {
        assert_eq!((first.size, &first.digest), (second.size, &second.digest));
    }
}

#[test]
fn damage_in_a_chunked_disk_is_named_with_its_place_in_the_whole() {
    let machine = Machine::new(40);
    let folder = tempfile::tempdir().unwrap();
    directory(folder.path(), &machine, bytes(65_536));
    let chunk = folder.path().join(chunk_name("web01-disk1.vmdk", 1));
    let content = fs::read(&chunk).unwrap();
    let mut damaged = content.clone();
    damaged[3000] ^= 1;
    fs::write(&chunk, &damaged).unwrap();
    let report = verify_blocking(folder.path(), Level::Full).unwrap();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert!(faults.iter().any(|fault| fault.starts_with("web01-disk1.vmdk: byte 65536: grain")), "{report}");
    assert!(faults.iter().any(|fault| fault.starts_with("web01-disk1.vmdk.000000001: sha256:")), "{report}");
    fs::write(&chunk, &content[..content.len() - 1]).unwrap();
    let report = verify_blocking(folder.path(), Level::Headers).unwrap();
    assert_eq!(report.worst(), Some(FaultClass::Size), "{report}");
    fs::remove_file(&chunk).unwrap();
    for level in [Level::Headers, Level::Full] {
        let report = verify_blocking(folder.path(), level).unwrap();
        assert!(report.faults.iter().any(|fault| fault.class == FaultClass::Missing), "{report}");
    }
}

#[test]
fn chunks_in_the_wrong_order_are_seen() {
    let machine = Machine::new(10);
    let folder = tempfile::tempdir().unwrap();
    directory(folder.path(), &machine, bytes(100_000));
    let ova = folder.path().join("web01.ova");
    let disk = |number| chunk_name("web01-disk1.vmdk", number);
    let members = ["web01.ovf".into(), disk(1), disk(0), disk(2), "web01.nvram".into(), "web01.mf".into()];
    let arguments = ["--format=ustar", "-cf", ova.to_str().unwrap(), "-C", folder.path().to_str().unwrap()];
    tool::run("tar", &[arguments.map(str::to_owned).to_vec(), members.to_vec()].concat());
    let report = verify_blocking(&ova, Level::Structure).unwrap();
    assert!(report.to_string().contains("its chunks do not follow each other"), "{report}");
}

#[test]
fn misuse_of_chunks_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = OvaWriter::create(&folder.path().join("a.ova"), OvaOptions::new("a")).unwrap();
    assert!(matches!(writer.end_chunked_member(), Err(OvaError::Order(_))));
    assert!(matches!(writer.begin_chunked_member("a/b", bytes(1)), Err(OvaError::Name(_))));
    assert!(matches!(writer.begin_chunked_member(&"n".repeat(95), bytes(1)), Err(OvaError::Name(_))));
    writer.begin_chunked_member("b", bytes(1)).unwrap();
    assert!(matches!(writer.begin_member("c"), Err(OvaError::Order(_))));
    let empty = Digest::of(DigestAlgorithm::Sha256, b"");
    assert!(matches!(writer.end_member(empty.clone()), Err(OvaError::Order(_))));
    assert!(matches!(writer.write(&[0; 9_001]), Err(OvaError::TooManyChunks(_))));
    writer.discard_member().unwrap();
    writer.begin_member("b.000000001").unwrap();
    writer.end_member(empty).unwrap();
    writer.begin_chunked_member("b", bytes(1)).unwrap();
    assert!(matches!(writer.write(b"12"), Err(OvaError::Duplicate(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chunks_of_any_size_written_in_any_pieces_are_the_whole(
        length in 0..200_000_usize,
        chunk in 30_000..90_000_u64,
        piece in 1..70_000_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..length).map(|n| ((n * 31) >> 3) as u8).collect();
        let mut file = ChunkedFile::new(folder.path(), "d", bytes(chunk), DigestAlgorithm::Sha1).unwrap();
        let mut writer = OvaWriter::create(&folder.path().join("a.ova"), OvaOptions::new("a")).unwrap();
        writer.begin_chunked_member("d", bytes(chunk)).unwrap();
        for piece in data.chunks(piece) {
            file.write(piece).unwrap();
            writer.write(piece).unwrap();
        }
        writer.end_chunked_member().unwrap();
        let parts = file.finish().unwrap();
        let read = parts.iter().flat_map(|part| fs::read(folder.path().join(&part.name)).unwrap());
        prop_assert!(read.collect::<Vec<u8>>() == data);
        let sizes = |parts: &[PackagedFile]| parts.iter().map(|part| part.size).collect::<Vec<_>>();
        prop_assert_eq!(sizes(&parts), sizes(writer.members()));
        prop_assert!(parts.iter().rev().skip(1).all(|part| part.size == chunk));
    }
}
