//! Small packages to verify and to damage.

use std::fs;
use std::path::{Path, PathBuf};

use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::ova::{OvaOptions, OvaWriter};
use hypersdk_ova::ovf::{Envelope, EnvelopeDisk, EnvelopeFile};
use hypersdk_ova::package::{PackageSummary, PackagedFile, finish_directory};

use crate::disk::Content;

/// A machine of one disk and its firmware variables.
pub(crate) struct Machine {
    pub(crate) disk: Vec<u8>,
    pub(crate) nvram: Vec<u8>,
    pub(crate) envelope: Envelope,
}

impl Machine {
    pub(crate) fn new(grains: u64) -> Self {
        let content = Content::mixed(grains);
        let (disk, nvram) = (content.vmdk(), vec![0xa5; 8684]);
        let envelope = Envelope {
            name: "web01".into(),
            cpus: 2,
            memory_mib: 2048,
            disks: vec![EnvelopeDisk {
                href: "web01-disk1.vmdk".into(),
                size: disk.len() as u64,
                capacity_bytes: content.capacity as u64,
                populated_bytes: 1 << 20,
            }],
            files: vec![EnvelopeFile { href: "web01.nvram".into(), size: nvram.len() as u64 }],
        };
        Self { disk, nvram, envelope }
    }

    pub(crate) fn ova(&self, folder: &Path, algorithm: DigestAlgorithm) -> (PathBuf, PackageSummary) {
        let path = folder.join("web01.ova");
        let writer = self.begin_ova(&path, algorithm);
        (path, writer.finish(&self.envelope.to_xml()).unwrap())
    }

    /// An archive that lacks its end only.
    pub(crate) fn begin_ova(&self, path: &Path, algorithm: DigestAlgorithm) -> OvaWriter {
        let options = OvaOptions { algorithm, descriptor_slot_bytes: 4096, ..OvaOptions::new("web01") };
        let mut writer = OvaWriter::create(path, options).unwrap();
        for (name, content) in [("web01-disk1.vmdk", &self.disk), ("web01.nvram", &self.nvram)] {
            writer.begin_member(name).unwrap();
            writer.write(content).unwrap();
            writer.end_member(Digest::of(algorithm, content)).unwrap();
        }
        writer
    }

    pub(crate) fn directory(&self, folder: &Path, algorithm: DigestAlgorithm) -> PackageSummary {
        let files =
            [("web01-disk1.vmdk", &self.disk), ("web01.nvram", &self.nvram)].map(|(name, content)| {
                fs::write(folder.join(name), content).unwrap();
                let digest = Digest::of(algorithm, content);
                PackagedFile { name: name.into(), size: content.len() as u64, digest }
            });
        finish_directory(folder, "web01", &self.envelope.to_xml(), files.into(), algorithm).unwrap()
    }
}
