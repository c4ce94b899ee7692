use std::ops::Range;

use super::qcow2::ClusterDeflater;
use super::{ConvertError, DiskTarget};
use crate::vmdk::{Grain, GrainDecoder, SECTOR_BYTES, VmdkError, is_zero};

/// How much of the disk one job works on.
const BATCH_BYTES: usize = 512 * 1024;
/// The largest cluster used: QEMU's default.
const MAX_CLUSTER_BYTES: usize = 65_536;

/// The unit in which an image is allocated: a grain is one cluster, or several whole ones.
pub(super) fn cluster_bytes(grain_bytes: usize) -> usize {
    grain_bytes.min(MAX_CLUSTER_BYTES)
}

/// Compressed grains, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    grain_bytes: usize,
    packed: Vec<u8>,
    grains: Vec<PackedGrain>,
}

#[derive(Debug)]
struct PackedGrain {
    lba: u64,
    offset: u64,
    disk_bytes: usize,
    packed: Range<usize>,
}

impl Batch {
    pub(super) fn add(&mut self, grain: &Grain<'_>) {
        self.grain_bytes = grain.grain_bytes;
        let start = self.packed.len();
        self.packed.extend_from_slice(grain.payload);
        self.grains.push(PackedGrain {
            lba: grain.lba,
            offset: grain.offset,
            disk_bytes: grain.disk_bytes,
            packed: start..self.packed.len(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.grains.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.grains.len() * self.grain_bytes >= BATCH_BYTES
    }

    pub(super) fn grain_bytes(&self) -> usize {
        self.grain_bytes
    }

    /// Inflates the grains and readies their clusters for the image; those of zeros fall away.
    pub(super) fn prepare(&self, codec: &mut Codec) -> Result<Prepared, ConvertError> {
        let cluster_bytes = cluster_bytes(self.grain_bytes);
        let mut prepared = Prepared {
            data: Vec::with_capacity(self.grains.len() * self.grain_bytes),
            clusters: Vec::with_capacity(self.grains.len()),
        };
        for grain in &self.grains {
            let first = grain.lba * SECTOR_BYTES / cluster_bytes as u64;
            let packed = &self.packed[grain.packed.clone()];
            let raw = codec.decoder.decode(packed, grain.disk_bytes).map_err(|reason| VmdkError::Grain {
                offset: grain.offset,
                lba: grain.lba,
                reason,
            })?;
            for (index, cluster) in (first..).zip(raw.chunks(cluster_bytes)) {
                if !is_zero(cluster) {
                    prepared.add(index, cluster, cluster_bytes, codec.deflater.as_mut());
                }
            }
        }
        Ok(prepared)
    }
}

/// What one thread needs to work on a batch.
#[derive(Debug)]
pub(super) struct Codec {
    decoder: GrainDecoder,
    deflater: Option<ClusterDeflater>,
}

impl Codec {
    pub(super) fn new(target: DiskTarget, grain_bytes: usize) -> Self {
        let deflater = match target {
            DiskTarget::Raw | DiskTarget::Qcow2 { compress: None } => None,
            DiskTarget::Qcow2 { compress: Some(level) } => {
                Some(ClusterDeflater::new(level, cluster_bytes(grain_bytes)))
            }
        };
        Self { decoder: GrainDecoder::new(grain_bytes), deflater }
    }
}

/// Clusters ready to be placed and written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) data: Vec<u8>,
    pub(super) clusters: Vec<Cluster>,
}

/// One cluster of the disk that is not all zeros.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Its number on the disk.
    pub(super) index: u64,
    /// Where its bytes are in the batch's data.
    pub(super) data: Range<usize>,
    /// Whether these bytes are deflated.
    pub(super) deflated: bool,
}

impl Prepared {
    /// A cluster cut short by the end of the disk is filled up with zeros.
    fn add(&mut self, index: u64, raw: &[u8], cluster_bytes: usize, deflater: Option<&mut ClusterDeflater>) {
        let start = self.data.len();
        self.data.extend_from_slice(raw);
        self.data.resize(start + cluster_bytes, 0);
        let packed = deflater.and_then(|deflater| deflater.deflate(&self.data[start..]));
        if let Some(packed) = packed {
            self.data.truncate(start);
            self.data.extend_from_slice(packed);
        }
        self.clusters.push(Cluster { index, data: start..self.data.len(), deflated: packed.is_some() });
    }
}
