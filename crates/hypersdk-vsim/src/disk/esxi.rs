//! A stream as an ESXi host sends it: grains first, each table after the
//! grains it lists, directory, footer and end-of-stream marker at the end.

use bytes::{BufMut, Bytes, BytesMut};

use super::grains::Grains;
use super::header::{GD_AT_END, Header, append_descriptor};
use super::pieces::Pieces;
use super::{GT_SECTORS, GTES_PER_GT, PIECE, SECTOR};

const OVERHEAD_SECTORS: u64 = 128;
/// Compressed grains, and markers between them.
const FLAGS: u32 = 0x3_0001;
const MARKER_EOS: u32 = 0;
const MARKER_GT: u32 = 1;
const MARKER_GD: u32 = 2;
const MARKER_FOOTER: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Head,
    Grain(u64),
    Tail,
    Done,
}

#[derive(Debug)]
pub(crate) struct EsxiStream {
    grains: Grains,
    capacity_sectors: u64,
    content_id: u32,
    next: Next,
    pieces: Pieces,
    /// Where the next byte lands, in sectors from the start of the stream.
    sector: u64,
    table: Vec<u32>,
    directory: Vec<u32>,
}

impl EsxiStream {
    pub(super) fn new(grains: Grains, capacity_sectors: u64, content_id: u32) -> Self {
        Self {
            grains,
            capacity_sectors,
            content_id,
            next: Next::Head,
            pieces: Pieces::default(),
            sector: 0,
            table: vec![0; GTES_PER_GT as usize],
            directory: Vec::new(),
        }
    }

    fn header(&self, gd_offset: u64) -> Header {
        Header {
            flags: FLAGS,
            capacity_sectors: self.capacity_sectors,
            rgd_offset: 0,
            gd_offset,
            overhead: OVERHEAD_SECTORS,
        }
    }

    fn head(&mut self, out: &mut BytesMut) {
        let start = out.len();
        self.header(GD_AT_END).append(out);
        append_descriptor(self.capacity_sectors, self.content_id, "lsilogic", out);
        out.put_bytes(0, start + (OVERHEAD_SECTORS * SECTOR) as usize - out.len());
        self.sector = OVERHEAD_SECTORS;
    }

    fn grain(&mut self, grain: u64, out: &mut BytesMut) {
        if self.grains.is_allocated(grain) {
            self.table[(grain % GTES_PER_GT) as usize] = self.sector as u32;
            self.grains.append(grain, out);
            self.sector += self.grains.stored_sectors(grain);
        }
        let last_of_table = grain % GTES_PER_GT == GTES_PER_GT - 1 || grain + 1 == self.grains.count();
        if last_of_table {
            self.close_table(out);
        }
    }

    fn close_table(&mut self, out: &mut BytesMut) {
        if self.table.iter().all(|entry| *entry == 0) {
            self.directory.push(0);
            return;
        }
        self.marker(GT_SECTORS, MARKER_GT, out);
        self.directory.push(self.sector as u32);
        for entry in &mut self.table {
            out.put_u32_le(*entry);
            *entry = 0;
        }
        self.sector += GT_SECTORS;
    }

    fn tail(&mut self, out: &mut BytesMut) {
        let sectors = (self.directory.len() as u64 * 4).div_ceil(SECTOR);
        self.marker(sectors, MARKER_GD, out);
        let gd_offset = self.sector;
        let start = out.len();
        for entry in &self.directory {
            out.put_u32_le(*entry);
        }
        out.put_bytes(0, start + (sectors * SECTOR) as usize - out.len());
        self.sector += sectors;
        self.marker(1, MARKER_FOOTER, out);
        self.header(gd_offset).append(out);
        self.marker(0, MARKER_EOS, out);
    }

    fn marker(&mut self, sectors: u64, kind: u32, out: &mut BytesMut) {
        out.put_u64_le(sectors);
        out.put_u32_le(0);
        out.put_u32_le(kind);
        out.put_bytes(0, SECTOR as usize - 16);
        self.sector += 1;
    }
}

impl Iterator for EsxiStream {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = self.pieces.buffer();
        while out.len() < PIECE && self.next != Next::Done {
            self.next = match self.next {
                Next::Head => {
                    self.head(&mut out);
                    Next::Grain(0)
                }
                Next::Grain(grain) if grain < self.grains.count() => {
                    self.grain(grain, &mut out);
                    Next::Grain(grain + 1)
                }
                Next::Grain(_) => Next::Tail,
                Next::Tail => {
                    self.tail(&mut out);
                    Next::Done
                }
                Next::Done => Next::Done,
            };
        }
        self.pieces.piece(out)
    }
}
