//! Streams that no usual tool writes: any grain size, grains in any order.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hypersdk_ova::vmdk::{CompressionLevel, GrainEncoder, SECTOR_BYTES};

const TABLE_ENTRIES: usize = 512;
const FRONT_SECTORS: usize = 128;

/// A disk whose grains come in the order they are listed.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) capacity: u64,
    pub(crate) grain_bytes: u64,
    pub(crate) grains: Vec<(u64, Vec<u8>)>,
}

impl Source {
    /// `fill(index)` seeds the grain at each of these indices.
    pub(crate) fn new(capacity: u64, grain_bytes: u64, grains: &[(u64, Fill)]) -> Self {
        let grains = grains.iter().map(|&(index, fill)| {
            let length = (capacity - index * grain_bytes).min(grain_bytes);
            (index, fill.bytes(index, length as usize))
        });
        Self { capacity, grain_bytes, grains: grains.collect() }
    }

    /// The disk as a sparse raw file.
    pub(crate) fn write_raw(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(self.capacity).unwrap();
        for (index, raw) in &self.grains {
            file.write_all_at(raw, index * self.grain_bytes).unwrap();
        }
    }

    /// The stream, with its directory at the end.
    pub(crate) fn vmdk(&self) -> Vec<u8> {
        let grain_sectors = self.grain_bytes / SECTOR_BYTES;
        let sectors = self.capacity / SECTOR_BYTES;
        let tables = sectors.div_ceil(grain_sectors).div_ceil(TABLE_ENTRIES as u64) as usize;
        let mut entries = vec![0_u32; tables * TABLE_ENTRIES];
        let mut stream = self.header(u64::MAX);
        let text = format!(
            "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
             createType=\"streamOptimized\"\n\nRW {sectors} SPARSE \"disk.vmdk\"\n"
        );
        stream.extend_from_slice(text.as_bytes());
        stream.resize(FRONT_SECTORS * 512, 0);
        let mut encoder = GrainEncoder::new(CompressionLevel::default());
        for (index, raw) in &self.grains {
            entries[*index as usize] = sector(&stream);
            let mut whole = raw.clone();
            whole.resize(self.grain_bytes as usize, 0);
            let packed = encoder.encode(&whole);
            stream.extend_from_slice(&(index * grain_sectors).to_le_bytes());
            stream.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            stream.extend_from_slice(packed);
            pad(&mut stream);
        }
        let mut directory = Vec::new();
        for table in entries.chunks(TABLE_ENTRIES) {
            let used = table.iter().any(|&entry| entry != 0);
            directory.push(if used { sector(&stream) + 1 } else { 0 });
            if used {
                metadata(&mut stream, 1, table);
            }
        }
        let directory_at = u64::from(sector(&stream)) + 1;
        metadata(&mut stream, 2, &directory);
        marker(&mut stream, 3, 1);
        let footer = self.header(directory_at);
        stream.extend_from_slice(&footer);
        marker(&mut stream, 0, 0);
        stream
    }

    fn header(&self, directory_at: u64) -> Vec<u8> {
        let mut raw = vec![0; 512];
        raw[..4].copy_from_slice(b"KDMV");
        for (at, value) in [(4, 3_u32), (8, 0x3_0001), (44, TABLE_ENTRIES as u32)] {
            raw[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in [
            (12, self.capacity / SECTOR_BYTES),
            (20, self.grain_bytes / SECTOR_BYTES),
            (28, 1),
            (36, 20),
            (56, directory_at),
            (64, FRONT_SECTORS as u64),
        ] {
            raw[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        raw[73..79].copy_from_slice(b"\n \r\n\x01\x00");
        raw
    }
}

/// What a grain holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fill {
    Noise,
    Text,
    Zeros,
    /// Text in its last sector alone.
    Tail,
}

impl Fill {
    fn bytes(self, index: u64, length: usize) -> Vec<u8> {
        let text = || format!("grain {index} holds text. ").into_bytes().into_iter().cycle();
        match self {
            Self::Zeros => vec![0; length],
            Self::Text => text().take(length).collect(),
            Self::Tail => std::iter::repeat_n(0, length - 512).chain(text().take(512)).collect(),
            Self::Noise => {
                let mut state = index + 1;
                let noise = std::iter::repeat_with(|| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                });
                noise.take(length).collect()
            }
        }
    }
}

fn sector(stream: &[u8]) -> u32 {
    (stream.len() / 512) as u32
}

fn pad(stream: &mut Vec<u8>) {
    stream.resize(stream.len().next_multiple_of(512), 0);
}

fn marker(stream: &mut Vec<u8>, kind: u32, sectors: u64) {
    stream.extend_from_slice(&sectors.to_le_bytes());
    stream.extend_from_slice(&[0; 4]);
    stream.extend_from_slice(&kind.to_le_bytes());
    pad(stream);
}

fn metadata(stream: &mut Vec<u8>, kind: u32, entries: &[u32]) {
    marker(stream, kind, (entries.len() as u64 * 4).div_ceil(512));
    stream.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    pad(stream);
}
