//! The tar headers an OVA needs: ustar, with GNU's base-256 size from 8 GiB on.
//!
//! vSphere reads these and no PAX header. Metadata is the same on every run: mode 0644, owner 0.

/// The unit of a tar file, in bytes.
pub const BLOCK_BYTES: u64 = 512;
/// The largest size that eleven octal digits hold, in bytes.
pub const MAX_OCTAL_SIZE: u64 = (8 << 30) - 1;
/// The longest member name a plain header holds, in bytes.
pub const MAX_NAME_BYTES: usize = 100;

const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// A name that importers do not take.
    #[error("member name {name:?}: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The block is no tar header.
    #[error("not a tar header: {0}")]
    Header(&'static str),
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file with content: the only kind an OVA may hold.
    File,
    /// A symbolic or hard link.
    Link,
    /// A folder.
    Directory,
    /// A header that changes the next one: PAX, or GNU's long names.
    Extension,
    /// A device, a pipe, or what nobody knows.
    Other(u8),
}

/// One member's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarHeader {
    /// The member's name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its time of change in seconds since 1970.
    pub mtime: u64,
    /// What it is.
    pub kind: EntryKind,
}

impl TarHeader {
    /// A file's header.
    ///
    /// # Errors
    /// `Name` if an OVA should not hold such a name: see [`check_member_name`].
    pub fn file(name: &str, size: u64, mtime: u64) -> Result<Self, TarError> {
        check_member_name(name)?;
        Ok(Self { name: name.to_owned(), size, mtime, kind: EntryKind::File })
    }

    /// The header's block, as of a file.
    #[must_use]
    pub fn encode(&self) -> [u8; 512] {
        let mut raw = [0; 512];
        let name = self.name.as_bytes();
        let length = name.len().min(MAX_NAME_BYTES);
        raw[..length].copy_from_slice(&name[..length]);
        raw[100..108].copy_from_slice(b"0000644\0");
        raw[108..116].copy_from_slice(b"0000000\0");
        raw[116..124].copy_from_slice(b"0000000\0");
        if self.size <= MAX_OCTAL_SIZE {
            raw[SIZE].copy_from_slice(format!("{:011o}\0", self.size).as_bytes());
            raw[257..265].copy_from_slice(b"ustar\x0000");
        } else {
            raw[124] = 0x80;
            raw[128..136].copy_from_slice(&self.size.to_be_bytes());
            raw[257..265].copy_from_slice(b"ustar  \0");
        }
        raw[136..148].copy_from_slice(format!("{:011o}\0", self.mtime.min(MAX_OCTAL_SIZE)).as_bytes());
        raw[156] = b'0';
        let sum = checksum(&raw);
        raw[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        raw
    }

    /// Reads a header's block; `None` for a block of zeros, which ends an archive.
    ///
    /// # Errors
    /// `Header` if the checksum or a number is wrong.
    pub fn parse(raw: &[u8; 512]) -> Result<Option<Self>, TarError> {
        if raw.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let stored = octal(&raw[CHECKSUM]).ok_or(TarError::Header("its checksum is no number"))?;
        if stored != u64::from(checksum(raw)) {
            return Err(TarError::Header("its checksum is wrong"));
        }
        let size = number(&raw[SIZE]).ok_or(TarError::Header("its size is no number"))?;
        let mtime = number(&raw[136..148]).unwrap_or(0);
        let kind = match raw[156] {
            0 | b'0' | b'7' => EntryKind::File,
            b'1' | b'2' => EntryKind::Link,
            b'5' => EntryKind::Directory,
            b'x' | b'g' | b'L' | b'K' => EntryKind::Extension,
            other => EntryKind::Other(other),
        };
        let mut name = text(&raw[..100])?;
        if &raw[257..263] == b"ustar\0" && raw[345] != 0 {
            name = format!("{}/{name}", text(&raw[345..500])?);
        }
        Ok(Some(Self { name, size, mtime, kind }))
    }
}

/// How many bytes of padding follow a member of this size.
#[must_use]
pub fn padding(size: u64) -> u64 {
    (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES
}

/// Whether every importer takes this name: plain ASCII, 1 to 100 bytes, no path.
///
/// # Errors
/// `Name`, with the reason.
pub fn check_member_name(name: &str) -> Result<(), TarError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 100 bytes"
    } else if !name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        "it is not plain ASCII"
    } else if name.contains(['/', '\\', ':']) || name == "." || name == ".." {
        "it is a path"
    } else if name.starts_with(' ') || name.ends_with(' ') {
        "it begins or ends with a space"
    } else {
        return Ok(());
    };
    Err(TarError::Name { name: name.to_owned(), reason })
}

fn checksum(raw: &[u8; 512]) -> u32 {
    let sum = |range: &[u8]| range.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&raw[..CHECKSUM.start]) + 8 * u32::from(b' ') + sum(&raw[CHECKSUM.end..])
}

fn text(raw: &[u8]) -> Result<String, TarError> {
    let end = raw.iter().position(|&byte| byte == 0).unwrap_or(raw.len());
    let text = std::str::from_utf8(&raw[..end]).map_err(|_| TarError::Header("its name is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Octal digits, or GNU's base-256: the first bit set, then a big-endian number.
fn number(raw: &[u8]) -> Option<u64> {
    if raw[0] & 0x80 == 0 {
        return octal(raw);
    }
    let (high, low) = raw.split_at(raw.len() - 8);
    let bytes = low.try_into().ok()?;
    let fits = high[0] == 0x80 && high[1..].iter().all(|&byte| byte == 0);
    fits.then(|| u64::from_be_bytes(bytes)).filter(|&value| value <= i64::MAX as u64)
}

fn octal(raw: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(raw).ok()?.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_switch_to_base_256_at_8_gib() {
        for (size, octal) in [(MAX_OCTAL_SIZE, true), (MAX_OCTAL_SIZE + 1, false), (u64::MAX >> 2, false)] {
            let raw = TarHeader::file("d.vmdk", size, 0).unwrap().encode();
            assert_eq!(raw[124] & 0x80 == 0, octal);
            assert_eq!(TarHeader::parse(&raw).unwrap().unwrap().size, size);
        }
    }

    #[test]
    fn names_that_importers_refuse_are_refused_first() {
        for name in ["", "a/b", "..", "a\\b", "ä", "a\nb", " a", "c:x", &"n".repeat(101)] {
            assert!(TarHeader::file(name, 0, 0).is_err(), "{name:?}");
        }
        assert!(TarHeader::file(&"n".repeat(100), 0, 0).is_ok());
    }

    #[test]
    fn a_changed_byte_breaks_the_checksum() {
        let mut raw = TarHeader::file("a", 1, 0).unwrap().encode();
        raw[0] = b'b';
        assert_eq!(TarHeader::parse(&raw), Err(TarError::Header("its checksum is wrong")));
    }

    proptest! {
        #[test]
        fn a_header_survives(name in "[A-Za-z0-9._-]{3,100}", size in 0..u64::MAX >> 1, mtime in 0..MAX_OCTAL_SIZE) {
            let header = TarHeader::file(&name, size, mtime).unwrap();
            prop_assert_eq!(TarHeader::parse(&header.encode()).unwrap().unwrap(), header);
        }

        #[test]
        fn no_block_makes_it_panic(mut raw in prop::collection::vec(any::<u8>(), 512), fix in any::<bool>()) {
            let mut block: [u8; 512] = raw.split_off(0).try_into().unwrap();
            if fix {
                let sum = checksum(&block);
                block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            let _ = TarHeader::parse(&block);
        }
    }
}
