use std::fs;
use std::io::{self, Cursor, Write};
use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread;

use hypersdk_ova::vmdk::{
    CompressionLevel, DiskOptions, DiskReader, GRAIN_BYTES, GrainEncoder, GrainPool, Layout,
    RecompressOptions, Recompressed, Recompressor, StreamInspector, StreamWriter, VmdkError,
};
use proptest::prelude::*;

use crate::disk::Content;
use crate::tool;

static POOL: LazyLock<Arc<GrainPool>> =
    LazyLock::new(|| Arc::new(GrainPool::new(NonZero::new(2).unwrap()).unwrap()));

fn recompressor<W: Write>(output: W, level: u8) -> Recompressor<W> {
    let options = RecompressOptions::new(CompressionLevel::new(level).unwrap());
    Recompressor::new(output, Arc::clone(&POOL), options)
}

fn recompress_in_pieces(
    stream: &[u8],
    level: u8,
    piece: usize,
) -> Result<Recompressed<Vec<u8>>, (VmdkError, Vec<u8>)> {
    let mut recompressor = recompressor(Vec::new(), level);
    match stream.chunks(piece).try_for_each(|chunk| recompressor.push(chunk)) {
        Ok(()) => recompressor.finish(),
        Err(error) => Err((error, recompressor.into_output())),
    }
}

fn recompress(stream: &[u8], level: u8) -> Recompressed<Vec<u8>> {
    recompress_in_pieces(stream, level, 16 * 1024).unwrap_or_else(|(error, _)| panic!("{error}"))
}

fn refusal(stream: &[u8]) -> VmdkError {
    recompress_in_pieces(stream, 6, 16 * 1024).map(drop).map_err(|(error, _)| error).unwrap_err()
}

fn read_all(stream: &[u8]) -> Vec<u8> {
    let mut reader = DiskReader::open(Cursor::new(stream)).unwrap();
    let mut raw = vec![0xee; reader.capacity_bytes() as usize];
    reader.read_at(0, &mut raw).unwrap();
    raw
}

/// Fails unless the disk is whole, of the layout we write, and holds `raw`.
#[track_caller]
fn check(disk: &Recompressed<Vec<u8>>, raw: &[u8]) {
    let mut inspector = StreamInspector::new();
    inspector.push(&disk.output).unwrap();
    let written = inspector.finish().unwrap();
    assert_eq!((written.version, written.layout), (3, Layout::DirectoryAtEnd));
    assert_eq!(written.grains, disk.summary.grains_out);
    assert_eq!(written.stream_bytes, disk.summary.bytes_out);
    assert!(written.compressed_bytes <= disk.source.compressed_bytes, "grains became larger");
    assert_eq!(disk.summary.bytes_in, disk.source.stream_bytes);
    assert_eq!(disk.summary.grains_in, disk.source.grains);
    assert!(read_all(&disk.output) == raw, "the content changed");
}

#[test]
fn every_level_of_both_layouts_satisfies_qemu_img() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let dense = Content {
        capacity: 30 * GRAIN_BYTES - 1024,
        grains: (0..30).map(|index| (index, format!("{index} or so ").repeat(6000).into_bytes())).collect(),
    };
    for (name, mut content) in [("sparse", Content::mixed(1100)), ("dense", dense)] {
        content.grains.iter_mut().for_each(|(_, raw)| raw.truncate(GRAIN_BYTES));
        content.cut();
        let raw = path("source.raw");
        fs::write(&raw, content.raw()).unwrap();
        let theirs = path("theirs.vmdk");
        let convert =
            ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", &raw, &theirs];
        tool::run("qemu-img", &convert);
        for (layout, stream) in [("ours", content.vmdk()), ("theirs", fs::read(&theirs).unwrap())] {
            for level in 1..=9 {
                let disk = recompress(&stream, level);
                check(&disk, &content.raw());
                assert_eq!(disk.summary.zero_dropped, 0, "{name} {layout} {level}");
                let ours = path("ours.vmdk");
                fs::write(&ours, &disk.output).unwrap();
                tool::run("qemu-img", &["check", "-f", "vmdk", &ours]);
                tool::run("qemu-img", &["compare", "-f", "raw", "-F", "vmdk", &raw, &ours]);
            }
        }
    }
}

#[test]
fn an_empty_disk_stays_one() {
    let content = Content { capacity: 3 << 20, grains: vec![] };
    let disk = recompress(&content.vmdk(), 6);
    assert_eq!(disk.summary.grains_out, 0);
    check(&disk, &content.raw());
}

#[test]
fn grains_of_zeros_are_left_out() {
    let zeros = GrainEncoder::new(CompressionLevel::default()).encode(&[0; GRAIN_BYTES]).to_vec();
    let mut writer = StreamWriter::new(Vec::new(), &DiskOptions::new(64 << 20)).unwrap();
    for index in 0..1024 {
        match index % 5 {
            0 => writer.write_raw(index, &[7; GRAIN_BYTES]).unwrap(),
            _ => writer.write_compressed(index, &zeros).unwrap(),
        }
    }
    let stream = writer.finish().unwrap().0;
    let disk = recompress(&stream, 6);
    assert_eq!(
        (disk.summary.grains_in, disk.summary.zero_dropped, disk.summary.grains_out),
        (1024, 819, 205)
    );
    assert!(disk.summary.bytes_out < disk.summary.bytes_in);
    check(&disk, &read_all(&stream));
}

#[test]
fn what_is_small_already_is_kept() {
    let content = Content::mixed(300);
    let once = recompress(&content.vmdk(), 9);
    let twice = recompress(&once.output, 9);
    assert_eq!(twice.summary.kept, twice.summary.grains_out);
    assert!(twice.output == once.output, "the same grains make the same disk");
    let harder_first = recompress(&once.output, 1);
    assert_eq!(harder_first.summary.bytes_out, once.summary.bytes_out, "a lower level undoes nothing");
}

#[test]
fn descriptor_and_content_id_are_those_of_the_source() {
    let database = [
        ("ddb.adapterType", "pvscsi"),
        ("ddb.geometry.heads", "16"),
        ("ddb.longContentID", "0123456789abcdef0123456789abcdef"),
        ("ddb.toolsVersion", "12352"),
        ("ddb.uuid", "60 00 C2 9f 2d ea 91 bb-7f 33 ba b6 4c 3a 9e 0d"),
    ];
    let database = database.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let options = DiskOptions { cid: 0xdead_beef, database, ..DiskOptions::new(1 << 30) };
    let stream = StreamWriter::new(Vec::new(), &options).unwrap().finish().unwrap().0;
    let disk = recompress(&stream, 6);
    let mut inspector = StreamInspector::new();
    inspector.push(&disk.output).unwrap();
    let written = inspector.finish().unwrap().descriptor;
    assert_eq!(written.database["ddb.adapterType"], "pvscsi");
    assert_eq!(written.database["ddb.geometry.heads"], "16");
    assert_eq!(written.cid, "deadbeef");
    assert_eq!(written, disk.source.descriptor);
}

#[test]
fn a_long_descriptor_is_carried_over_whole() {
    let database = (0..900).map(|number| (format!("ddb.note.{number:04}"), "x".repeat(100))).collect();
    let options = DiskOptions { database, ..DiskOptions::new(1 << 20) };
    let mut writer = StreamWriter::new(Vec::new(), &options).unwrap();
    writer.write_raw(3, &[1; GRAIN_BYTES]).unwrap();
    let stream = writer.finish().unwrap().0;
    let disk = recompress(&stream, 6);
    check(&disk, &read_all(&stream));
    let mut inspector = StreamInspector::new();
    inspector.push(&disk.output).unwrap();
    let written = inspector.finish().unwrap().descriptor;
    assert_eq!(written.database.len(), 906, "six customary entries and these");
    assert_eq!(written, disk.source.descriptor);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.vmdk");
    fs::write(&path, &disk.output).unwrap();
    tool::run("qemu-img", &["check", "-f", "vmdk", path.to_str().unwrap()]);
}

#[test]
fn disks_side_by_side_share_the_pool() {
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let content = Content::mixed(200 + 50 * number);
                check(&recompress(&content.vmdk(), 3 + number as u8), &content.raw());
            });
        }
    });
}

/// Where the first grain's marker lies in our layout.
const FIRST_GRAIN: usize = 65_536;

#[test]
fn a_corrupt_grain_is_refused_with_its_place() {
    let mut stream = Content::mixed(300).vmdk();
    stream[FIRST_GRAIN + 500] ^= 1;
    let error = refusal(&stream);
    assert_eq!(error.offset(), Some(FIRST_GRAIN as u64));
    assert!(error.to_string().contains("does not inflate"), "{error}");
}

#[test]
fn a_grain_that_inflates_to_another_length_is_refused() {
    let mut writer = StreamWriter::new(Vec::new(), &DiskOptions::new(1 << 20)).unwrap();
    let short = GrainEncoder::new(CompressionLevel::default()).encode(&[5; 4096]).to_vec();
    writer.write_compressed(2, &short).unwrap();
    let error = refusal(&writer.finish().unwrap().0);
    assert!(error.to_string().ends_with("it inflates to 4096 bytes instead of 65536"), "{error}");
}

#[test]
fn a_truncated_source_gives_the_output_back() {
    let stream = Content::mixed(300).vmdk();
    let (error, output) = recompress_in_pieces(&stream[..stream.len() - 1000], 6, 16 * 1024).unwrap_err();
    assert!(error.is_truncation(), "{error}");
    assert!(stream.starts_with(&output[..512]), "what was written begins with the header");
    assert!(recompress_in_pieces(&[], 6, 1).unwrap_err().0.is_truncation());
}

#[test]
fn nothing_follows_a_refusal() {
    let mut recompressor = recompressor(Vec::new(), 6);
    assert!(matches!(recompressor.push(&[0; 512]), Err(VmdkError::NotVmdk)));
    assert!(matches!(recompressor.push(&[0; 512]), Err(VmdkError::Unwritable(_))));
    assert!(matches!(recompressor.finish(), Err((VmdkError::Unwritable(_), _))));
}

#[test]
fn grains_in_falling_order_are_refused() {
    let grains = vec![(1, vec![1; GRAIN_BYTES]), (2, vec![2; GRAIN_BYTES])];
    let mut stream = Content { capacity: 1 << 20, grains }.vmdk();
    let (second, table) = (FIRST_GRAIN + 512, FIRST_GRAIN + 3 * 512);
    stream[FIRST_GRAIN..FIRST_GRAIN + 8].copy_from_slice(&256_u64.to_le_bytes());
    stream[second..second + 8].copy_from_slice(&128_u64.to_le_bytes());
    stream[table + 4..table + 12].rotate_left(4);
    let mut inspector = StreamInspector::new();
    inspector.push(&stream).unwrap();
    inspector.finish().expect("such a disk is valid");
    let error = refusal(&stream);
    assert!(matches!(error, VmdkError::Unsuited(_)), "{error}");
}

#[test]
fn grains_of_another_size_are_refused_before_anything_is_written() {
    let mut stream = Content::mixed(10).vmdk();
    stream[20..28].copy_from_slice(&256_u64.to_le_bytes());
    let (error, output) = recompress_in_pieces(&stream, 6, 512).unwrap_err();
    assert!(matches!(error, VmdkError::Unsuited(_)), "{error}");
    assert!(output.is_empty());
}

/// A file on a full disk.
#[derive(Debug)]
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_output_comes_out() {
    let stream = Content::mixed(300).vmdk();
    let length = recompress(&stream, 6).output.len();
    for room in [0, length / 2, length - 1] {
        let mut recompressor = recompressor(Full { room }, 6);
        let pushed = stream.chunks(4096).try_for_each(|chunk| recompressor.push(chunk));
        let finished = pushed.and_then(|()| recompressor.finish().map(drop).map_err(|(error, _)| error));
        match finished {
            Err(VmdkError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
            other => panic!("room for {room}: {other:?}"),
        }
    }
}

#[test]
fn progress_is_that_of_the_source() {
    let stream = Content { capacity: 1 << 30, grains: vec![(8191, vec![1; GRAIN_BYTES])] }.vmdk();
    let mut recompressor = recompressor(Vec::new(), 6);
    recompressor.push(&stream[..66_000]).unwrap();
    assert_eq!(recompressor.progress().position_bytes, 512 << 20);
    assert_eq!(recompressor.progress().capacity_bytes, 1 << 30);
    assert_eq!(recompressor.populated_bytes(), GRAIN_BYTES as u64);
}

#[test]
fn a_recompressor_can_move_to_the_thread_that_drives_it() {
    fn movable<T: Send + 'static>(_: &T) {}
    movable(&recompressor(Vec::new(), 6));
}

fn contents() -> impl Strategy<Value = Content> {
    (1..3000_usize, prop::collection::btree_map(0..3000_u64, (any::<u8>(), any::<u64>()), 0..40)).prop_map(
        |(grains, populated)| {
            let capacity = grains * GRAIN_BYTES - 512 * (grains % 128);
            let inside = populated.into_iter().filter(|(index, _)| *index < grains as u64);
            let grains = inside.map(|(index, (byte, seed))| {
                let noise = (0..GRAIN_BYTES as u64).map(|n| (seed.wrapping_mul(n * n) >> 60) as u8);
                (index, noise.map(|noise| noise.wrapping_add(byte)).collect())
            });
            let mut content = Content { capacity, grains: grains.collect() };
            content.cut();
            content
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_disk_in_any_pieces_is_the_same_afterwards(
        content in contents(),
        level in 1..=9_u8,
        cuts in prop::collection::vec(1..150_000_usize, 1..20),
    ) {
        let stream = content.vmdk();
        let mut recompressor = recompressor(Vec::new(), level);
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*cut));
            recompressor.push(piece).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let disk = recompressor.finish().unwrap_or_else(|(error, _)| panic!("{error}"));
        check(&disk, &content.raw());
        prop_assert!(disk.summary.bytes_out <= disk.summary.bytes_in);
    }
}
