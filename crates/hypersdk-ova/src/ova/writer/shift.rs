//! Moving bytes between and inside files, inside the kernel where that can be.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, seek};
use rustix::io::Errno;

const PIECE_BYTES: usize = 1 << 20;
/// Insertion works on whole blocks of the file system; 4096 is a block of nearly all.
const INSERT_AT: u64 = 4096;

/// Copies the first `size` bytes of `source` to the end of `target`, which is at `offset`.
/// Holes stay holes.
pub(super) fn append_file(source: &File, target: &File, offset: u64, size: u64) -> io::Result<()> {
    target.set_len(offset + size)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(source, at, size)? {
        copy_extent(source, start, target, offset + start, end - start)?;
        at = end;
    }
    Ok(())
}

/// The next stretch of `source` that is no hole.
fn next_data(source: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    let start = match seek(source, SeekFrom::Data(at)) {
        Ok(start) => start,
        // Nothing but a hole from here on; or the file has become shorter than it was.
        Err(Errno::NXIO) if source.metadata()?.len() >= size => return Ok(None),
        Err(Errno::NXIO) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(_) => return Ok(Some((at, size))),
    };
    let end = seek(source, SeekFrom::Hole(start)).unwrap_or(size);
    Ok((start < size).then_some((start, end.min(size))))
}

fn copy_extent(source: &File, read: u64, target: &File, written: u64, length: u64) -> io::Result<()> {
    let end = read + length;
    let (mut read, mut written) = (read, written);
    while read < end {
        let left = usize::try_from(end - read).unwrap_or(usize::MAX).min(1 << 30);
        match copy_file_range(source, Some(&mut read), target, Some(&mut written), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM) => {
                return copy_through_memory(source, read, target, written, end - read);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(
    source: &File,
    mut read: u64,
    target: &File,
    mut written: u64,
    mut left: u64,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    while left > 0 {
        let length = left.min(PIECE_BYTES as u64) as usize;
        source.read_exact_at(&mut piece[..length], read)?;
        target.write_all_at(&piece[..length], written)?;
        read += length as u64;
        written += length as u64;
        left -= length as u64;
    }
    Ok(())
}

/// Moves what lies between `start` and `end` of a file towards its end by `by` bytes: by a hole
/// inserted before it where the file system can, else by a copy. What lies before `start` must
/// not matter any more.
pub(super) fn open_gap(file: &File, start: u64, end: u64, by: u64) -> io::Result<()> {
    let insert = start > INSERT_AT && end > INSERT_AT;
    if insert && fallocate(file, FallocateFlags::INSERT_RANGE, INSERT_AT, by).is_ok() {
        return Ok(());
    }
    open_gap_by_copy(file, start, end, by)
}

/// From the end to the start, since the places overlap.
fn open_gap_by_copy(file: &File, start: u64, end: u64, by: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = end - start;
    while left > 0 {
        let length = left.min(PIECE_BYTES as u64) as usize;
        left -= length as u64;
        file.read_exact_at(&mut piece[..length], start + left)?;
        file.write_all_at(&piece[..length], start + left + by)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(content: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut content = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut content, 0).unwrap();
        content
    }

    #[test]
    fn a_gap_moves_the_rest_whether_inserted_or_copied() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        for open in [open_gap, open_gap_by_copy] {
            let file = file_of(&bytes);
            open(&file, 66_048, bytes.len() as u64, 65_536).unwrap();
            let moved = content(&file);
            assert_eq!(moved.len(), bytes.len() + 65_536);
            assert!(moved[66_048 + 65_536..] == bytes[66_048..]);
        }
    }

    #[test]
    fn a_file_is_copied_whole_either_way() {
        let bytes: Vec<u8> = (0..2_500_001_u32).map(|n| (n / 3) as u8).collect();
        let (source, size) = (file_of(&bytes), bytes.len() as u64);
        let (inside, through) = (file_of(b"abc"), file_of(b"abc"));
        append_file(&source, &inside, 3, size).unwrap();
        copy_through_memory(&source, 0, &through, 3, size).unwrap();
        assert!(content(&inside) == [&b"abc"[..], &bytes].concat());
        assert!(content(&through) == content(&inside));
    }

    #[test]
    fn a_source_that_is_too_short_is_an_error() {
        let (source, target) = (file_of(b"abc"), file_of(b""));
        let error = append_file(&source, &target, 0, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
