//! `OvfManager`: writes descriptors.

use super::method;
use crate::soap::{Element, Fault, MoRef};

/// `OvfFile`: a file of the package as it was downloaded.
#[derive(Debug, Clone)]
pub(crate) struct OvfFile {
    pub(crate) device_id: String,
    pub(crate) path: String,
    /// Bytes, as observed during the download.
    pub(crate) size: u64,
    pub(crate) capacity: Option<u64>,
    pub(crate) populated_size: Option<u64>,
}

/// `CreateDescriptor` of a VM, or of a snapshot of it.
#[derive(Debug)]
pub(crate) struct CreateDescriptor {
    pub(crate) this: MoRef,
    pub(crate) vm: MoRef,
    pub(crate) files: Vec<OvfFile>,
    pub(crate) name: String,
    /// The images of drives are part of the package.
    pub(crate) images: bool,
    pub(crate) snapshot: Option<MoRef>,
}

/// `OvfCreateDescriptorResult`.
#[derive(Debug)]
pub(crate) struct DescriptorResult {
    pub(crate) descriptor: String,
    pub(crate) errors: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
}

impl DescriptorResult {
    fn read(value: &Element) -> Self {
        DescriptorResult {
            descriptor: value.text_at("ovfDescriptor").unwrap_or_default().to_owned(),
            errors: value.all("error").map(Fault::from_localized).collect(),
            warnings: value.all("warning").map(Fault::from_localized).collect(),
        }
    }
}

method!(CreateDescriptor, "CreateDescriptor", idempotent: true, reply: DescriptorResult, write: |call, out| {
    out.moref("obj", &call.vm);
    out.nest("cdp", |out| {
        for file in &call.files {
            out.nest("ovfFiles", |out| {
                out.text("deviceId", &file.device_id);
                out.text("path", &file.path);
                out.value("size", file.size);
                if let Some(capacity) = file.capacity {
                    out.value("capacity", capacity);
                }
                if let Some(populated_size) = file.populated_size {
                    out.value("populatedSize", populated_size);
                }
            });
        }
        out.text("name", &call.name);
        if call.images {
            out.value("includeImageFiles", true);
        }
        if let Some(snapshot) = &call.snapshot {
            out.moref("snapshot", snapshot);
        }
    });
}, read: |reply| DescriptorResult::read(&reply.value()?));
