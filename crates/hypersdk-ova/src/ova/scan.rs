use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::tar::{BLOCK_BYTES, EntryKind, TarHeader, padding};

/// More members than any package has: the walk stops there.
pub(crate) const MAX_MEMBERS: usize = 10_000;

/// One member, as its header tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveMember {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Where its header lies in the archive, in bytes.
    pub header_offset: u64,
}

impl ArchiveMember {
    /// Where its bytes begin in the archive.
    #[must_use]
    pub fn data_offset(&self) -> u64 {
        self.header_offset + BLOCK_BYTES
    }
}

/// What is wrong with an archive as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanFault {
    /// Where, in bytes.
    pub offset: u64,
    /// What.
    pub message: String,
    /// Whether the archive ends too early.
    pub truncated: bool,
}

/// An archive's headers. If there is a fault, the members before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveScan {
    /// The members in their order.
    pub members: Vec<ArchiveMember>,
    /// Why the walk ended before the archive's end, if it did.
    pub fault: Option<ScanFault>,
}

/// Walks an archive from header to header, without reading what lies between: the cost does not
/// depend on the members' sizes.
///
/// # Errors
/// If reading fails. A damaged archive is no error here but a fault.
pub fn scan(file: &File) -> io::Result<ArchiveScan> {
    let length = file.metadata()?.len();
    let mut members = Vec::new();
    let mut offset = 0;
    let fault = loop {
        let fault = |message: &str, truncated| Some(ScanFault { offset, message: message.into(), truncated });
        if members.len() == MAX_MEMBERS {
            break fault("more members than any package has", false);
        }
        let Some(block) = read_block(file, offset, length)? else {
            break fault("the archive ends without two blocks of zeros", true);
        };
        let header = match TarHeader::parse(&block) {
            Ok(Some(header)) => header,
            Ok(None) => {
                let second = read_block(file, offset + BLOCK_BYTES, length)?;
                break match second {
                    Some(block) if block == [0; 512] => None,
                    Some(_) => fault("data after the end of the archive", false),
                    None => fault("the second block of zeros is missing", true),
                };
            }
            Err(error) => break fault(&error.to_string(), false),
        };
        let next = (offset + BLOCK_BYTES)
            .checked_add(header.size)
            .and_then(|end| end.checked_add(padding(header.size)));
        let name = header.name.clone();
        members.push(ArchiveMember {
            name: header.name,
            size: header.size,
            kind: header.kind,
            header_offset: offset,
        });
        match next {
            Some(next) if next <= length => offset = next,
            _ => {
                let size = header.size;
                break fault(&format!("{name} of {size} bytes reaches past the end of the archive"), true);
            }
        }
    };
    Ok(ArchiveScan { members, fault })
}

fn read_block(file: &File, offset: u64, length: u64) -> io::Result<Option<[u8; 512]>> {
    if offset.checked_add(BLOCK_BYTES).is_none_or(|end| end > length) {
        return Ok(None);
    }
    let mut block = [0; 512];
    file.read_exact_at(&mut block, offset)?;
    Ok(Some(block))
}
