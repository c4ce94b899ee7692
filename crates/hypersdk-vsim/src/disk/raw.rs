//! The guest's view of a disk as a sparse raw file.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use libdeflater::Decompressor;

use super::grains::Grains;
use super::header::Header;
use super::source::SynthDisk;
use super::{GRAIN, SECTOR};

pub(super) fn write_synth(disk: &SynthDisk, path: &Path) -> io::Result<()> {
    let grains = Grains::new(disk);
    let mut out = File::create(path)?;
    out.set_len(disk.capacity())?;
    let mut plain = vec![0; GRAIN];
    for grain in (0..grains.count()).filter(|grain| grains.is_allocated(*grain)) {
        grains.plain(grain, &mut plain);
        out.seek(SeekFrom::Start(grain * GRAIN as u64))?;
        out.write_all(&plain)?;
    }
    Ok(())
}

/// Walks the stream from marker to marker, so that either layout will do.
pub(super) fn write_file(source: &Path, path: &Path) -> io::Result<()> {
    let mut input = BufReader::with_capacity(GRAIN * 4, File::open(source)?);
    let mut sector = [0; SECTOR as usize];
    input.read_exact(&mut sector)?;
    let header = Header::parse(&sector)?;
    let capacity = header.capacity_sectors * SECTOR;
    input.seek(SeekFrom::Start(header.overhead * SECTOR))?;
    let mut out = File::create(path)?;
    out.set_len(capacity)?;
    let mut plain = vec![0; GRAIN];
    while let Some(marker) = next_sector(&mut input, &mut sector)? {
        let value = u64::from_le_bytes(marker[..8].try_into().expect("eight bytes"));
        let size = u32::from_le_bytes(marker[8..12].try_into().expect("four bytes")) as usize;
        if size == 0 {
            if u32::from_le_bytes(marker[12..16].try_into().expect("four bytes")) == 0 {
                break;
            }
            input.seek_relative((value * SECTOR) as i64)?;
            continue;
        }
        let stored = (12 + size).next_multiple_of(SECTOR as usize);
        let mut grain = marker[12..].to_vec();
        grain.resize(stored - 12, 0);
        input.read_exact(&mut grain[SECTOR as usize - 12..])?;
        let len = Decompressor::new().zlib_decompress(&grain[..size], &mut plain).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("grain at sector {value}: {error}"))
        })?;
        let at = value * SECTOR;
        let kept = (len as u64).min(capacity.saturating_sub(at)) as usize;
        out.seek(SeekFrom::Start(at))?;
        out.write_all(&plain[..kept])?;
    }
    Ok(())
}

/// The next whole sector, or `None` at the end of the file.
fn next_sector<'a>(
    input: &mut BufReader<File>,
    sector: &'a mut [u8; SECTOR as usize],
) -> io::Result<Option<&'a [u8; SECTOR as usize]>> {
    match input.read_exact(sector) {
        Ok(()) => Ok(Some(sector)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
