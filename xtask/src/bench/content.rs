//! A disk of ordinary content whose grains are stored, not deflated.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use hypersdk_ova::vmdk::{DiskOptions, GRAIN_BYTES, StreamWriter, is_zero};

use crate::run;

/// A block of the file system that is made.
const BLOCK_BYTES: u64 = 4096;
/// The prime of Adler-32 (RFC 1950, section 8.2), and how many bytes fit between two reductions by it.
const ADLER_PRIME: u32 = 65_521;
const ADLER_STRIDE: usize = 5552;

/// Makes an ext4 file system of what lies below `source`, in order of names, up to about `limit` bytes, and a
/// streamOptimized disk of that in `directory`. Grains of zeros are left out, as a host does.
pub(super) fn disk(directory: &Path, source: &Path, limit: u64) -> Result<PathBuf> {
    let (tree, raw, path) =
        (directory.join("tree"), directory.join("content.raw"), directory.join("content.vmdk"));
    let mut copy = Copy { left: limit, files: 0 };
    copy.tree(source, &tree)?;
    let bytes = (limit - copy.left) / 10 * 11 + (64 << 20);
    let bytes = bytes.next_multiple_of(GRAIN_BYTES as u64);
    File::create(&raw)?.set_len(bytes)?;
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-N"]).arg((copy.files * 2 + 1000).to_string());
    run(command.arg("-d").arg(&tree).arg(&raw)).context("mke2fs comes with Debian's e2fsprogs")?;
    fs::remove_dir_all(&tree)?;

    let mut writer =
        StreamWriter::new(BufWriter::with_capacity(1 << 20, File::create(&path)?), &DiskOptions::new(bytes))?;
    let mut input = File::open(&raw)?;
    let (mut grain, mut stored) = (vec![0; GRAIN_BYTES], Vec::new());
    for index in 0..bytes / GRAIN_BYTES as u64 {
        input.read_exact(&mut grain)?;
        if !is_zero(&grain) {
            store(&grain, &mut stored);
            writer.write_compressed(index, &stored)?;
        }
    }
    writer.finish()?.0.flush()?;
    fs::remove_file(&raw)?;
    Ok(path)
}

struct Copy {
    left: u64,
    files: u64,
}

impl Copy {
    fn tree(&mut self, from: &Path, to: &Path) -> Result<()> {
        fs::create_dir(to).with_context(|| format!("create {}", to.display()))?;
        let mut entries = fs::read_dir(from)
            .with_context(|| format!("read {}", from.display()))?
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
            if kind.is_dir() {
                self.files += 1;
                self.tree(&entry.path(), &target)?;
            } else if kind.is_file() {
                let bytes = entry.metadata()?.len().next_multiple_of(BLOCK_BYTES);
                if bytes <= self.left {
                    fs::copy(entry.path(), &target)
                        .with_context(|| format!("copy {}", entry.path().display()))?;
                    self.left -= bytes;
                    self.files += 1;
                }
            }
        }
        if self.files == 0 {
            bail!("{} holds no file that fits", from.display());
        }
        Ok(())
    }
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951, section 3.2.4).
fn store(grain: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0x78, 0x01]);
    let mut blocks = grain.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for stride in grain.chunks(ADLER_STRIDE) {
        for byte in stride {
            a += u32::from(*byte);
            b += a;
        }
        a %= ADLER_PRIME;
        b %= ADLER_PRIME;
    }
    out.extend_from_slice(&(b << 16 | a).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use hypersdk_ova::vmdk::GrainDecoder;

    use super::*;

    #[test]
    fn a_stored_grain_inflates_to_itself() {
        let grain: Vec<u8> = (0..GRAIN_BYTES).map(|index| (index * index % 251) as u8).collect();
        let mut stored = Vec::new();
        store(&grain, &mut stored);
        assert!(stored.len() > GRAIN_BYTES);
        assert!(GrainDecoder::new(GRAIN_BYTES).decode(&stored, GRAIN_BYTES).unwrap() == grain);
    }
}
