//! A stream as `qemu-img convert -o subformat=streamOptimized` writes it:
//! both directories and all tables up front, no footer, no end marker.

use bytes::{BufMut, Bytes, BytesMut};

use super::grains::Grains;
use super::header::{DESCRIPTOR_SECTOR, DESCRIPTOR_SECTORS, Header, append_descriptor};
use super::pieces::Pieces;
use super::{GRAIN_SECTORS, GT_SECTORS, GTES_PER_GT, PIECE, SECTOR};

/// Redundant directory and newline check besides compression and markers.
const FLAGS: u32 = 0x3_0003;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Head,
    /// A directory: the redundant one (0) or the main one (1).
    Directory(u8),
    /// The tables of a directory, from this one on.
    Table(u8, u64),
    Gap,
    Grain(u64),
    Done,
}

#[derive(Debug)]
pub(crate) struct QemuStream {
    grains: Grains,
    capacity_sectors: u64,
    content_id: u32,
    next: Next,
    pieces: Pieces,
    /// Where the next listed grain lands, in sectors from the stream's start.
    grain_sector: u64,
}

impl QemuStream {
    pub(super) fn new(grains: Grains, capacity_sectors: u64, content_id: u32) -> Self {
        let pieces = Pieces::default();
        Self { grains, capacity_sectors, content_id, next: Next::Head, pieces, grain_sector: 0 }
    }

    fn tables(&self) -> u64 {
        self.grains.count().div_ceil(GTES_PER_GT)
    }

    fn directory_sectors(&self) -> u64 {
        (self.tables() * 4).div_ceil(SECTOR)
    }

    /// Where a directory begins; `2` is the end of the second one's tables.
    fn directory_offset(&self, copy: u8) -> u64 {
        let one = self.directory_sectors() + self.tables() * GT_SECTORS;
        DESCRIPTOR_SECTOR + DESCRIPTOR_SECTORS + u64::from(copy) * one
    }

    fn first_grain_sector(&self) -> u64 {
        self.directory_offset(2).next_multiple_of(GRAIN_SECTORS)
    }

    fn head(&self, out: &mut BytesMut) {
        Header {
            flags: FLAGS,
            capacity_sectors: self.capacity_sectors,
            rgd_offset: self.directory_offset(0),
            gd_offset: self.directory_offset(1),
            overhead: self.first_grain_sector(),
        }
        .append(out);
        append_descriptor(self.capacity_sectors, self.content_id, "ide", out);
    }

    fn directory(&mut self, copy: u8, out: &mut BytesMut) {
        let first_table = self.directory_offset(copy) + self.directory_sectors();
        let start = out.len();
        for table in 0..self.tables() {
            out.put_u32_le((first_table + table * GT_SECTORS) as u32);
        }
        out.put_bytes(0, start + (self.directory_sectors() * SECTOR) as usize - out.len());
        self.grain_sector = self.first_grain_sector();
    }

    fn table(&mut self, table: u64, out: &mut BytesMut) {
        for grain in table * GTES_PER_GT..(table + 1) * GTES_PER_GT {
            if grain < self.grains.count() && self.grains.is_allocated(grain) {
                out.put_u32_le(self.grain_sector as u32);
                self.grain_sector += self.grains.stored_sectors(grain);
            } else {
                out.put_u32_le(0);
            }
        }
    }
}

impl Iterator for QemuStream {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = self.pieces.buffer();
        while out.len() < PIECE && self.next != Next::Done {
            self.next = match self.next {
                Next::Head => {
                    self.head(&mut out);
                    Next::Directory(0)
                }
                Next::Directory(copy) => {
                    self.directory(copy, &mut out);
                    Next::Table(copy, 0)
                }
                Next::Table(copy, table) if table < self.tables() => {
                    self.table(table, &mut out);
                    Next::Table(copy, table + 1)
                }
                Next::Table(0, _) => Next::Directory(1),
                Next::Table(..) => Next::Gap,
                Next::Gap => {
                    let gap = self.first_grain_sector() - self.directory_offset(2);
                    out.put_bytes(0, (gap * SECTOR) as usize);
                    Next::Grain(0)
                }
                Next::Grain(grain) if grain < self.grains.count() => {
                    if self.grains.is_allocated(grain) {
                        self.grains.append(grain, &mut out);
                    }
                    Next::Grain(grain + 1)
                }
                Next::Grain(_) | Next::Done => Next::Done,
            };
        }
        self.pieces.piece(out)
    }
}
