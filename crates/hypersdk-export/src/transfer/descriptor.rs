//! The envelope around the files: the source's own, made to say what became of them.

use hypersdk_core::{Error, ErrorKind, JobContext, LogLevel, PackageFormat, PackagedFile, Phase, Result};
use hypersdk_ova::ovf::{OvfDescriptor, OvfError, chunked, portable};

use super::{Delivered, Transfer};
use crate::plan::PlannedFile;

/// Said of a machine that boots by EFI, when vendor sections are left out.
const EFI: &str = "the VM boots by EFI, which the OVF standard has no word for: vSphere's entries about its firmware were \
                   kept in the portable descriptor (vSphere and virt-v2v read them); with any other importer, choose \
                   EFI by hand";

impl Transfer<'_> {
    /// Asks the source for the envelope that references the files as they were written.
    pub(super) async fn descriptor(
        &self,
        files: &[PlannedFile],
        delivered: &[Delivered],
    ) -> Result<(String, Vec<String>)> {
        self.context.progress.update(|progress| progress.phase = Phase::Finishing);
        let packaged: Vec<PackagedFile> = files
            .iter()
            .zip(delivered)
            .map(|(file, Delivered { fetched, .. })| PackagedFile {
                key: file.source.key.clone(),
                name: file.name.clone(),
                size_bytes: fetched.size_bytes,
                capacity_bytes: fetched.disk.as_ref().map(|disk| disk.capacity_bytes),
                populated_bytes: fetched.disk.as_ref().map(|disk| disk.populated_bytes),
            })
            .collect();
        let described = tokio::select! {
            described = self.session.descriptor(&self.target.name, &packaged) => described?,
            () = self.context.cancel.cancelled() => return Err(Error::cancelled("make descriptor")),
        };
        let mut warnings = described.warnings;
        let mut text = describe_format(described.ovf, self.target.format);
        if self.spec.portable {
            text = portable(&text).map_err(|error| refuse("portable", &error))?;
            if OvfDescriptor::parse(text.as_bytes()).is_ok_and(|read| read.efi) {
                warnings.push(EFI.to_owned());
            }
        }
        if let Some(chunk_bytes) = self.spec.chunk_size {
            let cut: Vec<&str> =
                delivered.iter().filter(|file| file.chunks.is_some()).map(|file| &*file.name).collect();
            text = chunked(&text, &cut, chunk_bytes).map_err(|error| refuse("chunk_size", &error))?;
        }
        log(self.context, &warnings);
        Ok((text, warnings))
    }
}

fn log(context: &JobContext, warnings: &[String]) {
    for warning in warnings {
        context.log(LogLevel::Warning, format!("descriptor: {warning}"));
    }
}

/// The source's descriptor cannot be made to say what a field of the job asks for.
fn refuse(field: &str, error: &OvfError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("apply {field} to the descriptor"), error.to_string())
        .with_advice(format!("submit the job without {field}"))
}

/// The disk format that sources name in their descriptors.
const VMDK_FORMAT: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// Names the disks' new format in a descriptor that a source made for its own.
fn describe_format(descriptor: String, format: PackageFormat) -> String {
    // No standard registers names for these; the first is what OVF tools have used for qcow2, the second what
    // virt-v2v writes for a disk's plain bytes.
    match format {
        PackageFormat::Qcow2 => {
            descriptor.replace(VMDK_FORMAT, "http://www.gnome.org/~markmc/qcow-image-format.html")
        }
        PackageFormat::Raw => descriptor.replace(VMDK_FORMAT, "http://en.wikipedia.org/wiki/Byte"),
        PackageFormat::Ova | PackageFormat::Ovf | PackageFormat::Vmdk => descriptor,
    }
}
