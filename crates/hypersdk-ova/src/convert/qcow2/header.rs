use super::space::Refcounts;

const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: u32 = 3;
/// Refcounts of 16 bits, as QEMU makes them.
const REFCOUNT_ORDER: u32 = 4;
/// Including the compression type (0: deflate) and its padding.
const HEADER_BYTES: u32 = 112;

/// The header and the mark that no extension follows; fields are big-endian.
pub(super) fn encode(
    cluster_bytes: u64,
    capacity_bytes: u64,
    l1_offset: u64,
    l1_entries: u32,
    refcounts: &Refcounts,
) -> [u8; 120] {
    let mut raw = [0; 120];
    raw[..4].copy_from_slice(&MAGIC);
    for (at, value) in [
        (4, VERSION),
        (20, cluster_bytes.trailing_zeros()),
        (36, l1_entries),
        (56, refcounts.table_clusters),
        (96, REFCOUNT_ORDER),
        (100, HEADER_BYTES),
    ] {
        raw[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    for (at, value) in [(24, capacity_bytes), (40, l1_offset), (48, refcounts.table_offset)] {
        raw[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    raw
}
