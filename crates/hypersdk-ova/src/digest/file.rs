use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::{Digest, DigestAlgorithm, Digester};

const PIECE_BYTES: usize = 256 * 1024;
/// Small enough to stay in the processor's nearest cache.
const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// The digest of a whole file. Holes are not read, but their zeros are hashed: no digest here has
/// a short cut for these, so a sparse file takes time by its length.
///
/// # Errors
/// If the file cannot be read, or gets shorter meanwhile.
pub fn hash_file(path: &Path, algorithm: DigestAlgorithm) -> io::Result<Digest> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut digester = Digester::new(algorithm);
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < length {
        let data = next(&file, SeekFrom::Data(at), length)?;
        hash_zeros(&mut digester, data - at);
        let hole = next(&file, SeekFrom::Hole(data), length)?;
        at = data;
        while at < hole {
            let piece = &mut buffer[..(hole - at).min(PIECE_BYTES as u64) as usize];
            file.read_exact_at(piece, at)?;
            digester.update(piece);
            at += piece.len() as u64;
        }
    }
    Ok(digester.finish())
}

/// The next place with, or without, data; the end of the file if there is none.
fn next(file: &File, from: SeekFrom, length: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, from) {
        Ok(found) => Ok(found.min(length)),
        Err(Errno::NXIO) => Ok(length),
        Err(error) => Err(error.into()),
    }
}

fn hash_zeros(digester: &mut Digester, mut left: u64) {
    while left > 0 {
        let step = left.min(ZEROS.len() as u64);
        digester.update(&ZEROS[..step as usize]);
        left -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_file_with_holes_is_that_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let file = File::create(&path).unwrap();
        for (length, written) in
            [(0, vec![]), (3_000_001, vec![]), (3_000_000, vec![0, 1_234_567]), (2_999_999, vec![2_900_000])]
        {
            file.set_len(0).unwrap();
            file.set_len(length).unwrap();
            for at in written {
                file.write_all_at(&[0xab; 70_000], at).unwrap();
            }
            let whole = std::fs::read(&path).unwrap();
            for algorithm in DigestAlgorithm::ALL {
                assert_eq!(hash_file(&path, algorithm).unwrap(), Digest::of(algorithm, &whole));
            }
        }
    }
}
