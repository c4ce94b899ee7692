//! One function for each target. What holds for every input is asserted here.

use std::io::{Cursor, Write};

use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::manifest::Manifest;
use hypersdk_ova::ovf::{OvfDescriptor, portable};
use hypersdk_ova::sign::Certificate;
use hypersdk_ova::tar::TarHeader;
use hypersdk_ova::verify::{Level, verify_blocking};
use hypersdk_ova::vmdk::{DiskReader, StreamInspector, inflate_stream};

/// A disk whose reading takes longer than this in grains says nothing more.
const MAX_GRAINS: u64 = 1 << 12;

/// Every block of a tar archive as a header.
pub fn tar_header(data: &[u8]) {
    for block in data.as_chunks::<512>().0 {
        if let Ok(Some(header)) = TarHeader::parse(block)
            && let Ok(ours) = TarHeader::file(&header.name, header.size, header.mtime)
        {
            let read = TarHeader::parse(&ours.encode()).ok().flatten();
            assert_eq!(read.map(|read| (read.name, read.size)), Some((header.name, header.size)));
        }
    }
}

/// A file as a package: plain, gzip, zstd.
pub fn ova_scan_verify(data: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(data).expect("written");
    let levels = [Level::Headers, Level::Structure, Level::Full];
    let reports = levels.map(|level| verify_blocking(file.path(), level).expect("it can be read"));
    let [headers, structure, full] = reports.map(|report| report.is_ok());
    assert!(headers || !structure, "what the headers show, the whole shows too");
    assert!(structure || !full, "what the structure shows, the grains show too");
}

/// A descriptor, and its portable form.
pub fn descriptor(data: &[u8]) {
    let Ok(read) = OvfDescriptor::parse(data) else { return };
    let text = std::str::from_utf8(data).expect("it was read");
    // It may be refused: without what is foreign in it there may be too little left.
    let Ok(result) = portable(text) else { return };
    let again = OvfDescriptor::parse(result.as_bytes()).expect("a portable descriptor is one");
    assert!(again.files.len() <= read.files.len());
    assert_eq!(portable(&result).expect("still portable"), result);
}

/// A manifest, and a certificate file.
pub fn manifest(data: &[u8]) {
    if let Ok(certificate) = Certificate::parse(data) {
        assert!(certificate.check("a.mf", b"not what was signed").is_err());
    }
    let Ok((manifest, _)) = Manifest::parse(data) else { return };
    let (again, warnings) = Manifest::parse(manifest.to_string().as_bytes()).expect("ours is one");
    assert_eq!(again, manifest);
    assert!(warnings.is_empty());
}

/// A disk as a stream: how it is cut in pieces must not matter.
pub fn vmdk_inspector(data: &[u8]) {
    let run = |piece: usize| {
        let mut inspector = StreamInspector::new();
        data.chunks(piece).try_for_each(|piece| inspector.push(piece))?;
        inspector.finish()
    };
    let whole = run(data.len().max(1)).map_err(|error| error.to_string());
    for piece in [1 << 10, 509] {
        assert_eq!(run(piece).map_err(|error| error.to_string()), whole);
    }
    let inflated = inflate_stream(data, |_, _| Ok(()));
    assert!(whole.is_ok() || inflated.is_err());
}

/// A disk read through its tables: what the stream shows, they show.
pub fn vmdk_reader(data: &[u8]) {
    let Ok(mut reader) = DiskReader::open(Cursor::new(data)) else { return };
    let grains = reader.capacity_bytes().div_ceil(reader.grain_bytes());
    for index in (0..grains.min(MAX_GRAINS)).chain([grains - 1, grains, u64::MAX / (1 << 20)]) {
        let _ = reader.read_grain(index);
    }
    let mut sector = [0; 512];
    let _ = reader.read_at(reader.capacity_bytes() - 1, &mut sector);
    let grain_bytes = reader.grain_bytes();
    let mut seen = Vec::new();
    let streamed = inflate_stream(data, |offset, raw| {
        if offset / grain_bytes < MAX_GRAINS {
            seen.push((offset, Digest::of(DigestAlgorithm::Sha1, raw)));
        }
        Ok(())
    });
    if streamed.is_ok() {
        for (offset, digest) in seen {
            let grain = reader.read_grain(offset / grain_bytes).expect("the tables lead to it");
            let read = grain.map(|raw| Digest::of(DigestAlgorithm::Sha1, raw));
            assert_eq!(read, Some(digest), "the grain at {offset}");
        }
    }
}
