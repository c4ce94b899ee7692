use std::fs;
use std::io::Cursor;
use std::path::Path;

use hypersdk_ova::vmdk::{
    DiskOptions, DiskReader, DiskSummary, FlatReader, GRAIN_BYTES, Grain, Layout, SECTOR_BYTES,
    StreamInspector, StreamWriter, VmdkError, inflate_stream,
};
use proptest::prelude::*;

use crate::disk::Content;
use crate::tool;

fn inspect(stream: &[u8]) -> Result<DiskSummary, VmdkError> {
    inspect_in_pieces(stream, stream.len().max(1))
}

fn inspect_in_pieces(stream: &[u8], piece: usize) -> Result<DiskSummary, VmdkError> {
    let mut inspector = StreamInspector::new();
    stream.chunks(piece).try_for_each(|chunk| inspector.push(chunk))?;
    inspector.finish()
}

fn inflate(stream: &[u8], capacity: usize) -> Vec<u8> {
    let mut raw = vec![0; capacity];
    let read = inflate_stream(stream, |offset, grain| {
        let start = offset as usize;
        raw[start..start + grain.len()].copy_from_slice(grain);
        Ok(())
    });
    read.unwrap();
    raw
}

fn read_all(stream: &[u8]) -> Vec<u8> {
    let mut reader = DiskReader::open(Cursor::new(stream)).unwrap();
    let mut raw = vec![0xee; reader.capacity_bytes() as usize];
    reader.read_at(0, &mut raw).unwrap();
    raw
}

/// The same disk, converted by qemu-img: its directory lies in front of the grains.
fn by_qemu(content: &Content, folder: &Path) -> Vec<u8> {
    let (raw, vmdk) = (folder.join("source.raw"), folder.join("qemu.vmdk"));
    fs::write(&raw, content.raw()).unwrap();
    let (raw, vmdk) = (raw.to_str().unwrap(), vmdk.to_str().unwrap());
    tool::run(
        "qemu-img",
        &["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk],
    );
    fs::read(vmdk).unwrap()
}

#[test]
fn a_written_disk_is_read_by_qemu_img() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::mixed(1100);
    let (vmdk, raw) = (folder.path().join("ours.vmdk"), folder.path().join("ours.raw"));
    fs::write(&vmdk, content.vmdk()).unwrap();
    tool::run("qemu-img", &["check", "-f", "vmdk", vmdk.to_str().unwrap()]);
    tool::run(
        "qemu-img",
        &["convert", "-f", "vmdk", "-O", "raw", vmdk.to_str().unwrap(), raw.to_str().unwrap()],
    );
    assert!(fs::read(raw).unwrap() == content.raw(), "qemu-img reads another disk than was written");
}

#[test]
fn a_disk_by_qemu_img_passes_inspection_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::mixed(1100);
    let stream = by_qemu(&content, folder.path());
    let summary = inspect(&stream).unwrap();
    assert_eq!(summary.layout, Layout::DirectoryUpFront);
    assert_eq!(summary.grains, content.grains.len() as u64);
    assert_eq!(summary.capacity_bytes, content.capacity as u64);
    assert!(inflate(&stream, content.capacity) == content.raw());
    assert!(read_all(&stream) == content.raw());
}

#[test]
fn a_written_disk_passes_inspection_and_reads_back() {
    let content = Content::mixed(1100);
    let stream = content.vmdk();
    let summary = inspect(&stream).unwrap();
    assert_eq!(summary.layout, Layout::DirectoryAtEnd);
    assert_eq!(summary.version, 3);
    assert_eq!(summary.grains, content.grains.len() as u64);
    assert_eq!(summary.stream_bytes, stream.len() as u64);
    assert_eq!(summary.descriptor.database["ddb.adapterType"], "lsilogic");
    assert!(inflate(&stream, content.capacity) == content.raw());
    assert!(read_all(&stream) == content.raw());
}

#[test]
fn an_empty_disk_is_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content { capacity: 3 << 20, grains: vec![] };
    assert_eq!(inspect(&content.vmdk()).unwrap().grains, 0);
    assert_eq!(inspect(&by_qemu(&content, folder.path())).unwrap().grains, 0);
    assert!(read_all(&content.vmdk()) == content.raw());
}

#[test]
fn the_cut_of_the_pieces_makes_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::mixed(40);
    for stream in [content.vmdk(), by_qemu(&content, folder.path())] {
        let whole = inspect(&stream).unwrap();
        for piece in [1, 7, 511, 512, 513, 65_536, 100_000] {
            assert_eq!(inspect_in_pieces(&stream, piece).unwrap(), whole, "pieces of {piece}");
        }
        let mut seen = 0;
        let mut inspector = StreamInspector::with_sink(|grain: Grain<'_>| {
            assert_eq!(grain.payload[0] & 0x0f, 8, "a zlib member begins with its method");
            seen += 1;
            Ok(())
        });
        stream.chunks(1000).try_for_each(|chunk| inspector.push(chunk)).unwrap();
        inspector.finish().unwrap();
        assert_eq!(seen, whole.grains);
    }
}

#[test]
fn every_truncation_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::mixed(10);
    let (ours, theirs) = (content.vmdk(), by_qemu(&content, folder.path()));
    // With the directory up front nothing is lost with the zeros behind the last grain.
    let theirs_end = theirs.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for (stream, end) in [(&ours, ours.len()), (&theirs, theirs_end)] {
        let near_boundary =
            |length: &usize| length % 512 < 20 || length % 512 > 500 || length.is_multiple_of(97);
        for length in (0..end).filter(near_boundary) {
            let error = inspect(&stream[..length]).unwrap_err();
            assert!(error.is_truncation(), "at {length} of {}: {error}", stream.len());
        }
    }
}

#[test]
fn progress_is_the_place_on_the_disk() {
    let content = Content { capacity: 1 << 30, grains: vec![(8191, vec![1; GRAIN_BYTES])] };
    let stream = content.vmdk();
    let mut inspector = StreamInspector::new();
    assert_eq!(inspector.progress().capacity_bytes, 0);
    inspector.push(&stream[..65_536]).unwrap();
    assert_eq!(inspector.progress().position_bytes, 0);
    assert_eq!(inspector.progress().capacity_bytes, 1 << 30);
    inspector.push(&stream[65_536..65_548]).unwrap();
    assert_eq!(inspector.progress().position_bytes, 512 << 20);
    assert_eq!((inspector.grains(), inspector.populated_bytes()), (1, GRAIN_BYTES as u64));
}

/// Where the first grain's marker lies in our layout.
const FIRST_GRAIN: usize = 65_536;

#[test]
fn grains_that_cannot_be_are_refused_with_their_place() {
    let content = Content::mixed(10);
    let refuse = |lba: u64, size: Option<u32>, reason: &str| {
        let mut stream = content.vmdk();
        stream[FIRST_GRAIN..FIRST_GRAIN + 8].copy_from_slice(&lba.to_le_bytes());
        if let Some(size) = size {
            stream[FIRST_GRAIN + 8..FIRST_GRAIN + 12].copy_from_slice(&size.to_le_bytes());
        }
        let error = inspect(&stream).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        error
    };
    assert_eq!(refuse(u64::MAX - 127, None, "the disk has").offset(), Some(FIRST_GRAIN as u64));
    refuse(1, None, "multiples of 128");
    refuse(0, Some(1 << 30), "more than a grain can take");
    refuse(3 * 128, None, "the same grain came before");
    refuse(128, None, "grain directory");
}

#[test]
fn a_grain_moved_without_its_table_entry_is_seen() {
    let content =
        Content { capacity: 1 << 20, grains: vec![(1, vec![1; GRAIN_BYTES]), (2, vec![2; GRAIN_BYTES])] };
    let mut stream = content.vmdk();
    let second = FIRST_GRAIN + SECTOR_BYTES as usize;
    assert_eq!(stream[second..second + 8], 256_u64.to_le_bytes());
    stream[FIRST_GRAIN..FIRST_GRAIN + 8].copy_from_slice(&256_u64.to_le_bytes());
    stream[second..second + 8].copy_from_slice(&128_u64.to_le_bytes());
    let error = inspect(&stream).unwrap_err();
    assert!(matches!(error, VmdkError::Tables(_)), "{error}");
}

#[test]
fn a_flipped_bit_in_a_grain_is_found_by_inflating() {
    let content = Content::mixed(10);
    let mut stream = content.vmdk();
    stream[FIRST_GRAIN + 500] ^= 1;
    inspect(&stream).unwrap();
    let error = inflate_stream(&stream[..], |_, _| Ok(())).unwrap_err();
    assert_eq!(error.offset(), Some(FIRST_GRAIN as u64));
    assert!(error.to_string().contains("does not inflate"), "{error}");
}

#[test]
fn progress_markers_are_skipped_and_unknown_ones_refused() {
    let stream = Content { capacity: 1 << 20, grains: vec![] }.vmdk();
    let with_marker = |kind: u32| {
        let mut marker = [0; 512];
        marker[12..16].copy_from_slice(&kind.to_le_bytes());
        // Before the grain directory; the footer's place of it then is one sector off.
        let mut changed = [&stream[..FIRST_GRAIN], &marker, &stream[FIRST_GRAIN..]].concat();
        let footer = changed.len() - 1024;
        let directory = u64::from_le_bytes(changed[footer + 56..footer + 64].try_into().unwrap()) + 1;
        changed[footer + 56..footer + 64].copy_from_slice(&directory.to_le_bytes());
        inspect(&changed)
    };
    with_marker(4).unwrap();
    assert!(with_marker(5).unwrap_err().to_string().contains("type 5"));
}

#[test]
fn only_zeros_may_follow_the_end() {
    let mut stream = Content::mixed(4).vmdk();
    stream.extend([0; 100]);
    inspect(&stream).unwrap();
    stream.push(1);
    assert!(matches!(inspect(&stream), Err(VmdkError::TrailingData { .. })));
}

#[test]
fn the_writer_refuses_what_it_cannot_write() {
    assert!(StreamWriter::new(Vec::new(), &DiskOptions::new(1000)).is_err());
    let quote = DiskOptions { name: "a\"b".into(), ..DiskOptions::new(1 << 20) };
    assert!(StreamWriter::new(Vec::new(), &quote).is_err());
    let mut writer = StreamWriter::new(Vec::new(), &DiskOptions::new(1 << 20)).unwrap();
    writer.write_raw(3, &[1; GRAIN_BYTES]).unwrap();
    assert!(writer.write_raw(3, &[1; GRAIN_BYTES]).is_err(), "again");
    assert!(writer.write_raw(16, &[1; GRAIN_BYTES]).is_err(), "outside");
    assert!(writer.write_raw(4, &[1; GRAIN_BYTES + 1]).is_err(), "too long");
    assert!(writer.write_compressed(4, &[]).is_err(), "empty");
}

#[test]
fn compressed_grains_pass_from_disk_to_disk() {
    let content = Content::mixed(600);
    let mut writer = StreamWriter::new(Vec::new(), &DiskOptions::new(content.capacity as u64)).unwrap();
    let mut inspector = StreamInspector::with_sink(|grain: Grain<'_>| {
        writer.write_compressed(grain.lba * SECTOR_BYTES / GRAIN_BYTES as u64, grain.payload)
    });
    let stream = content.vmdk();
    stream.chunks(3000).try_for_each(|chunk| inspector.push(chunk)).unwrap();
    inspector.finish().unwrap();
    assert!(writer.finish().unwrap().0 == stream, "the copy differs");
}

fn contents() -> impl Strategy<Value = Content> {
    (1..3000_usize, prop::collection::btree_map(0..3000_u64, (any::<u8>(), 0..=GRAIN_BYTES), 0..12)).prop_map(
        |(grains, populated)| {
            let capacity = grains * GRAIN_BYTES - 512 * (grains % 128);
            let inside = populated.into_iter().filter(|(index, _)| *index < grains as u64);
            let grains = inside.map(|(index, (byte, length))| (index, vec![byte; length])).collect();
            let mut content = Content { capacity, grains };
            content.cut();
            content
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_written_is_read_back(content in contents(), piece in 1..200_000_usize) {
        let stream = content.vmdk();
        let summary = inspect_in_pieces(&stream, piece).unwrap();
        prop_assert_eq!(summary.capacity_bytes, content.capacity as u64);
        prop_assert!(inflate(&stream, content.capacity) == content.raw());
        prop_assert!(read_all(&stream) == content.raw());
    }

    #[test]
    fn no_damage_makes_a_reader_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut stream = Content::mixed(6).vmdk();
        for (at, byte) in damage {
            // Metadata is a small part of the stream: aim at it.
            let at = at.index(4096);
            let at = if at < 2048 { at } else { stream.len() - 1 - (at - 2048) };
            stream[at] = byte;
        }
        let length = 1 + cut.index(stream.len() * 4);
        stream.truncate(length);
        let _ = inspect(&stream);
        let _ = inflate_stream(&stream[..], |_, _| Ok(()));
        if let Ok(mut reader) = DiskReader::open(Cursor::new(&stream)) {
            for index in 0..8 {
                let _ = reader.read_grain(index);
            }
        }
    }
}

/// The same disk as `qemu-img` writes it in another subformat, below `folder`.
fn by_qemu_as(subformat: &str, content: &Content, folder: &Path) -> std::path::PathBuf {
    let (raw, vmdk) = (folder.join("source.raw"), folder.join("disk.vmdk"));
    fs::write(&raw, content.raw()).unwrap();
    let option = format!("subformat={subformat}");
    let paths = [raw.to_str().unwrap(), vmdk.to_str().unwrap()];
    tool::run("qemu-img", &[&["convert", "-f", "raw", "-O", "vmdk", "-o", &option][..], &paths].concat());
    vmdk
}

#[test]
fn a_monolithic_sparse_disk_by_qemu_img_reads_back_but_is_no_stream() {
    let folder = tempfile::tempdir().unwrap();
    let content = Content::mixed(1100);
    let disk = fs::read(by_qemu_as("monolithicSparse", &content, folder.path())).unwrap();
    assert!(read_all(&disk) == content.raw());
    assert!(matches!(inspect(&disk), Err(VmdkError::NotStreamOptimized(_))));
    let mut reader = DiskReader::open(Cursor::new(&disk)).unwrap();
    assert!(reader.read_grain(1).unwrap().is_none(), "a hole");
    let mut cut = DiskReader::open(Cursor::new(&disk[..disk.len() / 2])).unwrap();
    let mut raw = vec![0; content.capacity];
    assert!(matches!(cut.read_at(0, &mut raw), Err(VmdkError::Io(_))));
}

#[test]
fn a_flat_disk_by_qemu_img_reads_back_from_any_place() {
    let content = Content::mixed(300);
    for subformat in ["monolithicFlat", "twoGbMaxExtentFlat"] {
        let folder = tempfile::tempdir().unwrap();
        let reader = FlatReader::open(&by_qemu_as(subformat, &content, folder.path())).unwrap();
        assert_eq!(reader.capacity_bytes(), content.capacity as u64);
        let expected = content.raw();
        for (offset, length) in [(0, expected.len()), (65_000, 70_000), (expected.len() - 1, 1)] {
            let mut raw = vec![0xee; length];
            reader.read_at(offset as u64, &mut raw).unwrap();
            assert!(raw == expected[offset..offset + length], "{subformat} at {offset}");
        }
        assert!(reader.read_at(expected.len() as u64, &mut [0]).is_err());
    }
}

#[test]
fn the_extents_of_a_flat_disk_follow_each_other_and_stay_beside_their_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), [vec![9; 512], vec![1; 1024]].concat()).unwrap();
    fs::write(path("b"), vec![2; 512]).unwrap();
    std::os::unix::fs::symlink(path("b"), path("link")).unwrap();
    let open = |kind: &str, extents: &str| {
        let text =
            format!("# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"{kind}\"\n{extents}\n");
        fs::write(path("disk.vmdk"), text).unwrap();
        FlatReader::open(&path("disk.vmdk"))
    };
    let three = "RW 2 FLAT \"a\" 1\nRDONLY 3 ZERO\nRW 1 VMFS \"b\"";
    let reader = open("vmfs", three).unwrap();
    let mut raw = vec![0xee; 6 * 512];
    reader.read_at(0, &mut raw).unwrap();
    assert!(raw == [vec![1; 1024], vec![0; 1536], vec![2; 512]].concat());
    for (kind, extents, reason) in [
        ("monolithicFlat", "RW 1 FLAT \"../a\" 0", "../a"),
        ("monolithicFlat", "RW 1 FLAT \"/etc/passwd\" 0", "/etc/passwd"),
        ("monolithicFlat", "RW 1 FLAT \"link\" 0", "a link"),
        ("monolithicFlat", "RW 9 FLAT \"a\" 0", "the rest of a"),
        ("monolithicFlat", "RW 1 FLAT \"a\" 36028797018963968", "no offset"),
        ("monolithicFlat", "RW 0 FLAT \"a\" 0", "no size"),
        ("monolithicFlat", "RW 1 SPARSE \"a\"", "neither flat"),
        ("monolithicFlat", "", "no extent"),
        ("streamOptimized", three, "createType"),
    ] {
        let error = open(kind, extents).unwrap_err().to_string();
        assert!(error.contains(reason), "{extents}: {error}");
    }
}
