use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;

use super::attachment::Attachment;
use super::esxi::EsxiStream;
use super::grains::Grains;
use super::header::Header;
use super::qemu::QemuStream;
use super::{GRAIN, PIECE, SECTOR, raw};

/// Which of the two streamOptimized layouts met in the wild a synthesised disk has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// An ESXi host's: grain directory at the end, markers, footer, end of stream.
    #[default]
    Esxi,
    /// qemu-img's: both grain directories up front, neither footer nor end of stream.
    Qemu,
}

/// A disk made up from a seed: the same seed gives the same bytes, at any size,
/// without being stored anywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthDisk {
    /// Decides contents and which parts are allocated.
    pub seed: u64,
    /// Capacity asked for, in bytes; [`capacity`](Self::capacity) rounds it up.
    pub bytes: u64,
    /// Share of the capacity that is allocated, from 0 to 1, in runs of 1 MiB.
    pub fill: f64,
    /// Share of each allocated grain that deflates to nearly nothing, from 0 to 1.
    pub compressibility: f64,
    /// Arrangement of the stream.
    pub layout: Layout,
}

impl SynthDisk {
    /// A disk of `bytes` capacity, half allocated, half compressible, in ESXi's layout.
    pub fn new(seed: u64, bytes: u64) -> Self {
        Self { seed, bytes, fill: 0.5, compressibility: 0.5, layout: Layout::Esxi }
    }

    /// Capacity in bytes: what was asked for, rounded up to whole grains of 64 KiB.
    pub fn capacity(&self) -> u64 {
        self.bytes.max(1).next_multiple_of(GRAIN as u64)
    }
}

/// Where a disk's bytes come from.
#[derive(Clone, Debug, PartialEq)]
pub enum DiskSource {
    /// A streamOptimized VMDK, sent as it is.
    File(PathBuf),
    /// Made up while it is sent.
    Synth(SynthDisk),
}

/// One disk of a virtual machine.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskSpec {
    /// Where its bytes come from.
    pub source: DiskSource,
    /// How it is attached.
    pub attachment: Attachment,
}

impl DiskSpec {
    /// A synthesised disk with the defaults of [`SynthDisk::new`]; `capacity` in bytes.
    pub fn synth(seed: u64, capacity: u64) -> Self {
        Self::of(DiskSource::Synth(SynthDisk::new(seed, capacity)))
    }

    /// A disk sent from a streamOptimized VMDK file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(DiskSource::File(path.into()))
    }

    fn of(source: DiskSource) -> Self {
        Self { source, attachment: Attachment::default() }
    }

    /// Sets how it is attached.
    #[must_use]
    pub fn attached(mut self, attachment: Attachment) -> Self {
        self.attachment = attachment;
        self
    }

    /// Sets the share of the capacity that is allocated; no effect on a file.
    #[must_use]
    pub fn fill(self, fill: f64) -> Self {
        self.change(|synth| synth.fill = fill)
    }

    /// Sets the share of each grain that deflates well; no effect on a file.
    #[must_use]
    pub fn compressibility(self, compressibility: f64) -> Self {
        self.change(|synth| synth.compressibility = compressibility)
    }

    /// Sets the stream's layout; no effect on a file.
    #[must_use]
    pub fn layout(self, layout: Layout) -> Self {
        self.change(|synth| synth.layout = layout)
    }

    fn change(mut self, set: impl FnOnce(&mut SynthDisk)) -> Self {
        if let DiskSource::Synth(synth) = &mut self.source {
            set(synth);
        }
        self
    }

    /// Capacity in bytes.
    ///
    /// # Errors
    /// When the source file cannot be read or is not a streamOptimized VMDK.
    pub fn capacity(&self) -> io::Result<u64> {
        match &self.source {
            DiskSource::Synth(synth) => Ok(synth.capacity()),
            DiskSource::File(path) => Ok(file_header(path)?.capacity_sectors * SECTOR),
        }
    }

    /// Writes the guest's view of the disk to `path` as a sparse raw file, for
    /// `qemu-img compare` with whatever an export made of it.
    ///
    /// # Errors
    /// When `path` cannot be written, or the source file cannot be read.
    pub fn write_raw(&self, path: &Path) -> io::Result<()> {
        match &self.source {
            DiskSource::Synth(synth) => raw::write_synth(synth, path),
            DiskSource::File(source) => raw::write_file(source, path),
        }
    }

    /// Bytes of the allocated grains before compression, as a host estimates them.
    pub(crate) fn populated(&self) -> io::Result<u64> {
        match &self.source {
            DiskSource::Synth(synth) => {
                let grains = Grains::new(synth);
                let allocated = (0..grains.count()).filter(|grain| grains.is_allocated(*grain)).count();
                Ok(allocated as u64 * GRAIN as u64)
            }
            DiskSource::File(path) => Ok(std::fs::metadata(path)?.len()),
        }
    }
}

fn file_header(path: &Path) -> io::Result<Header> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut sector = [0; SECTOR as usize];
    File::open(path).and_then(|mut file| file.read_exact(&mut sector)).map_err(named)?;
    Header::parse(&sector).map_err(named)
}

/// The bytes of a disk (or another file of a virtual machine) in pieces.
#[derive(Debug)]
pub(crate) enum DiskReader {
    Esxi(Box<EsxiStream>),
    Qemu(Box<QemuStream>),
    File(tokio::fs::File),
    Bytes(Bytes),
}

impl DiskReader {
    pub(crate) async fn open(disk: &DiskSpec) -> io::Result<Self> {
        match &disk.source {
            DiskSource::File(path) => tokio::fs::File::open(path).await.map(Self::File),
            DiskSource::Synth(synth) => {
                let sectors = synth.capacity() / SECTOR;
                let content_id = synth.seed as u32 | 1;
                let grains = Grains::new(synth);
                Ok(match synth.layout {
                    Layout::Esxi => Self::Esxi(Box::new(EsxiStream::new(grains, sectors, content_id))),
                    Layout::Qemu => Self::Qemu(Box::new(QemuStream::new(grains, sectors, content_id))),
                })
            }
        }
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Esxi(stream) => Ok(stream.next()),
            Self::Qemu(stream) => Ok(stream.next()),
            Self::Bytes(bytes) => Ok((!bytes.is_empty()).then(|| std::mem::take(bytes))),
            Self::File(file) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                while piece.len() < PIECE && file.read_buf(&mut piece).await? > 0 {}
                Ok((!piece.is_empty()).then(|| piece.freeze()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    async fn stored(disk: &DiskSpec, path: &Path) -> u64 {
        let mut reader = DiskReader::open(disk).await.unwrap();
        let mut file = File::create(path).unwrap();
        let mut total = 0;
        while let Some(piece) = reader.next().await.unwrap() {
            total += piece.len() as u64;
            file.write_all(&piece).unwrap();
        }
        total
    }

    #[tokio::test]
    async fn a_stream_kept_as_a_file_is_the_same_disk_in_either_layout() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for layout in [Layout::Esxi, Layout::Qemu] {
            let disk = DiskSpec::synth(9, (40 << 20) + 5).layout(layout);
            let len = stored(&disk, &path("disk.vmdk")).await;
            assert_eq!(len % SECTOR, 0);
            let kept = DiskSpec::file(path("disk.vmdk"));
            assert_eq!(kept.capacity().unwrap(), disk.capacity().unwrap());
            disk.write_raw(&path("a.raw")).unwrap();
            kept.write_raw(&path("b.raw")).unwrap();
            let (a, b) = (std::fs::read(path("a.raw")).unwrap(), std::fs::read(path("b.raw")).unwrap());
            assert!(a == b, "{layout:?}");
            assert_eq!(stored(&kept, &path("again.vmdk")).await, len);
        }
    }

    #[tokio::test]
    async fn an_empty_disk_and_a_full_one_have_streams_too() {
        let folder = tempfile::tempdir().unwrap();
        for (fill, layout) in [(0.0, Layout::Esxi), (0.0, Layout::Qemu), (1.0, Layout::Esxi)] {
            let disk = DiskSpec::synth(1, 2 << 20).fill(fill).layout(layout);
            let path = folder.path().join("disk.vmdk");
            stored(&disk, &path).await;
            let raw = folder.path().join("disk.raw");
            DiskSpec::file(&path).write_raw(&raw).unwrap();
            let bytes = std::fs::read(&raw).unwrap();
            assert_eq!(bytes.len(), 2 << 20);
            assert_eq!(bytes.iter().any(|byte| *byte != 0), fill > 0.0);
        }
    }

    #[test]
    fn a_file_that_is_no_stream_optimized_disk_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain.img");
        std::fs::write(&path, vec![0; 4096]).unwrap();
        let error = DiskSpec::file(&path).capacity().unwrap_err().to_string();
        assert!(error.contains("plain.img") && error.contains("KDMV"), "{error}");
    }
}
