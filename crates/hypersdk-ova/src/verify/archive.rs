use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio_tar::Archive;

use super::chunks::Chunks;
use super::gauge::{Gauge, Gauged};
use super::member::{Found, MemberCheck, text_limit};
use super::report::{FaultClass, Level, PackageFormat, Report};
use super::{VerifyError, rules};
use crate::blocking::{BlockingFile, run};
use crate::digest::DigestAlgorithm;
use crate::ova::{ArchiveMember, MAX_MEMBERS, scan};
use crate::tar::{EntryKind, check_member_name};

const PIECE_BYTES: usize = 256 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Longer than any name or PAX record.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

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
    let source = BlockingFile::new(file.try_clone().map_err(io_error())?);
    if magic[..2] == GZIP_MAGIC {
        report.format = PackageFormat::OvaGzip;
        let mut decoder = GzipDecoder::new(BufReader::with_capacity(PIECE_BYTES, source));
        decoder.multiple_members(true);
        return Ok(run(stream(decoder, Gauge::wrapped(length), &DigestAlgorithm::ALL, level, report)));
    }
    if magic == ZSTD_MAGIC {
        report.format = PackageFormat::OvaZstd;
        let decoder = ZstdDecoder::new(BufReader::with_capacity(PIECE_BYTES, source));
        return Ok(run(stream(decoder, Gauge::wrapped(length), &DigestAlgorithm::ALL, level, report)));
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
    Ok(run(stream(source, Gauge::plain(), &algorithms, level, report)))
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
            EntryKind::Extension if member.size > MAX_EXTENSION_BYTES => {
                let message = format!("a PAX or long-name header of {} bytes", member.size);
                report.fault_at(FaultClass::Archive, None, offset, message);
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

/// The bytes of descriptor, manifest and certificate, beside the members they belong to.
fn read_texts(file: &File, members: &[ArchiveMember]) -> io::Result<Vec<Option<Vec<u8>>>> {
    let read = |member: &ArchiveMember| {
        let Some(limit) = text_limit(&member.name) else { return Ok(None) };
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
    gauge: Gauge,
    algorithms: &[DigestAlgorithm],
    level: Level,
    report: &mut Report,
) -> Option<Vec<Found>> {
    let mut archive = Archive::new(Gauged::new(reader, gauge.clone()));
    let (found, fault) = match entries(&mut archive, &gauge, algorithms, level, report).await {
        Ok(found) => (Some(found), None),
        Err(error) => (None, Some(error)),
    };
    gauge.enter_member();
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
        report.fault(class, None, gauge.refusal().map_or_else(|| error.to_string(), str::to_owned));
        return None;
    }
    found
}

async fn entries<R: AsyncRead + Unpin + Send>(
    archive: &mut Archive<Gauged<R>>,
    gauge: &Gauge,
    algorithms: &[DigestAlgorithm],
    level: Level,
    report: &mut Report,
) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut chunks = Chunks::new(level);
    let mut names = HashSet::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut entries = archive.entries()?;
    loop {
        gauge.enter_headers();
        let Some(entry) = entries.next().await else { break };
        let mut entry = entry?;
        gauge.enter_member();
        if names.len() == MAX_MEMBERS {
            report.fault(FaultClass::Archive, None, "more members than any package has");
            break;
        }
        let offset = Some(entry.raw_header_position());
        let name = String::from_utf8_lossy(&entry.path_bytes()?).into_owned();
        let refused = if !entry.header().entry_type().is_file() {
            Some((FaultClass::Unsafe, format!("{name:?} is no file")))
        } else if let Err(error) = check_member_name(&name) {
            Some((FaultClass::Unsafe, error.to_string()))
        } else if !names.insert(name.clone()) {
            Some((FaultClass::Archive, format!("{name:?} comes twice")))
        } else {
            None
        };
        if let Some((class, message)) = refused {
            if report.faults.len() < MAX_MEMBERS {
                report.fault_at(class, None, offset, message);
            }
            while entry.read(&mut piece).await? > 0 {}
            continue;
        }
        let announced = entry.effective_size();
        let mut check = MemberCheck::new(&name, algorithms, level, chunks.part(&name));
        let mut size = 0;
        loop {
            let length = entry.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            size += length as u64;
            check.push(&piece[..length]);
            chunks.push(&piece[..length]);
        }
        let (member, faults) = check.finish();
        report.faults.extend(faults);
        chunks.learn(&member);
        found.push(member);
        if size != announced {
            // tokio-tar lets this pass.
            let message = format!("{size} bytes of {announced}");
            report.fault_at(FaultClass::Truncated, Some(&name), Some(size), message);
            break;
        }
    }
    report.faults.extend(chunks.finish(&mut found));
    Ok(found)
}

async fn drain<R: AsyncRead + Unpin>(reader: &mut R) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    while reader.read(&mut piece).await? > 0 {}
    Ok(())
}
