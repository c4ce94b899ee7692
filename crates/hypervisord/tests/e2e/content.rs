//! Ordinary content, as it lies on real disks.
#![expect(clippy::print_stderr, reason = "a test says what it found")]

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use hypersdk_export::Receipt;
use hypersdk_ova::vmdk::{DiskOptions, GRAIN_BYTES, StreamWriter, is_zero};
use hypersdk_tests::command;
use hypersdk_vsim::{DiskSpec, VmSpec, Vsim};
use serde_json::json;

use crate::world::World;

const MIB: u64 = 1 << 20;
/// What is taken of each kind of content: programs, libraries, texts.
const SHARE: u64 = 8 * MIB;

/// Copies files of a directory, in order of their names, up to [`SHARE`] bytes.
fn copy(from: &Path, to: &Path) -> u64 {
    fs::create_dir_all(to).unwrap();
    let mut left = SHARE;
    let mut entries: Vec<PathBuf> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_file() && kind.len() <= left && fs::copy(&path, to.join(path.file_name().unwrap())).is_ok()
        {
            left -= kind.len();
        }
    }
    SHARE - left
}

/// An ext4 file system of ordinary content.
fn file_system(directory: &Path) -> PathBuf {
    let tree = directory.join("tree");
    let taken: u64 = ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/share/perl5", "/usr/include"]
        .iter()
        .filter(|from| Path::new(from).is_dir())
        .map(|from| copy(Path::new(from), &tree.join(&from[1..])))
        .sum();
    assert!(taken > SHARE, "only {taken} bytes of content");
    let raw = directory.join("content.raw");
    File::create(&raw).unwrap().set_len(48 * MIB).unwrap();
    let (tree, path) = (tree.to_str().unwrap(), raw.to_str().unwrap());
    command("/usr/sbin/mke2fs", &["-q", "-F", "-t", "ext4", "-d", tree, path], directory);
    raw
}

/// A disk of that whose grains are stored, not deflated, without its holes: as a flat disk would be sent.
fn stored_disk(raw: &Path, path: &Path) {
    let capacity = fs::metadata(raw).unwrap().len();
    let output = BufWriter::new(File::create(path).unwrap());
    let mut writer = StreamWriter::new(output, &DiskOptions::new(capacity)).unwrap();
    let (mut input, mut grain) = (File::open(raw).unwrap(), vec![0; GRAIN_BYTES]);
    for index in 0..capacity / GRAIN_BYTES as u64 {
        input.read_exact(&mut grain).unwrap();
        if !is_zero(&grain) {
            writer.write_compressed(index, &stored(&grain)).unwrap();
        }
    }
    writer.finish().unwrap().0.flush().unwrap();
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951, section 3.2.4).
fn stored(grain: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = grain.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend([length, !length].iter().flat_map(|number| number.to_le_bytes()));
        out.extend_from_slice(block);
    }
    let (a, b) = grain.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    out.extend_from_slice(&(b << 16 | a).to_be_bytes());
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_content_gets_smaller_by_thirty_percent_or_more_and_stays_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, disk) = (file_system(directory.path()), directory.path().join("content.vmdk"));
    stored_disk(&raw, &disk);
    let simulator = Vsim::builder().vm(VmSpec::new("content").disk(DiskSpec::file(&disk)));
    let world = World::over(simulator, |config| config).await;
    let mut job = world.job("/DC0/vm/content");
    job["compress"] = json!(true);
    job["verify"] = json!("full");
    let job = world.complete(&job).await;

    let file = &job["result"]["files"][0];
    let (size, source) = (file["size"].as_u64().unwrap(), file["source_size"].as_u64().unwrap());
    assert_eq!(source, fs::metadata(&disk).unwrap().len());
    let smaller = 100.0 - size as f64 / source as f64 * 100.0;
    eprintln!("{source} bytes of stored grains became {size}: {smaller:.1} % smaller");
    assert!(smaller >= 30.0, "only {smaller:.1} % smaller: {file}");
    let receipt = Receipt::read(&world.out().join("content.receipt.json")).unwrap();
    assert_eq!((receipt.outcome.files[0].size, receipt.outcome.files[0].source_size), (size, source));

    let opened = world.path("opened");
    fs::create_dir(&opened).unwrap();
    command("tar", &["-xf", job["result"]["ovf_path"].as_str().unwrap()], &opened);
    let disk = file["name"].as_str().unwrap();
    command("qemu-img", &["check", disk], &opened);
    command("qemu-img", &["compare", "-f", "vmdk", "-F", "raw", disk, raw.to_str().unwrap()], &opened);
    command("qemu-img", &["convert", "-O", "raw", disk, "again.raw"], &opened);
    command("/usr/sbin/e2fsck", &["-fn", "again.raw"], &opened);
    world.stop_clean().await;
}
