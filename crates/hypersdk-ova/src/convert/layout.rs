use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::DiskTarget;
use super::batch::{Cluster, Prepared, cluster_bytes};
use super::qcow2::Qcow2Layout;
use crate::vmdk::DiskSummary;
use crate::writeback::begin_writeback;

/// Where in the image file each cluster goes.
#[derive(Debug)]
pub(super) enum Layout {
    Raw { cluster_bytes: u64 },
    Qcow2(Qcow2Layout),
}

impl Layout {
    pub(super) fn new(target: DiskTarget, grain_bytes: usize) -> Self {
        let cluster_bytes = cluster_bytes(grain_bytes) as u64;
        match target {
            DiskTarget::Raw => Self::Raw { cluster_bytes },
            DiskTarget::Qcow2 { .. } => Self::Qcow2(Qcow2Layout::new(cluster_bytes)),
        }
    }

    /// Gives every cluster of a batch its place.
    pub(super) fn place(&mut self, file: &File, prepared: Prepared) -> io::Result<Placed> {
        let mut offsets = Vec::with_capacity(prepared.clusters.len());
        for cluster in &prepared.clusters {
            offsets.push(match self {
                Self::Raw { cluster_bytes } => cluster.index * *cluster_bytes,
                Self::Qcow2(layout) => layout.place(file, cluster)?,
            });
        }
        Ok(Placed { prepared, offsets })
    }

    /// Ends the image, once every batch is written.
    pub(super) fn finish(self, file: &File, disk: &DiskSummary) -> io::Result<()> {
        match self {
            Self::Raw { .. } => file.set_len(disk.capacity_bytes),
            Self::Qcow2(layout) => layout.finish(file, disk.capacity_bytes),
        }
    }
}

/// Clusters with their places in the file.
#[derive(Debug)]
pub(super) struct Placed {
    prepared: Prepared,
    offsets: Vec<u64>,
}

impl Placed {
    /// Writes neighbours in the file with one call.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let Prepared { data, clusters } = &self.prepared;
        let end_of = |number: usize| self.offsets[number] + clusters[number].data.len() as u64;
        let mut first = 0;
        for next in 1..=clusters.len() {
            if next == clusters.len() || end_of(next - 1) != self.offsets[next] {
                let run: &[Cluster] = &clusters[first..next];
                let (start, end) = (self.offsets[first], end_of(next - 1));
                file.write_all_at(&data[run[0].data.start..run[run.len() - 1].data.end], start)?;
                begin_writeback(file, start..end);
                first = next;
            }
        }
        Ok(())
    }
}
