use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader, ReadBuf};
use tokio_tar::Archive;

use super::member::{Found, MemberCheck, is_descriptor, is_manifest};
use super::report::{FaultClass, Level, PackageFormat, Report};
use super::{VerifyError, rules};
use crate::digest::DigestAlgorithm;
use crate::manifest::MAX_MANIFEST_BYTES;
use crate::ova::{ArchiveMember, scan};
use crate::ovf::MAX_DESCRIPTOR_BYTES;
use crate::tar::{EntryKind, check_member_name};

const PIECE_BYTES: usize = 256 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads an archive. `None` if it is too damaged to compare its parts: the report says why.
pub(super) fn read(
    path: &Path,
    file: &File,
    level: Level,
    report: &mut Report,
) -> Result<Option<Vec<Found>>, VerifyError> {
    let io_error = || VerifyError::io(path);
    let mut magic = [0; 4];
    let length = file.metadata().map_err(io_error())?.len();
    file.read_exact_at(&mut magic[..length.min(4) as usize], 0).map_err(io_error())?;
    let source = BlockingFile { file: file.try_clone().map_err(io_error())? };
    if magic[..2] == GZIP_MAGIC {
        report.format = PackageFormat::OvaGzip;
        let mut decoder = GzipDecoder::new(BufReader::with_capacity(PIECE_BYTES, source));
        decoder.multiple_members(true);
        return Ok(run(stream(decoder, &DigestAlgorithm::ALL, level, report)));
    }
    if magic == ZSTD_MAGIC {
        report.format = PackageFormat::OvaZstd;
        let decoder = ZstdDecoder::new(BufReader::with_capacity(PIECE_BYTES, source));
        return Ok(run(stream(decoder, &DigestAlgorithm::ALL, level, report)));
    }
    let scanned = scan(file).map_err(io_error())?;
    check_headers(&scanned.members, report);
    if let Some(fault) = scanned.fault {
        let class = if fault.truncated { FaultClass::Truncated } else { FaultClass::Archive };
        report.fault_at(class, None, Some(fault.offset), fault.message);
    }
    if !report.is_ok() {
        return Ok(None);
    }
    let texts = read_texts(file, &scanned.members).map_err(io_error())?;
    let algorithms = rules::algorithms(texts.iter().flatten());
    if level == Level::Headers {
        let files = scanned.members.iter().zip(texts).filter(|(member, _)| member.kind == EntryKind::File);
        let found =
            files.map(|(member, text)| Found::from_header(&member.name, member.size, text, &algorithms));
        return Ok(Some(found.collect()));
    }
    Ok(run(stream(source, &algorithms, level, report)))
}

/// What can be said of an archive by its headers alone.
fn check_headers(members: &[ArchiveMember], report: &mut Report) {
    let mut names = HashSet::new();
    for member in members {
        let offset = Some(member.header_offset);
        match member.kind {
            EntryKind::File => {
                if let Err(error) = check_member_name(&member.name) {
                    report.fault_at(FaultClass::Unsafe, None, offset, error.to_string());
                } else if !names.insert(&member.name) {
                    report.fault_at(
                        FaultClass::Archive,
                        None,
                        offset,
                        format!("{:?} comes twice", member.name),
                    );
                }
            }
            EntryKind::Extension => {
                let message = "a PAX or long-name header: vSphere reads plain ustar and GNU sizes only";
                report.warn(None, format!("{message} (byte {})", member.header_offset));
            }
            kind @ (EntryKind::Link | EntryKind::Directory | EntryKind::Other(_)) => {
                let message = format!("{:?} is no file but {kind:?}", member.name);
                report.fault_at(FaultClass::Unsafe, None, offset, message);
            }
        }
    }
}

/// The bytes of descriptor and manifest, beside the members they belong to.
fn read_texts(file: &File, members: &[ArchiveMember]) -> io::Result<Vec<Option<Vec<u8>>>> {
    let read = |member: &ArchiveMember| {
        let limit = match () {
            () if is_descriptor(&member.name) => MAX_DESCRIPTOR_BYTES,
            () if is_manifest(&member.name) => MAX_MANIFEST_BYTES,
            () => return Ok(None),
        };
        // One byte past the limit is enough to be refused for its size.
        let mut text = vec![0; member.size.min(limit + 1) as usize];
        file.read_exact_at(&mut text, member.data_offset())?;
        Ok(Some(text))
    };
    members.iter().map(read).collect()
}

/// Reads an archive from front to back.
async fn stream<R: AsyncRead + Unpin + Send>(
    reader: R,
    algorithms: &[DigestAlgorithm],
    level: Level,
    report: &mut Report,
) -> Option<Vec<Found>> {
    let mut archive = Archive::new(reader);
    let (found, fault) = match entries(&mut archive, algorithms, level, report).await {
        Ok(found) => (Some(found), None),
        Err(error) => (None, Some(error)),
    };
    // Behind the last entry a compressed archive still has the checksum of all.
    let rest = match (fault, archive.into_inner()) {
        (None, Ok(mut reader)) => drain(&mut reader).await,
        (Some(error), _) => Err(error),
        (None, Err(_)) => Ok(()),
    };
    if let Err(error) = rest {
        let class = match error.kind() {
            io::ErrorKind::UnexpectedEof => FaultClass::Truncated,
            _ => FaultClass::Archive,
        };
        report.fault(class, None, error.to_string());
        return None;
    }
    found
}

async fn entries<R: AsyncRead + Unpin + Send>(
    archive: &mut Archive<R>,
    algorithms: &[DigestAlgorithm],
    level: Level,
    report: &mut Report,
) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut names = HashSet::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut entries = archive.entries()?;
    while let Some(entry) = entries.next().await {
        let mut entry = entry?;
        let offset = Some(entry.raw_header_position());
        let name = String::from_utf8_lossy(&entry.path_bytes()?).into_owned();
        if !entry.header().entry_type().is_file() {
            report.fault_at(FaultClass::Unsafe, None, offset, format!("{name:?} is no file"));
            continue;
        }
        if let Err(error) = check_member_name(&name) {
            report.fault_at(FaultClass::Unsafe, None, offset, error.to_string());
            continue;
        }
        if !names.insert(name.clone()) {
            report.fault_at(FaultClass::Archive, None, offset, format!("{name:?} comes twice"));
            continue;
        }
        let announced = entry.effective_size();
        let mut check = MemberCheck::new(&name, algorithms, level);
        let mut size = 0;
        loop {
            let length = entry.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            size += length as u64;
            check.push(&piece[..length]);
        }
        let (member, faults) = check.finish();
        report.faults.extend(faults);
        found.push(member);
        if size != announced {
            // tokio-tar lets this pass.
            let message = format!("{size} bytes of {announced}");
            report.fault_at(FaultClass::Truncated, Some(&name), Some(size), message);
            return Ok(found);
        }
    }
    Ok(found)
}

async fn drain<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    while reader.read(&mut piece).await? > 0 {}
    Ok(())
}

/// A file whose reads block: for a thread that may.
#[derive(Debug)]
struct BlockingFile {
    file: File,
}

impl AsyncRead for BlockingFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.file.read(target.initialize_unfilled())?;
        target.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that waits for nothing but [`BlockingFile`], which never lets it wait.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
