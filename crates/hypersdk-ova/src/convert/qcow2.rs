//! The qcow2 image format, version 3, as far as writing a new image front to back needs it.
//!
//! Clusters lie in the order they are placed, with mapping and refcount tables between them as
//! these fill up; L1 table, last refcount blocks and refcount table follow, and the header is
//! written last. Memory does not grow with the disk but for 8 bytes an L2 table (per 512 MiB).
//!
//! Reference: QEMU, `docs/interop/qcow2.rst`. (The crate imago writes no compressed clusters, and
//! keeps general read-write images at random places, which takes a multiple of this code.)

mod deflate;
mod header;
mod mapping;
mod space;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

pub(super) use deflate::ClusterDeflater;
use mapping::Mapping;
use space::Space;

use super::batch::Cluster;

/// Where clusters are, and which of the file's clusters are in use.
#[derive(Debug)]
pub(super) struct Qcow2Layout {
    cluster_bytes: u64,
    mapping: Mapping,
    space: Space,
}

impl Qcow2Layout {
    /// `cluster_bytes` is a power of two from 4 KiB on.
    pub(super) fn new(cluster_bytes: u64) -> Self {
        Self { cluster_bytes, mapping: Mapping::new(cluster_bytes), space: Space::new(cluster_bytes) }
    }

    pub(super) fn place(&mut self, file: &File, cluster: &Cluster) -> io::Result<u64> {
        let Self { mapping, space, .. } = self;
        let length = cluster.data.len() as u64;
        let slot = mapping.slot(file, space, cluster.index)?;
        if cluster.deflated {
            let offset = space.piece(file, length)?;
            *slot = mapping::compressed_entry(self.cluster_bytes, offset, length);
            Ok(offset)
        } else {
            let offset = space.cluster(file)?;
            *slot = mapping::IN_USE_ONCE | offset;
            Ok(offset)
        }
    }

    pub(super) fn finish(self, file: &File, capacity_bytes: u64) -> io::Result<()> {
        let Self { cluster_bytes, mapping, mut space } = self;
        let (l1_offset, l1_entries) = mapping.finish(file, &mut space, capacity_bytes)?;
        let refcounts = space.finish(file)?;
        file.set_len(refcounts.file_bytes)?;
        let header = header::encode(cluster_bytes, capacity_bytes, l1_offset, l1_entries, &refcounts);
        file.write_all_at(&header, 0)
    }
}

fn big_endian(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}
