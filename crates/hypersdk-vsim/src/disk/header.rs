//! The first sectors of a sparse VMDK: header and text descriptor
//! (VMware Virtual Disk Format 5.0, sections "Hosted Sparse Extent Header" and
//! "The Descriptor File").

use std::fmt::Write as _;
use std::io;

use bytes::{BufMut, BytesMut};

use super::{GRAIN_SECTORS, GTES_PER_GT, SECTOR};

const MAGIC: &[u8; 4] = b"KDMV";
/// "See the footer": the directory's place is not known yet.
pub(super) const GD_AT_END: u64 = u64::MAX;
pub(super) const DESCRIPTOR_SECTOR: u64 = 1;
pub(super) const DESCRIPTOR_SECTORS: u64 = 20;

/// What differs between the headers of the two layouts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) flags: u32,
    pub(super) capacity_sectors: u64,
    pub(super) rgd_offset: u64,
    pub(super) gd_offset: u64,
    pub(super) overhead: u64,
}

impl Header {
    pub(super) fn append(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(MAGIC);
        out.put_u32_le(3);
        out.put_u32_le(self.flags);
        out.put_u64_le(self.capacity_sectors);
        out.put_u64_le(GRAIN_SECTORS);
        out.put_u64_le(DESCRIPTOR_SECTOR);
        out.put_u64_le(DESCRIPTOR_SECTORS);
        out.put_u32_le(GTES_PER_GT as u32);
        out.put_u64_le(self.rgd_offset);
        out.put_u64_le(self.gd_offset);
        out.put_u64_le(self.overhead);
        out.put_u8(0);
        out.put_slice(b"\n \r\n");
        out.put_u16_le(1);
        out.put_bytes(0, start + SECTOR as usize - out.len());
    }

    /// Reads the fields a stream's reader needs.
    pub(super) fn parse(sector: &[u8; SECTOR as usize]) -> io::Result<Self> {
        if &sector[..4] != MAGIC {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a sparse VMDK: the magic KDMV is missing",
            ));
        }
        let word = |at: usize| u64::from_le_bytes(sector[at..at + 8].try_into().expect("eight bytes"));
        let flags = u32::from_le_bytes(sector[8..12].try_into().expect("four bytes"));
        if flags & 0x3_0000 != 0x3_0000 || word(20) != GRAIN_SECTORS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a streamOptimized VMDK with grains of 64 KiB",
            ));
        }
        Ok(Self {
            flags,
            capacity_sectors: word(12),
            rgd_offset: word(48),
            gd_offset: word(56),
            overhead: word(64),
        })
    }
}

/// Appends the text descriptor, padded to its sectors.
pub(super) fn append_descriptor(capacity_sectors: u64, content_id: u32, adapter: &str, out: &mut BytesMut) {
    let cylinders = (capacity_sectors / (255 * 63)).clamp(1, 65_535);
    let mut text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={content_id:08x}\nparentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\n# Extent description\n\
         RW {capacity_sectors} SPARSE \"call-me-stream.vmdk\"\n\n# The Disk Data Base\n#DDB\n\n"
    );
    for (key, value) in [
        ("adapterType", adapter),
        ("geometry.cylinders", &cylinders.to_string()),
        ("geometry.heads", "255"),
        ("geometry.sectors", "63"),
        ("longContentID", &format!("{content_id:08x}").repeat(4)),
        ("toolsVersion", "2147483647"),
        ("virtualHWVersion", "19"),
    ] {
        writeln!(text, "ddb.{key} = \"{value}\"").expect("writing to a string");
    }
    out.put_slice(text.as_bytes());
    out.put_bytes(0, (DESCRIPTOR_SECTORS * SECTOR) as usize - text.len());
}
