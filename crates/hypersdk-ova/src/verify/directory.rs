use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::chunks::Chunks;
use super::member::{Content, Found, MemberCheck, is_certificate, is_descriptor, is_manifest};
use super::report::{FaultClass, Level, Report};
use super::{VerifyError, rules};
use crate::digest::DigestAlgorithm;
use crate::manifest::Manifest;
use crate::package::{certificate_name, manifest_name};
use crate::tar::check_member_name;

const PIECE_BYTES: usize = 1 << 20;

/// Reads the files that belong to a descriptor: those it and its manifest name. Others in the
/// same folder are none of its business.
pub(super) fn read(
    folder: &Path,
    descriptor: &str,
    level: Level,
    report: &mut Report,
) -> Result<Option<Vec<Found>>, VerifyError> {
    let package = &descriptor[..descriptor.len() - ".ovf".len()];
    let (manifest, certificate) = (manifest_name(package), certificate_name(package));
    let mut found = Vec::new();
    let mut chunks = Chunks::new(level);
    for name in [descriptor, &manifest, &certificate] {
        found.extend(read_file(folder, name, &[DigestAlgorithm::Sha256], &mut chunks, level, report)?);
    }
    let algorithms = rules::algorithms(found.iter().filter_map(|file| match &file.content {
        Content::Text(text) => Some(text),
        _ => None,
    }));
    if algorithms != [DigestAlgorithm::Sha256] {
        found.clear();
        for name in [descriptor, &manifest, &certificate] {
            found.extend(read_file(folder, name, &algorithms, &mut chunks, level, report)?);
        }
    }
    for name in named_files(&found) {
        let file = match level {
            Level::Headers => look_at(folder, &name, report)?,
            _ => read_file(folder, &name, &algorithms, &mut chunks, level, report)?,
        };
        found.extend(file);
    }
    report.faults.extend(chunks.finish(&mut found));
    Ok(Some(found))
}

/// The names in descriptor and manifest, in order, without those two; only such as stay inside
/// the folder. What cannot be parsed is the rules' business.
fn named_files(found: &[Found]) -> Vec<String> {
    let mut names = Vec::new();
    for file in found {
        let Content::Text(text) = &file.content else { continue };
        if is_descriptor(&file.name) {
            if let Ok(descriptor) = rules::parse_descriptor(text) {
                names.extend(descriptor.files.iter().flat_map(rules::parts_of));
            }
        } else if let Ok((manifest, _)) = Manifest::parse(text) {
            names.extend(manifest.entries().iter().map(|entry| entry.name.clone()));
        }
    }
    let mut seen: HashSet<String> = found.iter().map(|file| file.name.clone()).collect();
    names.retain(|name| {
        check_member_name(name).is_ok()
            && !is_manifest(name)
            && !is_certificate(name)
            && seen.insert(name.clone())
    });
    names
}

/// Opens a file of the package; `None` if it is not there, or is no file.
fn open(folder: &Path, name: &str, report: &mut Report) -> Result<Option<File>, VerifyError> {
    let path = folder.join(name);
    let kind = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata.file_type(),
        // A missing file is found by the rules.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VerifyError::io(&path)(error)),
    };
    if !kind.is_file() {
        report.fault(FaultClass::Unsafe, Some(name), "it is no file but a link, folder or device");
        return Ok(None);
    }
    File::open(&path).map(Some).map_err(VerifyError::io(&path))
}

fn read_file(
    folder: &Path,
    name: &str,
    algorithms: &[DigestAlgorithm],
    chunks: &mut Chunks,
    level: Level,
    report: &mut Report,
) -> Result<Option<Found>, VerifyError> {
    let Some(mut file) = open(folder, name, report)? else { return Ok(None) };
    let mut check = MemberCheck::new(name, algorithms, level, chunks.part(name));
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece).map_err(VerifyError::io(&folder.join(name)))? {
            0 => break,
            length => {
                check.push(&piece[..length]);
                chunks.push(&piece[..length]);
            }
        }
    }
    let (found, faults) = check.finish();
    report.faults.extend(faults);
    chunks.learn(&found);
    Ok(Some(found))
}

fn look_at(folder: &Path, name: &str, report: &mut Report) -> Result<Option<Found>, VerifyError> {
    let Some(file) = open(folder, name, report)? else { return Ok(None) };
    let size = file.metadata().map_err(VerifyError::io(&folder.join(name)))?.len();
    Ok(Some(Found::from_header(name, size, None, &[])))
}
