//! How each file of the corpus is made, and why it is refused.

use std::fs;
use std::path::{Path, PathBuf};

use async_compression::Level;
use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::tar::{EntryKind, TarHeader};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::disk::Content;
use crate::package::Machine;

mod disks;
mod texts;

/// A fuzz target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    TarHeader,
    OvaScanVerify,
    Descriptor,
    Manifest,
    VmdkInspector,
    VmdkReader,
}

impl Target {
    pub(crate) const ALL: [Self; 6] = [
        Self::TarHeader,
        Self::OvaScanVerify,
        Self::Descriptor,
        Self::Manifest,
        Self::VmdkInspector,
        Self::VmdkReader,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TarHeader => "tar_header",
            Self::OvaScanVerify => "ova_scan_verify",
            Self::Descriptor => "descriptor",
            Self::Manifest => "manifest",
            Self::VmdkInspector => "vmdk_inspector",
            Self::VmdkReader => "vmdk_reader",
        }
    }
}

/// One file of the corpus.
pub(crate) struct Recipe {
    pub(crate) target: Target,
    pub(crate) name: &'static str,
    pub(crate) content: Vec<u8>,
    /// Part of a fault that verification has to report of it.
    pub(crate) fault: Option<&'static str>,
}

pub(crate) fn recipes() -> Vec<Recipe> {
    let mut all = Vec::new();
    let mut add = |target, name, content, fault| all.push(Recipe { target, name, content, fault });
    headers(&mut add);
    archives(&mut add);
    wrapped(&mut add);
    texts::descriptors(&mut add);
    texts::manifests(&mut add);
    disks::disks(&mut add);
    all
}

/// A package around the content of a file of the corpus.
pub(crate) fn package(folder: &Path, target: Target, content: &[u8]) -> PathBuf {
    let path = folder.join("a.ova");
    match target {
        Target::TarHeader => fs::write(&path, [content, &[0; 1024]].concat()).unwrap(),
        Target::OvaScanVerify => fs::write(&path, content).unwrap(),
        Target::Descriptor => fs::write(&path, archive(&[member("a.ovf", content)])).unwrap(),
        Target::Manifest => {
            let members = [member("a.ovf", texts::ENVELOPE), member("a.mf", content)];
            fs::write(&path, archive(&members)).unwrap();
        }
        Target::VmdkInspector | Target::VmdkReader => {
            let descriptor = disks::descriptor(content.len());
            let members = [member("a.ovf", descriptor.as_bytes()), member("a.vmdk", content)];
            fs::write(&path, archive(&members)).unwrap();
        }
    }
    path
}

/// Takes a file's target, name, content and fault.
type Add<'a> = dyn FnMut(Target, &'static str, Vec<u8>, Option<&'static str>) + 'a;

type Member<'a> = (TarHeader, u8, &'a [u8]);

fn member<'a>(name: &str, data: &'a [u8]) -> Member<'a> {
    let (name, size) = (name.to_owned(), data.len() as u64);
    (TarHeader { name, size, mtime: 0, kind: EntryKind::File }, b'0', data)
}

/// A header of this type flag.
fn block(header: &TarHeader, flag: u8) -> [u8; 512] {
    let mut raw = header.encode();
    raw[156] = flag;
    fix(raw)
}

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let mut content = Vec::new();
    for (header, flag, data) in members {
        content.extend(block(header, *flag));
        content.extend(*data);
        content.resize(content.len().next_multiple_of(512), 0);
    }
    content.extend([0; 1024]);
    content
}

fn headers(add: &mut Add<'_>) {
    let mut add = |name, content: Vec<u8>, fault| add(Target::TarHeader, name, content, fault);
    let header = |name: &str, size| TarHeader { name: name.into(), size, mtime: 1, kind: EntryKind::File };
    add("valid-ustar", block(&header("a.ovf", 11), b'0').to_vec(), None);
    add("valid-base-256", block(&header("a.vmdk", 9 << 30), b'0').to_vec(), None);
    add("valid-zeros", vec![0; 1024], None);
    add("valid-pax", block(&header("PaxHeaders/a", 30), b'x').to_vec(), None);
    add("truncated", block(&header("a.ovf", 11), b'0')[..200].to_vec(), Some("not a tar header"));
    add("hostile-size", block(&header("a.ovf", (1 << 63) - 1), b'0').to_vec(), Some("reaches past the end"));
    let mut checksum = block(&header("a.ovf", 0), b'0');
    checksum[0] ^= 1;
    add("hostile-checksum", checksum.to_vec(), Some("its checksum is wrong"));
    let mut prefix = block(&header("passwd", 0), b'0');
    prefix[345..352].copy_from_slice(b"../../x");
    add("hostile-prefix", fix(prefix).to_vec(), Some("it is a path"));
}

fn fix(mut raw: [u8; 512]) -> [u8; 512] {
    raw[148..156].fill(b' ');
    let sum: u32 = raw.iter().map(|&byte| u32::from(byte)).sum();
    raw[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    raw
}

fn archives(add: &mut Add<'_>) {
    let mut add = |name, content: Vec<u8>, fault| add(Target::OvaScanVerify, name, content, fault);
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = small_machine().ova(folder.path(), DigestAlgorithm::Sha256);
    let valid = fs::read(path).unwrap();
    add("truncated.ova", valid[..valid.len() / 2].to_vec(), Some("reaches past the end"));
    add("truncated-end.ova", valid[..valid.len() - 512].to_vec(), Some("second block of zeros is missing"));
    add(
        "hostile-trailing-data.ova",
        [&valid[..valid.len() - 512], &[1; 512]].concat(),
        Some("data after the end"),
    );
    add("valid.ova", valid, None);

    let envelope = || member("a.ovf", texts::ENVELOPE);
    let second = |name: &str, flag| archive(&[envelope(), (member(name, b"x").0, flag, b"x")]);
    add("hostile-traversal.ova", second("../escaped", b'0'), Some("it is a path"));
    add("hostile-absolute.ova", second("/tmp/escaped", b'0'), Some("it is a path"));
    add("hostile-backslash.ova", second("..\\escaped", b'0'), Some("it is a path"));
    add("hostile-symlink.ova", second("a.vmdk", b'2'), Some("no file but Link"));
    add("hostile-hardlink.ova", second("a.vmdk", b'1'), Some("no file but Link"));
    add("hostile-directory.ova", second("a", b'5'), Some("no file but Directory"));
    add("hostile-device.ova", second("a", b'3'), Some("no file but Other"));
    add("hostile-sparse.ova", second("a", b'S'), Some("no file but Other"));
    let twice = archive(&[envelope(), member("x", b"1"), member("x", b"2")]);
    add("hostile-duplicate.ova", twice, Some("comes twice"));
    let first = archive(&[member("x", b"1"), envelope()]);
    add("hostile-descriptor-second.ova", first, Some("where the descriptor must be"));
    for (name, size) in [("hostile-size-past-end.ova", 1 << 20), ("hostile-size-absurd.ova", (1 << 63) - 1)] {
        let (mut header, flag, data) = member("a.vmdk", b"x");
        header.size = size;
        add(name, archive(&[envelope(), (header, flag, data)]), Some("reaches past the end"));
    }
    let (mut header, flag, _) = member("a.vmdk", b"");
    header.size = 10;
    add(
        "hostile-size-too-small.ova",
        archive(&[envelope(), (header, flag, &[7; 2000])]),
        Some("not a tar header"),
    );
    let long = vec![b'n'; 100_000];
    let extension = (member("././@LongLink", &long).0, b'L', &long[..]);
    add(
        "hostile-long-name.ova",
        archive(&[envelope(), extension, member("x", b"1")]),
        Some("long-name header of"),
    );
    let pax = b"19 path=../escaped\n";
    let extension = (member("PaxHeaders/x", &pax[..]).0, b'x', &pax[..]);
    let renamed = archive(&[envelope(), extension, member("x", b"1")]);
    add("hostile-pax-path.ova", renamed, Some("it is a path"));
    add("hostile-empty.ova", vec![0; 1024], Some("no descriptor"));
}

fn wrapped(add: &mut Add<'_>) {
    let mut add = |name, content: Vec<u8>, fault| add(Target::OvaScanVerify, name, content, fault);
    let valid = archive(&[member("a.ovf", texts::ENVELOPE)]);
    let (zipped, packed) = (gzip(&valid), zstd(&valid));
    add("truncated.ova.gz", zipped[..zipped.len() - 9].to_vec(), Some("unexpected end of file"));
    add("truncated.ova.zst", packed[..packed.len() - 5].to_vec(), Some("did not finish"));
    add("valid.ova.gz", zipped, None);
    add("valid.ova.zst", packed, None);
    let traversal = archive(&[member("a.ovf", texts::ENVELOPE), member("../escaped", b"x")]);
    add("hostile-traversal.ova.gz", gzip(&traversal), Some("it is a path"));
    let bomb = [&valid[..valid.len() - 1024], &vec![0; 65 << 20][..]].concat();
    add("hostile-bomb.ova.gz", gzip(&bomb), Some("a decompression bomb"));
    add("hostile-bomb.ova.zst", zstd(&bomb), Some("a decompression bomb"));
    let long = vec![b'n'; 32 << 20];
    let extension = (member("././@LongLink", &long).0, b'L', &long[..]);
    let names = archive(&[member("a.ovf", texts::ENVELOPE), extension, member("x", b"1")]);
    add("hostile-long-name.ova.zst", zstd(&names), Some("bytes of headers in front of one member"));
}

fn small_machine() -> Machine {
    let mut machine = Machine::new(1);
    let content = small_disk();
    machine.disk = disks::compact(content.vmdk());
    machine.nvram.truncate(100);
    machine.envelope.disks[0].size = machine.disk.len() as u64;
    machine.envelope.disks[0].capacity_bytes = content.capacity as u64;
    machine.envelope.files[0].size = 100;
    machine
}

/// Two grains of text with a hole between them.
fn small_disk() -> Content {
    let mut content = Content::mixed(4);
    content.grains = vec![(0, vec![b'a'; 65_536]), (2, vec![b'b'; 65_536])];
    content
}

fn sha256(data: &[u8]) -> String {
    Digest::of(DigestAlgorithm::Sha256, data).hex()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    pack(GzipEncoder::with_quality(Vec::new(), Level::Best), data).into_inner()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    pack(ZstdEncoder::new(Vec::new()), data).into_inner()
}

fn pack<W: AsyncWrite + Unpin>(mut encoder: W, data: &[u8]) -> W {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        encoder.write_all(data).await.unwrap();
        encoder.shutdown().await.unwrap();
    });
    encoder
}
