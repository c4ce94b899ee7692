//! streamOptimized VMDK.

use hypersdk_ova::ovf::{Envelope, EnvelopeDisk};

use super::{Add, Target, small_disk};

pub(super) fn descriptor(size: usize) -> String {
    let capacity_bytes = small_disk().capacity as u64;
    let disk = EnvelopeDisk { href: "a.vmdk".into(), size: size as u64, capacity_bytes, populated_bytes: 0 };
    Envelope { name: "a".into(), cpus: 1, memory_mib: 1, disks: vec![disk], files: vec![] }.to_xml()
}

/// The same for both targets: what one reads front to back, the other reads through its tables.
pub(super) fn disks(add: &mut Add<'_>) {
    for target in [Target::VmdkInspector, Target::VmdkReader] {
        let mut add = |name, content: Vec<u8>, fault| add(target, name, content, fault);
        let valid = compact(small_disk().vmdk());
        let places = Places::of(&valid);
        add("valid.vmdk", valid.clone(), None);
        add("truncated.vmdk", valid[..places.grain + 100].to_vec(), Some("missing"));
        add("truncated-footer.vmdk", valid[..valid.len() - 1024].to_vec(), Some("missing"));
        let mut patched = |name, at: usize, bytes: &[u8], fault| {
            let mut disk = valid.clone();
            disk[at..at + bytes.len()].copy_from_slice(bytes);
            add(name, disk, Some(fault));
        };
        patched("hostile-grain-outside.vmdk", places.grain, &(1_u64 << 40).to_le_bytes(), "the disk has");
        patched("hostile-grain-last.vmdk", places.grain, &u64::MAX.to_le_bytes(), "the disk has");
        patched("hostile-grain-odd.vmdk", places.grain, &1_u64.to_le_bytes(), "multiples of");
        patched(
            "hostile-grain-size.vmdk",
            places.grain + 8,
            &u32::MAX.to_le_bytes(),
            "than a grain can take",
        );
        patched("hostile-grain-twice.vmdk", places.second, &0_u64.to_le_bytes(), "came before");
        patched("hostile-grain-noise.vmdk", places.grain + 12, &[0xff; 40], "grain");
        patched("hostile-directory-loop.vmdk", places.directory, &sector(places.directory), "its table at");
        patched("hostile-directory-outside.vmdk", places.directory, &u32::MAX.to_le_bytes(), "its table at");
        patched("hostile-table-loop.vmdk", places.table, &sector(places.table), "its table at");
        patched("hostile-table-outside.vmdk", places.table, &u32::MAX.to_le_bytes(), "its table at");
        patched("hostile-table-header.vmdk", places.table, &0_u32.to_le_bytes(), "its table at");
        patched("hostile-capacity.vmdk", 12, &(u64::MAX >> 1).to_le_bytes(), "more than 2^30 grains");
        patched(
            "hostile-capacity-large.vmdk",
            12,
            &(1_u64 << 37).to_le_bytes(),
            "grain directory marker of 1 sectors",
        );
        patched("hostile-overhead.vmdk", 64, &u64::MAX.to_le_bytes(), "overHead");
        patched("hostile-descriptor.vmdk", 28, &u64::MAX.to_le_bytes(), "descriptor");
        patched("hostile-grain-zero.vmdk", 20, &0_u64.to_le_bytes(), "grainSize");
        patched(
            "hostile-footer-directory.vmdk",
            places.footer + 56,
            &(u64::MAX >> 33).to_le_bytes(),
            "there is none",
        );
        patched("hostile-parent.vmdk", find(&valid, b"parentCID=ffffffff") + 10, b"12345678", "parent");
        patched("hostile-marker.vmdk", places.end + 12, &9_u32.to_le_bytes(), "not known");
        add("hostile-bomb.vmdk", bomb(&valid, &places), Some("grain"));
        add("hostile-appended.vmdk", [&valid[..], &[1; 512]].concat(), Some("byte"));
    }
}

/// Without the padding in front of the grains, which would be nine tenths of a small disk.
pub(super) fn compact(mut disk: Vec<u8>) -> Vec<u8> {
    let places = Places::of(&disk);
    let word = |at: usize| u32::from_le_bytes(disk[at..at + 4].try_into().unwrap());
    let (start, end) = (word(28) + word(36), word(64));
    let moved = (0..512).map(|index| places.table + index * 4).filter(|&at| word(at) > 0);
    let moved: Vec<usize> =
        moved.chain([places.directory, places.footer + 56, places.footer + 64, 64]).collect();
    for at in moved {
        let value = u32::from_le_bytes(disk[at..at + 4].try_into().unwrap()) - (end - start);
        disk[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    disk.drain(start as usize * 512..end as usize * 512);
    disk
}

fn sector(offset: usize) -> [u8; 4] {
    u32::try_from(offset / 512).unwrap().to_le_bytes()
}

fn find(disk: &[u8], text: &[u8]) -> usize {
    disk.windows(text.len()).position(|window| window == text).unwrap()
}

/// A grain that inflates to far more than a grain.
fn bomb(valid: &[u8], places: &Places) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    let zeros = vec![0; 100_000];
    let mut packed = vec![0; 1000];
    let length = compressor.zlib_compress(&zeros, &mut packed).unwrap();
    let mut disk = valid.to_vec();
    let room = places.second - places.grain - 12;
    assert!(length <= room);
    disk[places.grain + 8..places.grain + 12].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
    disk[places.grain + 12..places.grain + 12 + length].copy_from_slice(&packed[..length]);
    disk
}

/// Where the parts of a disk of two grains are, in bytes.
struct Places {
    grain: usize,
    second: usize,
    table: usize,
    directory: usize,
    footer: usize,
    end: usize,
}

impl Places {
    fn of(disk: &[u8]) -> Self {
        let word = |at: usize| u32::from_le_bytes(disk[at..at + 4].try_into().unwrap()) as usize;
        let footer = disk.len() - 1024;
        let directory = word(footer + 56) * 512;
        let table = word(directory) * 512;
        let (grain, second) = (word(table) * 512, word(table + 8) * 512);
        Self { grain, second, table, directory, footer, end: disk.len() - 512 }
    }
}
