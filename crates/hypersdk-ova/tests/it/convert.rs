//! Disks turned into raw and qcow2 images are what QEMU takes them for.

mod source;

use std::fs::{self, File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypersdk_ova::convert::{ConvertError, DiskConverter, DiskTarget};
use hypersdk_ova::vmdk::{CompressionLevel, DiskOptions, DiskSummary, GrainPool, StreamWriter, VmdkError};
use proptest::prelude::*;
use tempfile::TempDir;

use self::source::{Fill, Source};
use crate::disk::Content;
use crate::tool;

const MIB: u64 = 1 << 20;

fn targets() -> [DiskTarget; 4] {
    [
        DiskTarget::Raw,
        DiskTarget::Qcow2 { compress: None },
        DiskTarget::Qcow2 { compress: CompressionLevel::new(1) },
        DiskTarget::Qcow2 { compress: CompressionLevel::new(6) },
    ]
}

fn pool(threads: usize) -> Arc<GrainPool> {
    Arc::new(GrainPool::new(NonZeroUsize::new(threads).unwrap()).unwrap())
}

fn create(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// Pieces of these lengths in turn.
fn push_all(converter: &mut DiskConverter, mut stream: &[u8], pieces: &[usize]) -> Result<(), ConvertError> {
    let mut pieces = pieces.iter().cycle();
    while !stream.is_empty() {
        let length = (*pieces.next().unwrap()).min(stream.len());
        converter.push(&stream[..length])?;
        stream = &stream[length..];
    }
    Ok(())
}

fn convert(stream: &[u8], target: DiskTarget, path: &Path) -> DiskSummary {
    let mut converter = DiskConverter::new(create(path), target, pool(2)).unwrap();
    push_all(&mut converter, stream, &[100_000]).unwrap();
    converter.finish().unwrap().1
}

/// Has QEMU check the image and compare it with the disk.
#[track_caller]
fn assert_is(image: &Path, target: DiskTarget, raw: &Path) {
    let size = fs::metadata(raw).unwrap().len();
    let (image, raw) = (image.to_str().unwrap(), raw.to_str().unwrap());
    let format = match target {
        DiskTarget::Raw => "raw",
        DiskTarget::Qcow2 { .. } => "qcow2",
    };
    let info = tool::run("qemu-img", &["info", "-f", format, "--output", "json", image]);
    assert!(info.contains(&format!("\"virtual-size\": {size},")), "{info}");
    if format == "qcow2" {
        let report = tool::run("qemu-img", &["check", "-f", format, image]);
        assert!(report.contains("No errors were found on the image."), "{report}");
        assert!(!report.to_lowercase().contains("leak"), "{report}");
    }
    tool::run("qemu-img", &["compare", "-f", format, "-F", "raw", image, raw]);
}

#[track_caller]
fn assert_converts(source: &Source, pieces: &[usize]) {
    let folder = TempDir::new().unwrap();
    let (raw, image) = (folder.path().join("raw"), folder.path().join("image"));
    source.write_raw(&raw);
    let stream = source.vmdk();
    for target in targets() {
        let mut converter = DiskConverter::new(create(&image), target, pool(3)).unwrap();
        push_all(&mut converter, &stream, pieces).unwrap();
        let (_, disk) = converter.finish().unwrap();
        assert_eq!((disk.capacity_bytes, disk.grains), (source.capacity, source.grains.len() as u64));
        assert_is(&image, target, &raw);
    }
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

/// The raw disk, and both kinds of stream of it.
fn both_layouts(content: &Content, folder: &Path) -> (PathBuf, [Vec<u8>; 2]) {
    let (raw, vmdk) = (folder.join("disk.raw"), folder.join("qemu.vmdk"));
    fs::write(&raw, content.raw()).unwrap();
    let (source, made) = (raw.to_str().unwrap(), vmdk.to_str().unwrap());
    let options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", source, made];
    tool::run("qemu-img", &[&["convert"], &options[..]].concat());
    (raw, [content.vmdk(), fs::read(vmdk).unwrap()])
}

#[test]
fn streams_of_both_layouts_become_images_that_qemu_reads() {
    let folder = TempDir::new().unwrap();
    let (raw, streams) = both_layouts(&Content::mixed(100), folder.path());
    for stream in streams {
        for target in targets() {
            let image = folder.path().join("image");
            convert(&stream, target, &image);
            assert_is(&image, target, &raw);
        }
    }
}

#[test]
fn an_empty_disk_is_a_disk() {
    let folder = TempDir::new().unwrap();
    let (raw, streams) = both_layouts(&Content { capacity: 10 << 20, grains: Vec::new() }, folder.path());
    for stream in streams {
        for target in targets() {
            let image = folder.path().join("image");
            assert_eq!(convert(&stream, target, &image).grains, 0);
            assert_is(&image, target, &raw);
            assert!(allocated(&image) <= 5 * 65_536, "{target:?} takes {} bytes", allocated(&image));
        }
    }
}

#[test]
fn a_disk_of_one_sector_is_a_disk() {
    assert_converts(&Source::new(512, 65_536, &[(0, Fill::Text)]), &[1]);
}

#[test]
fn a_disk_beyond_2_tib_keeps_its_size_and_its_holes() {
    let folder = TempDir::new().unwrap();
    let capacity = (3 << 40) + 512 * 7;
    let last = (capacity - 1) / 65_536;
    let source =
        Source::new(capacity, 65_536, &[(0, Fill::Text), (last / 2, Fill::Noise), (last, Fill::Text)]);
    let mut writer = StreamWriter::new(Vec::new(), &DiskOptions::new(capacity)).unwrap();
    for (index, raw) in &source.grains {
        writer.write_raw(*index, raw).unwrap();
    }
    let (stream, _) = writer.finish().unwrap();
    let (raw, image) = (folder.path().join("raw"), folder.path().join("image"));
    source.write_raw(&raw);
    for target in targets() {
        assert_eq!(convert(&stream, target, &image).capacity_bytes, capacity);
        assert_is(&image, target, &raw);
        assert!(allocated(&image) < 2 * MIB, "{target:?} takes {} bytes", allocated(&image));
    }
}

#[test]
fn grains_of_zeros_are_holes() {
    let folder = TempDir::new().unwrap();
    let fills: Vec<_> =
        (0..1600).map(|index| (index, if index % 100 == 50 { Fill::Noise } else { Fill::Zeros })).collect();
    let source = Source::new(100 * MIB, 65_536, &fills);
    let stream = source.vmdk();
    let (raw, image) = (folder.path().join("raw"), folder.path().join("image"));
    source.write_raw(&raw);
    for target in targets() {
        convert(&stream, target, &image);
        assert_is(&image, target, &raw);
        // Sixteen clusters of data, and at most five of a qcow2 image's own.
        let used = allocated(&image);
        assert!((16 * 65_536..=(16 + 6) * 65_536).contains(&used), "{target:?} takes {used} bytes");
    }
}

#[test]
fn grains_of_any_size_and_order_become_the_same_disk() {
    for grain_bytes in [8_192, 16_384, 32_768, 131_072, 1_048_576] {
        let grains = 20 * MIB / grain_bytes;
        let mut fills: Vec<_> = (0..grains)
            .map(|index| (index, [Fill::Noise, Fill::Text, Fill::Tail][index as usize % 3]))
            .collect();
        fills.reverse();
        let middle = fills.len() / 2;
        fills.swap(0, middle);
        assert_converts(&Source::new(20 * MIB - 512, grain_bytes, &fills), &[70_000]);
    }
}

/// With clusters of 8 KiB a refcount block covers 32 MiB of the file and an L2 table 8 MiB of the disk.
#[test]
fn many_refcount_blocks_and_mapping_tables_agree_with_the_clusters() {
    let fills: Vec<_> = (0..5_000_u64)
        .map(|number| {
            // Scattered over 300 tables that have to be written and read back.
            let index = number * 7_919 % 4_999 * 61;
            (index, if number % 7 == 0 { Fill::Text } else { Fill::Noise })
        })
        .collect();
    let mut seen = std::collections::HashSet::new();
    let fills: Vec<_> = fills.into_iter().filter(|(index, _)| seen.insert(*index)).collect();
    assert_converts(&Source::new(2_400 * MIB, 8_192, &fills), &[1 << 20]);
}

#[test]
fn the_image_depends_neither_on_the_threads_nor_on_the_pieces() {
    let folder = TempDir::new().unwrap();
    let stream = Content::mixed(200).vmdk();
    for target in targets() {
        let images: Vec<Vec<u8>> = [(1, vec![1 << 20]), (4, vec![333, 65_536, 1])]
            .iter()
            .map(|(threads, pieces)| {
                let image = folder.path().join("image");
                let mut converter = DiskConverter::new(create(&image), target, pool(*threads)).unwrap();
                push_all(&mut converter, &stream, pieces).unwrap();
                converter.finish().unwrap();
                fs::read(image).unwrap()
            })
            .collect();
        assert!(images[0] == images[1], "{target:?}");
    }
}

#[test]
fn progress_is_the_place_on_the_disk() {
    let folder = TempDir::new().unwrap();
    let stream = Content::mixed(64).vmdk();
    let file = create(&folder.path().join("image"));
    let mut converter = DiskConverter::new(file, DiskTarget::Raw, pool(1)).unwrap();
    assert_eq!(converter.progress().capacity_bytes, 0);
    converter.push(&stream[..stream.len() / 2]).unwrap();
    let halfway = converter.progress();
    assert_eq!(halfway.capacity_bytes, 64 * 65_536 - 1536);
    assert!((1..halfway.capacity_bytes).contains(&halfway.position_bytes), "{halfway:?}");
    converter.push(&stream[stream.len() / 2..]).unwrap();
    assert_eq!(converter.progress().position_bytes, halfway.capacity_bytes);
}

#[test]
fn after_a_corrupt_grain_the_file_serves_for_another_try() {
    let folder = TempDir::new().unwrap();
    let content = Content::mixed(300);
    let (raw, image) = (folder.path().join("raw"), folder.path().join("image"));
    fs::write(&raw, content.raw()).unwrap();
    let stream = content.vmdk();
    let mut corrupt = stream.clone();
    // The first grain's marker lies at the first whole grain; this is inside its checksum's reach.
    corrupt[65_536 + 12 + 1_000] ^= 0x10;
    for target in targets() {
        let mut converter = DiskConverter::new(create(&image), target, pool(2)).unwrap();
        let pushed = push_all(&mut converter, &corrupt, &[50_000]);
        let (error, file) = match pushed {
            Ok(()) => converter.finish().unwrap_err(),
            Err(error) => (error, converter.abort()),
        };
        assert!(
            matches!(&error, ConvertError::Stream(VmdkError::Grain { offset: 65_536, lba: 0, .. })),
            "{error:?}"
        );
        let mut again = DiskConverter::new(file, target, pool(2)).unwrap();
        push_all(&mut again, &stream, &[50_000]).unwrap();
        again.finish().unwrap();
        assert_is(&image, target, &raw);
    }
}

#[test]
fn a_truncated_stream_is_refused_and_leaves_no_qcow2_image() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image");
    let stream = Content::mixed(40).vmdk();
    let target = DiskTarget::Qcow2 { compress: None };
    let mut converter = DiskConverter::new(create(&image), target, pool(2)).unwrap();
    converter.push(&stream[..stream.len() - 512]).unwrap();
    let (error, _) = converter.finish().unwrap_err();
    assert!(matches!(error, ConvertError::Stream(VmdkError::Truncated { .. })), "{error:?}");
    assert_ne!(fs::read(&image).unwrap()[..4], *b"QFI\xfb");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_of_the_image() {
    let folder = TempDir::new().unwrap();
    let image = folder.path().join("image");
    create(&image);
    let writable = OpenOptions::new().write(true).open(&image).unwrap();
    // Too large a file for any file system here: the last grain lies beyond what it can hold.
    let capacity = (1 << 30) * MIB;
    let source = Source { capacity, grain_bytes: MIB, grains: Vec::new() };
    let mut converter = DiskConverter::new(writable, DiskTarget::Raw, pool(1)).unwrap();
    push_all(&mut converter, &source.vmdk(), &[1 << 20]).unwrap();
    assert!(matches!(converter.finish().unwrap_err().0, ConvertError::Image(_)));
}

fn sources() -> impl Strategy<Value = Source> {
    let fill = prop_oneof![Just(Fill::Noise), Just(Fill::Text), Just(Fill::Zeros), Just(Fill::Tail)];
    let grain_bytes = prop_oneof![4 => Just(65_536_u64), 1 => Just(8_192), 1 => Just(262_144)];
    let grains = proptest::collection::hash_map(0..4_000_u64, fill, 0..30);
    (1..260_000_u64, grain_bytes, grains).prop_map(|(sectors, grain_bytes, grains)| {
        let capacity = sectors * 512;
        let inside = |index: &u64| index * grain_bytes < capacity;
        let grains: Vec<_> = grains.into_iter().filter(|(index, _)| inside(index)).collect();
        Source::new(capacity, grain_bytes, &grains)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_sparse_disk_cut_anywhere_is_converted(
        source in sources(),
        pieces in proptest::collection::vec(1..100_000_usize, 1..8),
    ) {
        assert_converts(&source, &pieces);
    }
}
