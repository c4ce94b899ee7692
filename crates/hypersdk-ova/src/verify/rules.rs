//! What the parts of a package must say about each other.

use std::collections::{HashMap, HashSet};

use super::member::{Content, Found, is_certificate, is_descriptor, is_manifest};
use super::report::{FaultClass, Level, PackageFormat, Report};
use crate::digest::{Digest, DigestAlgorithm};
use crate::manifest::Manifest;
use crate::ova::MAX_MEMBERS;
use crate::ovf::{OvfDescriptor, OvfDisk, OvfFile};
use crate::package::{MAX_CHUNKS, PackageSummary, PackagedFile, chunk_name};

/// The algorithms of a manifest among these texts; SHA-256 without one.
pub(super) fn algorithms<'a>(texts: impl Iterator<Item = &'a Vec<u8>>) -> Vec<DigestAlgorithm> {
    let mut algorithms = Vec::new();
    for (manifest, _) in texts.filter_map(|text| Manifest::parse(text).ok()) {
        algorithms.extend(manifest.entries().iter().map(|entry| entry.digest.algorithm()));
    }
    algorithms.sort();
    algorithms.dedup();
    if algorithms.is_empty() { vec![DigestAlgorithm::default()] } else { algorithms }
}

/// Compares what was found with what the writer says it wrote, and takes over the digests of
/// files that were not read again.
pub(super) fn check_written(found: &mut [Found], written: &PackageSummary, report: &mut Report) {
    let PackageSummary { descriptor, files, manifest, certificate, .. } = written;
    let all: Vec<&PackagedFile> = files.iter().chain([descriptor, manifest]).chain(certificate).collect();
    for file in &all {
        let Some(found) = found.iter_mut().find(|found| found.name == file.name) else {
            report.fault(FaultClass::Missing, Some(&file.name), "it was written, but is not there");
            continue;
        };
        if found.size != file.size {
            let message = format!("{} bytes, but {} were written", found.size, file.size);
            report.fault(FaultClass::Size, Some(&file.name), message);
        }
        match found.digests.iter().find(|digest| digest.algorithm() == file.digest.algorithm()) {
            Some(computed) if *computed != file.digest => {
                let message = format!("{computed}, but {} was written", file.digest);
                report.fault(FaultClass::Digest, Some(&file.name), message);
            }
            Some(_) => {}
            None => found.digests.push(file.digest.clone()),
        }
    }
    for extra in found.iter().filter(|found| all.iter().all(|file| file.name != found.name)) {
        report.fault(FaultClass::Archive, Some(&extra.name), "nobody wrote it");
    }
}

/// The names a file has in the package: its own, or those of its chunks (DSP0243, section 7.1).
pub(super) fn parts_of(file: &OvfFile) -> impl Iterator<Item = String> {
    let chunks = chunks_of(file);
    let whole = chunks.is_none().then(|| file.href.clone());
    let numbers = 0..chunks.unwrap_or(0);
    whole.into_iter().chain(numbers.map(|number| chunk_name(&file.href, number)))
}

fn chunks_of(file: &OvfFile) -> Option<u64> {
    let (chunk, size) = (file.chunk_size?, file.size?);
    Some(size.div_ceil(chunk)).filter(|&chunks| chunks <= MAX_CHUNKS)
}

/// Reads a descriptor that refers to no more files than any package has.
pub(super) fn parse_descriptor(text: &[u8]) -> Result<OvfDescriptor, String> {
    let descriptor = OvfDescriptor::parse(text).map_err(|error| error.to_string())?;
    let counts = descriptor.files.iter().map(|file| chunks_of(file).unwrap_or(1).max(1));
    if counts.sum::<u64>() > MAX_MEMBERS as u64 {
        return Err(format!("it refers to more than {MAX_MEMBERS} files"));
    }
    Ok(descriptor)
}

type ByName<'a> = HashMap<&'a str, &'a Found>;

/// Compares all that was found.
pub(super) fn check(found: &[Found], report: &mut Report) {
    let Some(descriptor) = check_descriptor(found, report) else { return };
    let by_name: ByName<'_> = found.iter().map(|file| (file.name.as_str(), file)).collect();
    if report.format != PackageFormat::Ovf {
        check_order(found, report);
    }
    for file in &descriptor.files {
        check_file(file, &by_name, report);
    }
    for disk in &descriptor.disks {
        check_disk(disk, &descriptor, &by_name, report);
    }
    if descriptor.hardware_disks < descriptor.disks.len() {
        let message = format!(
            "it lists {} disks, but the virtual hardware has {} drives",
            descriptor.disks.len(),
            descriptor.hardware_disks
        );
        report.warn(None, message);
    }
    let mentioned: HashSet<String> = descriptor.files.iter().flat_map(parts_of).collect();
    for extra in found.iter().filter(|file| !is_envelope_part(&file.name)) {
        if !mentioned.contains(&extra.name) {
            report.warn(Some(&extra.name), "the descriptor does not mention it");
        }
    }
    check_manifest(&descriptor, found, &by_name, report);
}

fn is_envelope_part(name: &str) -> bool {
    is_descriptor(name) || is_manifest(name) || is_certificate(name)
}

fn check_descriptor(found: &[Found], report: &mut Report) -> Option<OvfDescriptor> {
    let mut descriptors = found.iter().filter(|file| is_descriptor(&file.name));
    let Some(file) = descriptors.next() else {
        report.fault(FaultClass::Descriptor, None, "there is no descriptor");
        return None;
    };
    if let Some(second) = descriptors.next() {
        report.fault(FaultClass::Descriptor, Some(&second.name), "a second descriptor");
    }
    let Content::Text(text) = &file.content else { return None };
    match parse_descriptor(text) {
        Ok(descriptor) => Some(descriptor),
        Err(reason) => {
            report.fault(FaultClass::Descriptor, Some(&file.name), reason);
            None
        }
    }
}

/// DSP0243, section 6.4: descriptor first; manifest and certificate behind it, or both last.
fn check_order(found: &[Found], report: &mut Report) {
    if let Some(first) = found.first().filter(|file| !is_descriptor(&file.name)) {
        report.fault(FaultClass::Archive, Some(&first.name), "it is first where the descriptor must be");
    }
    let Some(at) = found.iter().position(|file| is_manifest(&file.name)) else { return };
    if found.iter().position(|file| is_certificate(&file.name)).is_some_and(|place| place != at + 1) {
        report.fault(FaultClass::Archive, None, "the certificate does not follow the manifest");
    }
    let last = found.len() - 1;
    let at_end = at == last || (at + 1 == last && is_certificate(&found[last].name));
    if at != 1 && !at_end {
        report.fault(FaultClass::Archive, Some(&found[at].name), "the manifest is neither second nor last");
    }
}

fn check_file(file: &OvfFile, found: &ByName<'_>, report: &mut Report) {
    let mut size = 0;
    for part in parts_of(file) {
        match found.get(part.as_str()) {
            Some(found) => size += found.size,
            None => {
                report.fault(
                    FaultClass::Missing,
                    Some(&part),
                    "the descriptor refers to it, but it is not there",
                );
                return;
            }
        }
    }
    match file.size {
        Some(told) if told != size => {
            let message = format!("{size} bytes, but the descriptor says {told}");
            report.fault(FaultClass::Size, Some(&file.href), message);
        }
        Some(_) => {}
        None => report.warn(Some(&file.href), "the descriptor does not tell its size"),
    }
}

fn check_disk(disk: &OvfDisk, descriptor: &OvfDescriptor, found: &ByName<'_>, report: &mut Report) {
    let Some(id) = &disk.file_ref else { return };
    let Some(file) = descriptor.file_of(disk) else {
        let message = format!("disk {:?} refers to file {id:?}, which is not listed", disk.disk_id);
        report.fault(FaultClass::Descriptor, None, message);
        return;
    };
    if file.compression.is_some() {
        report.warn(Some(&file.href), "compressed as a whole: its inside was not looked at");
        return;
    }
    let is_vmdk = disk.format.as_ref().is_some_and(|format| format.contains("streamOptimized"));
    let Some(first) = parts_of(file).next() else { return };
    let Some(found) = found.get(first.as_str()) else { return };
    match (&found.content, disk.capacity_bytes) {
        (Content::Other | Content::Text(_), _) if is_vmdk => {
            report.fault(FaultClass::Disk, Some(&file.href), "it is described as VMDK, but is none");
        }
        (Content::Disk(read), Some(told)) if read.capacity_bytes > told => {
            let message = format!("a disk of {} bytes, but the descriptor says {told}", read.capacity_bytes);
            report.fault(FaultClass::Disk, Some(&file.href), message);
        }
        (Content::Disk(read), Some(told)) if read.capacity_bytes < told => {
            let message =
                format!("a disk of {} bytes, which the descriptor makes {told}", read.capacity_bytes);
            report.warn(Some(&file.href), message);
        }
        _ => {}
    }
}

fn check_manifest(descriptor: &OvfDescriptor, found: &[Found], by_name: &ByName<'_>, report: &mut Report) {
    let mut manifests = found.iter().filter(|file| is_manifest(&file.name));
    let Some(file) = manifests.next() else {
        report.warn(None, "there is no manifest: nothing tells whether the content is the original");
        return;
    };
    if let Some(second) = manifests.next() {
        report.fault(FaultClass::Manifest, Some(&second.name), "a second manifest");
    }
    let Content::Text(text) = &file.content else { return };
    let (manifest, warnings) = match Manifest::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            report.fault(FaultClass::Manifest, Some(&file.name), error.to_string());
            return;
        }
    };
    for warning in warnings {
        report.warn(Some(&file.name), format!("line {}: {}", warning.line, warning.message));
    }
    let listed: HashSet<&str> = manifest.entries().iter().map(|entry| entry.name.as_str()).collect();
    let descriptors = found.iter().map(|file| file.name.clone()).filter(|name| is_descriptor(name));
    for name in descriptors.chain(descriptor.files.iter().flat_map(parts_of)) {
        if !listed.contains(name.as_str()) {
            report.fault(FaultClass::Manifest, Some(&name), "the manifest does not list it");
        }
    }
    for entry in manifest.entries() {
        check_digest(&entry.name, &entry.digest, by_name, report);
    }
}

fn check_digest(name: &str, told: &Digest, found: &ByName<'_>, report: &mut Report) {
    if is_manifest(name) || is_certificate(name) {
        report.fault(FaultClass::Manifest, Some(name), "the manifest may not list it");
        return;
    }
    let Some(file) = found.get(name) else {
        report.fault(FaultClass::Missing, Some(name), "the manifest lists it, but it is not there");
        return;
    };
    match file.digests.iter().find(|digest| digest.algorithm() == told.algorithm()) {
        Some(computed) if computed == told => {}
        Some(computed) => {
            let message = format!("{computed}, but the manifest says {}", told.hex());
            report.fault(FaultClass::Digest, Some(name), message);
        }
        None if report.level == Level::Headers => {}
        None => report.fault(FaultClass::Digest, Some(name), format!("no {} was computed", told.algorithm())),
    }
}
