use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{SECTOR_BYTES, VmdkError};
use crate::tar::check_member_name;

/// A descriptor of more bytes is none.
const MAX_DESCRIPTOR_BYTES: u64 = 1 << 20;
const MAX_EXTENTS: usize = 4096;
const TYPES: [&str; 3] = ["monolithicFlat", "twoGbMaxExtentFlat", "vmfs"];

/// Reads a flat disk: a text descriptor, and files beside it that hold the disk's bytes as they are.
#[derive(Debug)]
pub struct FlatReader {
    extents: Vec<Extent>,
    capacity_bytes: u64,
}

/// A stretch of the disk.
#[derive(Debug)]
struct Extent {
    start: u64,
    bytes: u64,
    /// The file and where in it the stretch begins; none reads as zeros.
    file: Option<(File, u64)>,
}

impl FlatReader {
    /// Opens a disk by its descriptor. Its extents are files in the same folder: no paths, no links.
    ///
    /// # Errors
    /// `Descriptor` if it is not one of a flat disk, belongs to a disk with a parent, or names what is no file
    /// beside it; `Truncated` if an extent's file is too short; `Io`.
    pub fn open(descriptor: &Path) -> Result<Self, VmdkError> {
        let refuse = |reason: String| VmdkError::Descriptor(reason);
        if fs::metadata(descriptor)?.len() > MAX_DESCRIPTOR_BYTES {
            return Err(refuse("it is longer than 1 MiB".into()));
        }
        let text = String::from_utf8_lossy(&fs::read(descriptor)?).into_owned();
        let value = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            let found = pairs.find(|(key, _)| key.trim() == name);
            found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        let kind = value("createType").ok_or_else(|| refuse("it names no createType".into()))?;
        if !TYPES.contains(&kind.as_str()) {
            return Err(refuse(format!("createType is {kind:?}, none of {}", TYPES.join(", "))));
        }
        if let Some(parent) = value("parentCID").filter(|parent| !parent.eq_ignore_ascii_case("ffffffff")) {
            return Err(refuse(format!("the disk is a delta on top of parent {parent}")));
        }
        let folder = descriptor.parent().unwrap_or(Path::new("."));
        let (mut extents, mut capacity_bytes) = (Vec::new(), 0_u64);
        for line in text.lines().map(str::trim) {
            let Some(extent) = read_extent(line, folder, capacity_bytes)? else { continue };
            capacity_bytes = capacity_bytes
                .checked_add(extent.bytes)
                .filter(|_| extents.len() < MAX_EXTENTS)
                .ok_or_else(|| refuse("its extents are more than any disk's".into()))?;
            extents.push(extent);
        }
        if extents.is_empty() {
            return Err(refuse("it lists no extent".into()));
        }
        Ok(Self { extents, capacity_bytes })
    }

    /// The disk's size in bytes.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Fills `target` from `offset` bytes on.
    ///
    /// # Errors
    /// `Io`, also if it reaches past the end of the disk.
    pub fn read_at(&self, offset: u64, target: &mut [u8]) -> Result<(), VmdkError> {
        if offset.checked_add(target.len() as u64).is_none_or(|end| end > self.capacity_bytes) {
            return Err(VmdkError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let mut done = 0;
        let mut number = self.extents.partition_point(|extent| extent.start + extent.bytes <= offset);
        while done < target.len() {
            let Extent { start, bytes, file } = &self.extents[number];
            let within = offset + done as u64 - start;
            let step = (bytes - within).min((target.len() - done) as u64) as usize;
            let piece = &mut target[done..done + step];
            match file {
                Some((file, from)) => file.read_exact_at(piece, from + within)?,
                None => piece.fill(0),
            }
            done += step;
            number += 1;
        }
        Ok(())
    }
}

/// `RW 20480 FLAT "web01-flat.vmdk" 0`, or nothing if the line is about something else.
fn read_extent(line: &str, folder: &Path, start: u64) -> Result<Option<Extent>, VmdkError> {
    let refuse = |reason: &str| VmdkError::Descriptor(format!("extent {line:?}: {reason}"));
    let Some(rest) = ["RW ", "RDONLY "].iter().find_map(|access| line.strip_prefix(access)) else {
        return Ok(None);
    };
    let (head, name) = match rest.split_once('"') {
        Some((head, quoted)) => (head, Some(quoted.split_once('"').ok_or_else(|| refuse("an open quote"))?)),
        None => (rest, None),
    };
    let mut words = head.split_whitespace();
    let sectors: Option<u64> = words.next().and_then(|word| word.parse().ok());
    let bytes = sectors.and_then(|sectors| sectors.checked_mul(SECTOR_BYTES)).filter(|bytes| *bytes > 0);
    let bytes = bytes.ok_or_else(|| refuse("no size"))?;
    let (name, from) = match (words.next(), name) {
        (Some("ZERO"), None) => return Ok(Some(Extent { start, bytes, file: None })),
        (Some("FLAT" | "VMFS"), Some((name, from))) => (name, from.trim()),
        _ => return Err(refuse("it is neither flat nor of zeros")),
    };
    let from: Option<u64> = if from.is_empty() { Some(0) } else { from.parse().ok() };
    let from =
        from.and_then(|sectors| sectors.checked_mul(SECTOR_BYTES)).ok_or_else(|| refuse("no offset"))?;
    check_member_name(name).map_err(|error| refuse(&error.to_string()))?;
    let path = folder.join(name);
    if !fs::symlink_metadata(&path)?.is_file() {
        return Err(refuse("it is a link, folder or device"));
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    if from.checked_add(bytes).is_none_or(|end| end > length) {
        return Err(VmdkError::Truncated { offset: length, missing: format!("the rest of {name}") });
    }
    Ok(Some(Extent { start, bytes, file: Some((file, from)) }))
}
