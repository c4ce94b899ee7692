use super::descriptor::DiskDescriptor;
use super::grain::{Grain, GrainSink, NoSink};
use super::header::{Layout, SparseHeader, TABLE_SECTORS, u32_at};
use super::marker::{self, Marker};
use super::summary::{DiskFront, DiskSummary, StreamProgress};
use super::tables::TableCheck;
use super::{SECTOR_BYTES, VmdkError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    /// Descriptor, padding, and with the directory up front also that and its tables.
    Front,
    Marker,
    Payload {
        lba: u64,
        offset: u64,
        size: u64,
        left: u64,
    },
    /// Bytes of no interest.
    Skip {
        left: u64,
    },
    /// Sectors of a metadata marker.
    Metadata {
        kind: u32,
        left: u64,
    },
    End,
}

/// Checks a streamOptimized VMDK as its bytes pass, in pieces cut anywhere.
///
/// Memory: one bit a grain, eight bytes per 128 grains and per 128 table entries in use, and the
/// grain directory; 4 MiB for a full disk of 1 TiB. Without a sink no payload byte is copied.
#[derive(Debug)]
pub struct StreamInspector<S = NoSink> {
    state: State,
    sector: Box<[u8; 512]>,
    filled: usize,
    offset: u64,
    header: Option<SparseHeader>,
    tables: Option<TableCheck>,
    raw_descriptor: Vec<u8>,
    directory: Option<(u64, Vec<u32>)>,
    footer: Option<SparseHeader>,
    payload: Vec<u8>,
    grains: u64,
    populated_bytes: u64,
    compressed_bytes: u64,
    position: u64,
    sink: S,
}

impl StreamInspector {
    /// An inspector of the structure alone.
    #[must_use]
    pub fn new() -> Self {
        Self::with_sink(NoSink)
    }
}

impl Default for StreamInspector {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: GrainSink> StreamInspector<S> {
    /// An inspector that hands each compressed grain to `sink`.
    #[must_use]
    pub fn with_sink(sink: S) -> Self {
        Self {
            state: State::Header,
            sector: Box::new([0; 512]),
            filled: 0,
            offset: 0,
            header: None,
            tables: None,
            raw_descriptor: Vec::new(),
            directory: None,
            footer: None,
            payload: Vec::new(),
            grains: 0,
            populated_bytes: 0,
            compressed_bytes: 0,
            position: 0,
            sink,
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// As soon as the stream cannot become a valid one; the inspector is of no use afterwards.
    pub fn push(&mut self, mut data: &[u8]) -> Result<(), VmdkError> {
        while !data.is_empty() {
            match self.state {
                State::Skip { left } => {
                    let step = left.min(data.len() as u64);
                    self.advance(&mut data, step as usize);
                    self.state = if left == step { State::Marker } else { State::Skip { left: left - step } };
                }
                State::Payload { lba, offset, size, left } => {
                    let step = left.min(data.len() as u64) as usize;
                    self.take_payload(&data[..step], lba, offset, size)?;
                    self.advance(&mut data, step);
                    self.after_payload(lba, offset, size, left - step as u64);
                }
                State::Marker => self.take_marker(&mut data)?,
                State::Header | State::Front | State::Metadata { .. } => {
                    if self.gather(&mut data, 512) {
                        self.filled = 0;
                        self.take_sector()?;
                    }
                }
                State::End => {
                    if let Some(at) = data.iter().position(|&byte| byte != 0) {
                        return Err(VmdkError::TrailingData { offset: self.offset + at as u64 });
                    }
                    let rest = data.len();
                    self.advance(&mut data, rest);
                }
            }
        }
        Ok(())
    }

    /// Says that the stream is at its end.
    ///
    /// # Errors
    /// `Truncated` if it should have gone on; `Tables` if directory or tables contradict the grains.
    pub fn finish(self) -> Result<DiskSummary, VmdkError> {
        self.finish_with_sink().map(|(summary, _)| summary)
    }

    /// Like [`finish`](Self::finish), and gives the sink back.
    ///
    /// # Errors
    /// The same.
    pub fn finish_with_sink(self) -> Result<(DiskSummary, S), VmdkError> {
        self.summary().map(|summary| (summary, self.sink))
    }

    /// What [`finish`](Self::finish) gives, with the inspector left whole.
    pub(super) fn summary(&self) -> Result<DiskSummary, VmdkError> {
        let Some(header) = self.header else {
            return Err(self.truncated("header"));
        };
        let at_boundary = self.state == State::Marker && self.filled == 0;
        match (header.layout(), self.state) {
            (Layout::DirectoryAtEnd, State::End) | (Layout::DirectoryUpFront, State::End) => {}
            (Layout::DirectoryUpFront, State::Marker) if at_boundary => {}
            (_, State::Front) => return Err(self.truncated("metadata in front of the grains")),
            (_, State::Payload { .. }) => return Err(self.truncated("rest of a grain")),
            (Layout::DirectoryAtEnd, _) if self.footer.is_some() => {
                return Err(self.truncated("end-of-stream marker"));
            }
            (Layout::DirectoryAtEnd, _) => return Err(self.truncated("footer and end-of-stream marker")),
            _ => return Err(self.truncated("rest of a marker")),
        }
        let wanted = match header.layout() {
            Layout::DirectoryUpFront => header.gd_offset,
            Layout::DirectoryAtEnd => self.footer.as_ref().map_or(0, |footer| footer.gd_offset),
        };
        let directory = match &self.directory {
            Some((sector, entries)) if *sector == wanted => entries,
            _ => {
                return Err(VmdkError::Tables(format!(
                    "there is none at sector {wanted}, where it should be"
                )));
            }
        };
        if let Some(tables) = &self.tables {
            tables.check(directory, self.offset)?;
        }
        let summary = DiskSummary {
            version: header.version,
            layout: header.layout(),
            capacity_bytes: header.capacity * SECTOR_BYTES,
            grain_bytes: header.grain_bytes(),
            grains: self.grains,
            populated_bytes: self.populated_bytes,
            compressed_bytes: self.compressed_bytes,
            stream_bytes: self.offset,
            descriptor: DiskDescriptor::parse(&self.raw_descriptor)?,
        };
        Ok(summary)
    }

    /// How far along the disk the stream has come.
    #[must_use]
    pub fn progress(&self) -> StreamProgress {
        StreamProgress {
            position_bytes: self.position * SECTOR_BYTES,
            capacity_bytes: self.header.map_or(0, |header| header.capacity * SECTOR_BYTES),
        }
    }

    /// How many grains have passed.
    #[must_use]
    pub fn grains(&self) -> u64 {
        self.grains
    }

    /// How many bytes of the disk these grains cover.
    #[must_use]
    pub fn populated_bytes(&self) -> u64 {
        self.populated_bytes
    }

    /// How many bytes of the stream have passed.
    #[must_use]
    pub fn stream_bytes(&self) -> u64 {
        self.offset
    }

    /// The sink, whatever became of the stream.
    pub(super) fn into_sink(self) -> S {
        self.sink
    }

    /// The sink.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    fn advance(&mut self, data: &mut &[u8], step: usize) {
        *data = &data[step..];
        self.offset += step as u64;
    }

    /// Gathers bytes in `sector` until `wanted` are there.
    fn gather(&mut self, data: &mut &[u8], wanted: usize) -> bool {
        let step = wanted.saturating_sub(self.filled).min(data.len());
        self.sector[self.filled..self.filled + step].copy_from_slice(&data[..step]);
        self.filled += step;
        self.advance(data, step);
        self.filled >= wanted
    }

    fn take_sector(&mut self) -> Result<(), VmdkError> {
        let sector = self.offset / SECTOR_BYTES - 1;
        match self.state {
            State::Header => {
                let header = SparseHeader::parse(&self.sector)?;
                self.tables = Some(TableCheck::new(&header));
                self.header = Some(header);
                self.state = State::Front;
            }
            State::Front => self.take_front(sector)?,
            State::Metadata { kind, left } => {
                self.take_metadata(kind, sector)?;
                self.state = match left {
                    1 => State::Marker,
                    _ => State::Metadata { kind, left: left - 1 },
                };
            }
            _ => unreachable!("only these states gather whole sectors"),
        }
        Ok(())
    }

    fn take_front(&mut self, sector: u64) -> Result<(), VmdkError> {
        let header = self.header.expect("the front follows the header");
        let descriptor_end = header.descriptor_offset + header.descriptor_sectors;
        if (header.descriptor_offset..descriptor_end).contains(&sector) {
            self.raw_descriptor.extend_from_slice(&self.sector[..]);
            if sector + 1 == descriptor_end {
                self.sink.begin(&DiskFront {
                    capacity_bytes: header.capacity * SECTOR_BYTES,
                    grain_bytes: header.grain_bytes(),
                    descriptor: DiskDescriptor::parse(&self.raw_descriptor)?,
                })?;
            }
        } else if header.layout() == Layout::DirectoryUpFront {
            if (header.gd_offset..header.gd_offset + header.directory_sectors()).contains(&sector) {
                self.take_directory(header.gd_offset);
            } else {
                self.take_table(sector);
            }
        }
        if sector + 1 == header.overhead {
            self.state = State::Marker;
        }
        Ok(())
    }

    fn take_metadata(&mut self, kind: u32, sector: u64) -> Result<(), VmdkError> {
        match kind {
            marker::GRAIN_TABLE => self.take_table(sector),
            marker::GRAIN_DIRECTORY => {
                let first = self.directory.as_ref().map_or(sector, |(first, _)| *first);
                self.take_directory(first);
            }
            marker::FOOTER => {
                let footer = SparseHeader::parse(&self.sector)?;
                let header = self.header.expect("markers follow the header");
                if (footer.capacity, footer.grain_sectors) != (header.capacity, header.grain_sectors) {
                    let reason = "the footer describes another disk than the header".to_owned();
                    return Err(VmdkError::Marker { offset: self.offset - SECTOR_BYTES, reason });
                }
                self.footer = Some(footer);
            }
            _ => {}
        }
        Ok(())
    }

    fn take_table(&mut self, sector: u64) {
        if let Some(tables) = &mut self.tables {
            tables.table_sector(sector, &self.sector);
        }
    }

    fn take_directory(&mut self, first: u64) {
        let (_, entries) = self.directory.get_or_insert_with(|| (first, Vec::new()));
        entries.extend((0..128).map(|index| u32_at(&self.sector[..], index * 4)));
    }

    fn take_marker(&mut self, data: &mut &[u8]) -> Result<(), VmdkError> {
        if !self.gather(data, marker::GRAIN_HEADER_BYTES) {
            return Ok(());
        }
        let found = Marker::parse(&self.sector[..]);
        if found.size > 0 {
            self.filled = 0;
            return self.begin_grain(found);
        }
        if self.gather(data, 512) {
            self.filled = 0;
            let kind = u32_at(&self.sector[..], marker::METADATA_BYTES - 4);
            return self.begin_metadata(kind, found.value);
        }
        Ok(())
    }

    fn begin_grain(&mut self, found: Marker) -> Result<(), VmdkError> {
        let header = self.header.expect("markers follow the header");
        let offset = self.offset - marker::GRAIN_HEADER_BYTES as u64;
        let (lba, size) = (found.value, u64::from(found.size));
        let refuse = |reason: String| Err(VmdkError::Grain { offset, lba, reason });
        if self.footer.is_some() {
            return refuse("it comes after the footer".into());
        }
        if lba >= header.capacity {
            return refuse(format!("the disk has {} sectors", header.capacity));
        }
        if !lba.is_multiple_of(header.grain_sectors) {
            return refuse(format!("grains begin at multiples of {} sectors", header.grain_sectors));
        }
        if size > header.max_compressed() {
            return refuse(format!("{size} compressed bytes are more than a grain can take"));
        }
        let Ok(sector) = u32::try_from(offset / SECTOR_BYTES) else {
            return refuse("it lies beyond the 2 TiB of stream that a grain table can address".into());
        };
        let index = lba / header.grain_sectors;
        if !self.tables.as_mut().is_none_or(|tables| tables.grain(index, sector)) {
            return refuse("the same grain came before".into());
        }
        let covered = header.grain_len(index);
        self.grains += 1;
        self.populated_bytes += covered;
        self.compressed_bytes += size;
        self.position = self.position.max(lba + covered / SECTOR_BYTES);
        self.state = State::Payload { lba, offset, size, left: size };
        Ok(())
    }

    fn take_payload(&mut self, piece: &[u8], lba: u64, offset: u64, size: u64) -> Result<(), VmdkError> {
        if !S::WANTS_GRAINS {
            return Ok(());
        }
        let header = self.header.expect("grains follow the header");
        let disk_bytes = header.grain_len(lba / header.grain_sectors) as usize;
        let grain_bytes = header.grain_bytes() as usize;
        if piece.len() as u64 == size {
            return self.sink.grain(Grain { lba, offset, disk_bytes, grain_bytes, payload: piece });
        }
        self.payload.extend_from_slice(piece);
        if self.payload.len() as u64 == size {
            self.sink.grain(Grain { lba, offset, disk_bytes, grain_bytes, payload: &self.payload })?;
            self.payload.clear();
        }
        Ok(())
    }

    fn after_payload(&mut self, lba: u64, offset: u64, size: u64, left: u64) {
        self.state = match (left, marker::grain_padding(size)) {
            (0, 0) => State::Marker,
            (0, padding) => State::Skip { left: padding },
            _ => State::Payload { lba, offset, size, left },
        };
    }

    fn begin_metadata(&mut self, kind: u32, sectors: u64) -> Result<(), VmdkError> {
        let header = self.header.expect("markers follow the header");
        let refuse = |reason: String| Err(VmdkError::Marker { offset: self.offset - SECTOR_BYTES, reason });
        let directory = header.directory_sectors();
        let (name, wanted) = match kind {
            marker::END_OF_STREAM => ("end-of-stream", 0),
            marker::GRAIN_TABLE => ("grain table", TABLE_SECTORS),
            // Longer than it need be is no harm.
            marker::GRAIN_DIRECTORY => ("grain directory", sectors.clamp(directory, directory + 2048)),
            marker::FOOTER => ("footer", 1),
            // Not in the technical note; how much follows is not bound to anything else.
            marker::PROGRESS if sectors <= 2048 => ("progress", sectors),
            marker::PROGRESS => return refuse(format!("a progress marker of {sectors} sectors")),
            _ => return refuse(format!("type {kind} is not known")),
        };
        if sectors != wanted {
            return refuse(format!("a {name} marker of {sectors} sectors instead of {wanted}"));
        }
        if kind == marker::END_OF_STREAM && header.layout() == Layout::DirectoryAtEnd && self.footer.is_none()
        {
            return refuse("the stream ends without its footer".into());
        }
        if kind == marker::GRAIN_DIRECTORY && self.directory.is_some() {
            return refuse("a second grain directory".into());
        }
        if self.footer.is_some() && kind != marker::END_OF_STREAM {
            return refuse(format!("a {name} marker after the footer"));
        }
        self.state = match (kind, sectors) {
            (marker::END_OF_STREAM, _) => State::End,
            (_, 0) => State::Marker,
            _ => State::Metadata { kind, left: sectors },
        };
        Ok(())
    }

    fn truncated(&self, missing: &str) -> VmdkError {
        VmdkError::Truncated { offset: self.offset, missing: missing.to_owned() }
    }
}
