//! Disks to test with.

use hypersdk_ova::vmdk::{DiskOptions, GRAIN_BYTES, StreamWriter};

/// A disk's content: grains by index, the rest zeros.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) capacity: usize,
    pub(crate) grains: Vec<(u64, Vec<u8>)>,
}

impl Content {
    /// Every third grain populated, in turn with noise and with text, and the last grain cut off.
    pub(crate) fn mixed(grains: u64) -> Self {
        let capacity = grains as usize * GRAIN_BYTES - 512 * 3;
        let populated = (0..grains).filter(|index| index % 3 == 0 || *index == grains - 1);
        let grains = populated.map(|index| (index, grain(index))).collect();
        let mut content = Self { capacity, grains };
        content.cut();
        content
    }

    pub(crate) fn cut(&mut self) {
        for (index, raw) in &mut self.grains {
            let start = *index as usize * GRAIN_BYTES;
            raw.truncate(self.capacity.saturating_sub(start));
        }
    }

    /// The raw disk.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let mut raw = vec![0; self.capacity];
        for (index, grain) in &self.grains {
            let start = *index as usize * GRAIN_BYTES;
            raw[start..start + grain.len()].copy_from_slice(grain);
        }
        raw
    }

    /// The streamOptimized disk as this crate writes it.
    pub(crate) fn vmdk(&self) -> Vec<u8> {
        let mut writer = StreamWriter::new(Vec::new(), &DiskOptions::new(self.capacity as u64)).unwrap();
        for (index, grain) in &self.grains {
            writer.write_raw(*index, grain).unwrap();
        }
        let (stream, length) = writer.finish().unwrap();
        assert_eq!(stream.len() as u64, length);
        stream
    }
}

fn grain(index: u64) -> Vec<u8> {
    if index % 2 == 1 {
        return format!("grain {index} of text. ").bytes().cycle().take(GRAIN_BYTES).collect();
    }
    let mut state = index + 1;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    noise.take(GRAIN_BYTES).collect()
}
