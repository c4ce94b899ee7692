use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::digest::{Digest, DigestAlgorithm};
use crate::package::{
    MAX_CHUNKS, PackageSummary, PackagedFile, certificate_name, descriptor_name, manifest_name, manifest_of,
};
use crate::sign::{SignError, Signer};
use crate::tar::{BLOCK_BYTES, TarError, TarHeader, check_member_name, padding};
use crate::writeback::begin_writeback;

mod body;
mod chunks;
mod shift;
mod window;

use body::Body;
use chunks::ChunkSeries;

/// The smallest step by which an insertion into a file can move its rest.
const SLOT_STEP_BYTES: u64 = 64 << 10;

/// What a new archive is.
#[derive(Debug, Clone)]
pub struct OvaOptions {
    /// The package's name: the descriptor becomes `NAME.ovf`, the manifest `NAME.mf`.
    pub name: String,
    /// How the members were, and the descriptor is to be, hashed.
    pub algorithm: DigestAlgorithm,
    /// How much room the descriptor gets, in bytes. One that outgrows it costs moving all that
    /// was written, so be generous.
    pub descriptor_slot_bytes: u64,
    /// The members' time of change, in seconds since 1970.
    pub mtime: u64,
}

impl OvaOptions {
    /// An archive of this name with SHA-256, a slot of 64 KiB, and time 0.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            algorithm: DigestAlgorithm::default(),
            descriptor_slot_bytes: SLOT_STEP_BYTES,
            mtime: 0,
        }
    }
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OvaError {
    /// A name that importers do not take.
    #[error(transparent)]
    Name(#[from] TarError),
    /// Two members of one name.
    #[error("member {0:?} comes twice")]
    Duplicate(String),
    /// The calls came in an order that makes no archive.
    #[error("{0}")]
    Order(&'static str),
    /// A member was hashed with another algorithm than the manifest is to use.
    #[error("{name} was hashed with {found}, the manifest uses {wanted}")]
    Algorithm {
        /// The member.
        name: String,
        /// Its digest's algorithm.
        found: DigestAlgorithm,
        /// The manifest's.
        wanted: DigestAlgorithm,
    },
    /// A member in more than [`MAX_CHUNKS`] chunks.
    #[error("{0} makes more than {MAX_CHUNKS} chunks")]
    TooManyChunks(String),
    /// It could not be signed.
    #[error("sign manifest")]
    Sign(#[from] SignError),
    /// Reading a spool or writing the archive failed.
    #[error("write archive")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct OpenMember {
    name: String,
    header_offset: u64,
}

/// Writes an OVA in one pass: blocking, for a thread of its own.
///
/// `create`, then for each member `begin_member`, `write`…, `end_member` (or `append_file` for
/// one that lies in a file; or `begin_chunked_member`, `write`…, `end_chunked_member`), then
/// `finish` or `finish_signed`. Dropped before that it leaves an incomplete file,
/// which the caller removes; a finished one the caller renames.
#[derive(Debug)]
pub struct OvaWriter {
    file: Arc<File>,
    options: OvaOptions,
    slot_bytes: u64,
    /// Everything behind the slot.
    body: Body,
    open: Option<OpenMember>,
    /// The chunked member that is open; its chunks are members.
    series: Option<ChunkSeries>,
    members: Vec<PackagedFile>,
}

impl OvaWriter {
    /// Begins an archive in a new file, or in the place of an existing one.
    ///
    /// # Errors
    /// `Name` if the package's name makes no member name; `Io`.
    pub fn create(path: &Path, options: OvaOptions) -> Result<Self, OvaError> {
        check_member_name(&descriptor_name(&options.name))?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let slot_bytes = options.descriptor_slot_bytes.max(1).next_multiple_of(4096);
        let start = BLOCK_BYTES + slot_bytes;
        file.set_len(start)?;
        let file = Arc::new(file);
        let body = Body::new(path, Arc::clone(&file), start)?;
        let (open, series, members) = (None, None, Vec::new());
        Ok(Self { file, options, slot_bytes, body, open, series, members })
    }

    /// Begins a member whose size is not known yet.
    ///
    /// # Errors
    /// `Name`, `Duplicate`, `Order` if one is open already, `Io`.
    pub fn begin_member(&mut self, name: &str) -> Result<(), OvaError> {
        self.check_new(name)?;
        self.open_member(name)
    }

    /// Adds bytes to the open member.
    ///
    /// # Errors
    /// `Order` if none is open; `Io`.
    pub fn write(&mut self, data: &[u8]) -> Result<(), OvaError> {
        match self.open {
            _ if self.series.is_some() => self.write_chunks(data),
            Some(_) => Ok(self.body.put(data)?),
            None => Err(OvaError::Order("bytes came without a member")),
        }
    }

    /// How many bytes the open member has, in all its chunks; 0 without one.
    #[must_use]
    pub fn member_bytes(&self) -> u64 {
        if let Some(series) = &self.series {
            return series.bytes;
        }
        self.open.as_ref().map_or(0, |member| self.body.position() - member.header_offset - BLOCK_BYTES)
    }

    /// Drops the open member's bytes: its source starts over.
    ///
    /// # Errors
    /// `Order` if none is open; `Io`.
    pub fn restart_member(&mut self) -> Result<(), OvaError> {
        if self.series.is_some() {
            return self.restart_chunks();
        }
        let member = self.open.as_ref().ok_or(OvaError::Order("no member to start over"))?;
        Ok(self.body.rewind(member.header_offset + BLOCK_BYTES)?)
    }

    /// Drops the open member altogether, as if it had not begun.
    ///
    /// # Errors
    /// `Order` if none is open; `Io`.
    pub fn discard_member(&mut self) -> Result<(), OvaError> {
        if self.series.is_some() {
            self.restart_chunks()?;
            self.series = None;
            return Ok(());
        }
        let member = self.open.take().ok_or(OvaError::Order("no member to discard"))?;
        Ok(self.body.rewind(member.header_offset)?)
    }

    /// Ends the open member, whose bytes have this digest, and gives its size in bytes.
    ///
    /// # Errors
    /// `Order` if none is open; `Algorithm`; `Io`.
    pub fn end_member(&mut self, digest: Digest) -> Result<u64, OvaError> {
        if self.series.is_some() {
            return Err(OvaError::Order("a chunked member ends otherwise"));
        }
        self.close_member(digest)
    }

    fn open_member(&mut self, name: &str) -> Result<(), OvaError> {
        self.open = Some(OpenMember { name: name.to_owned(), header_offset: self.body.position() });
        Ok(self.body.put(&[0; BLOCK_BYTES as usize])?)
    }

    fn close_member(&mut self, digest: Digest) -> Result<u64, OvaError> {
        let member = self.open.take().ok_or(OvaError::Order("no member to end"))?;
        let size = self.body.position() - member.header_offset - BLOCK_BYTES;
        self.check_digest(&member.name, &digest)?;
        let header = TarHeader::file(&member.name, size, self.options.mtime)?.encode();
        self.body.patch(member.header_offset, &header)?;
        self.body.put(&[0; BLOCK_BYTES as usize][..padding(size) as usize])?;
        self.members.push(PackagedFile { name: member.name, size, digest });
        Ok(size)
    }

    /// Adds a member that lies in a file, copied inside the kernel where that can be.
    ///
    /// # Errors
    /// `Name`, `Duplicate`, `Algorithm`, `Order` if a member is open, `Io`.
    pub fn append_file(&mut self, name: &str, source: &File, digest: Digest) -> Result<u64, OvaError> {
        self.check_new(name)?;
        self.check_digest(name, &digest)?;
        let size = source.metadata()?.len();
        self.body.put(&TarHeader::file(name, size, self.options.mtime)?.encode())?;
        self.body.flush()?;
        let position = self.body.position();
        shift::append_file(source, &self.file, position, size)?;
        self.body.skip(size);
        begin_writeback(&self.file, position..position + size);
        self.body.put(&[0; BLOCK_BYTES as usize][..padding(size) as usize])?;
        self.members.push(PackagedFile { name: name.to_owned(), size, digest });
        Ok(size)
    }

    /// The members so far, in their order.
    #[must_use]
    pub fn members(&self) -> &[PackagedFile] {
        &self.members
    }

    /// Completes the archive: descriptor into its slot, manifest, end, and all of it durable.
    ///
    /// The descriptor's digest is that of the member's bytes, padding included.
    ///
    /// # Errors
    /// `Order` if a member is open; `Io`.
    pub fn finish(self, descriptor: &str) -> Result<PackageSummary, OvaError> {
        self.complete(descriptor, None)
    }

    /// Like [`finish`](Self::finish), with a certificate file behind the manifest.
    ///
    /// # Errors
    /// The same; `Sign`.
    pub fn finish_signed(self, descriptor: &str, signer: &Signer) -> Result<PackageSummary, OvaError> {
        self.complete(descriptor, Some(signer))
    }

    fn complete(mut self, descriptor: &str, signer: Option<&Signer>) -> Result<PackageSummary, OvaError> {
        if self.open.is_some() || self.series.is_some() {
            return Err(OvaError::Order("a member is still open"));
        }
        let text = descriptor.trim_end();
        self.body.flush()?;
        self.make_room(text.len() as u64 + 1)?;
        let content = pad_descriptor(text, self.slot_bytes as usize);
        let name = descriptor_name(&self.options.name);
        let header = TarHeader::file(&name, self.slot_bytes, self.options.mtime)?;
        let digest = Digest::of(self.options.algorithm, &content);
        let descriptor = PackagedFile { name, size: self.slot_bytes, digest };
        self.file.write_all_at(&[&header.encode()[..], &content].concat(), 0)?;

        let text = manifest_of(&descriptor, &self.members).to_string();
        let manifest = self.put_text(manifest_name(&self.options.name), &text)?;
        let certificate = match signer {
            Some(signer) => {
                let text = signer.sign(&manifest.name, text.as_bytes(), self.options.algorithm)?;
                Some(self.put_text(certificate_name(&self.options.name), &text)?)
            }
            None => None,
        };
        self.body.put(&[0; 2 * BLOCK_BYTES as usize])?;
        self.body.flush()?;
        self.file.sync_all()?;
        Ok(PackageSummary {
            descriptor,
            files: self.members,
            manifest,
            certificate,
            bytes: self.body.position(),
        })
    }

    fn put_text(&mut self, name: String, text: &str) -> Result<PackagedFile, OvaError> {
        let size = text.len() as u64;
        self.body.put(&TarHeader::file(&name, size, self.options.mtime)?.encode())?;
        self.body.put(text.as_bytes())?;
        self.body.put(&[0; BLOCK_BYTES as usize][..padding(size) as usize])?;
        let digest = Digest::of(self.options.algorithm, text.as_bytes());
        Ok(PackagedFile { name, size, digest })
    }

    fn check_new(&self, name: &str) -> Result<(), OvaError> {
        if self.open.is_some() || self.series.is_some() {
            return Err(OvaError::Order("a member is still open"));
        }
        self.check_name(name)
    }

    fn check_name(&self, name: &str) -> Result<(), OvaError> {
        check_member_name(name)?;
        let own = [descriptor_name, manifest_name, certificate_name].map(|of| of(&self.options.name));
        if own.iter().any(|taken| taken == name) || self.members.iter().any(|member| member.name == name) {
            return Err(OvaError::Duplicate(name.to_owned()));
        }
        Ok(())
    }

    fn check_digest(&self, name: &str, digest: &Digest) -> Result<(), OvaError> {
        let (found, wanted) = (digest.algorithm(), self.options.algorithm);
        if found != wanted {
            return Err(OvaError::Algorithm { name: name.to_owned(), found, wanted });
        }
        Ok(())
    }

    fn make_room(&mut self, wanted: u64) -> Result<(), OvaError> {
        if wanted <= self.slot_bytes {
            return Ok(());
        }
        let by = (wanted - self.slot_bytes).next_multiple_of(SLOT_STEP_BYTES);
        shift::open_gap(&self.file, BLOCK_BYTES + self.slot_bytes, self.body.position(), by)?;
        self.slot_bytes += by;
        self.body.skip(by);
        Ok(())
    }
}

/// Fills up with lines of spaces: white space behind the root element is well-formed XML.
fn pad_descriptor(text: &str, size: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(size);
    content.extend_from_slice(text.as_bytes());
    content.push(b'\n');
    while content.len() < size {
        let line = (size - content.len()).min(128);
        content.resize(content.len() + line - 1, b' ');
        content.push(b'\n');
    }
    content
}
