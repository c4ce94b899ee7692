//! OvfManager.

use super::descriptor::{Content, Part, envelope};
use super::{Answer, Request};
use crate::log::Event;
use crate::model::{DRIVE, Lease};
use crate::spec::Obstacle;
use crate::wire::{Fault, MoRef, Node, Struct, Value};

/// An OvfFile of the request.
struct OvfFile {
    device: String,
    path: String,
    size: Option<u64>,
}

impl OvfFile {
    fn parse(node: &Node) -> Self {
        Self {
            device: node.text("deviceId").unwrap_or_default().to_owned(),
            path: node.text("path").unwrap_or_default().to_owned(),
            size: node.number("size").and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0),
        }
    }
}

/// What was found wrong with the request's files.
#[derive(Default)]
struct Findings {
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Request<'_> {
    /// Describes a machine. Files given must have a path, a size and the device
    /// id of the lease, or `error` says so; a size other than the one sent is
    /// a warning. Images of drives are left out unless asked for. Without files
    /// it is a dry run.
    pub(super) fn create_descriptor(&self) -> Answer {
        self.this("OvfManager")?;
        let vm = self.reference("obj")?;
        let params = self.arguments().child("cdp").ok_or_else(|| Fault::invalid_argument("cdp"))?;
        let files: Vec<OvfFile> = params.all("ovfFiles").map(OvfFile::parse).collect();
        let snapshot = params.reference("snapshot");
        let images = params.flag("includeImageFiles");
        let mut findings = Findings::default();
        let (descriptor, name) = self.world.read(|state| {
            let entity = state.entity(&vm)?;
            let machine = state.vm(&vm)?;
            let lease = machine.lease.as_ref().and_then(|lease| state.leases.get(lease));
            check_snapshot(lease, snapshot.as_ref())?;
            let mut parts = Vec::new();
            let disks = machine.exported_disks(snapshot.is_some()).map(|(_, disk)| {
                (format!("/{}/ParaVirtualSCSIController0:{}", vm.id, disk.unit), Content::Disk(disk))
            });
            let nvram = machine.spec.nvram.iter().map(|_| (format!("/{}/nvram", vm.id), Content::Nvram));
            let image =
                machine.spec.iso().into_iter().map(|_| (format!("/{}/{DRIVE}", vm.id), Content::Image));
            let devices: Vec<_> = disks.chain(nvram).chain(image).collect();
            for (index, (device, content)) in devices.iter().enumerate() {
                if matches!(content, Content::Image) && !images {
                    continue;
                }
                let given = files.iter().find(|file| file.device == *device);
                if given.is_none() && !files.is_empty() {
                    continue;
                }
                let path = match (given, content) {
                    (Some(file), _) => file.path.clone(),
                    (None, Content::Disk(_)) => format!("disk-{index}.vmdk"),
                    (None, Content::Nvram) => format!("{}.nvram", machine.spec.name),
                    (None, Content::Image) => format!("{}.iso", machine.spec.name),
                };
                parts.push(Part { path, size: given.and_then(|file| file.size), content: *content });
            }
            for file in &files {
                check(
                    file,
                    &devices.iter().map(|(device, _)| device.as_str()).collect::<Vec<_>>(),
                    lease,
                    &mut findings,
                );
            }
            if machine.spec.obstacles.contains(&Obstacle::Passthrough) {
                findings.errors.push(Fault::unsupported_device("PCI device 0"));
            }
            let name = params.text("name").filter(|name| !name.is_empty()).unwrap_or(&entity.name);
            Ok((envelope(name, params.text("description"), machine, &parts), entity.name.clone()))
        })?;
        self.world.log.push(Event::DescriptorCreated {
            vm: name,
            files: files.len(),
            errors: findings.errors.len(),
            warnings: findings.warnings.len(),
        });
        let faults =
            |faults: &[Fault]| Value::list("LocalizedMethodFault", faults.iter().map(Fault::localized));
        let descriptor = if findings.errors.is_empty() { descriptor } else { String::new() };
        Ok(Struct::new("OvfCreateDescriptorResult")
            .with("ovfDescriptor", descriptor)
            .with("error", faults(&findings.errors))
            .with("warning", faults(&findings.warnings))
            .with("includeImageFiles", images)
            .into())
    }
}

/// While a snapshot is exported, only that snapshot can be described.
fn check_snapshot(lease: Option<&Lease>, snapshot: Option<&MoRef>) -> Result<(), Fault> {
    match lease.and_then(|lease| lease.snapshot.as_ref()) {
        Some(exported) if snapshot != Some(exported) => Err(Fault::invalid_state()),
        _ => Ok(()),
    }
}

fn check(file: &OvfFile, devices: &[&str], lease: Option<&Lease>, findings: &mut Findings) {
    let attribute =
        |fault, attribute, message: String| Fault::ovf_attribute(fault, "File", attribute, message);
    if !devices.contains(&file.device.as_str()) {
        let message = format!("No device {} to export.", file.device);
        findings
            .errors
            .push(attribute("OvfInvalidValue", "deviceId", message).with_value(file.device.clone()));
        return;
    }
    if file.path.is_empty() || file.path.contains('/') {
        let message = format!("The path of the file for device {} is not a file name.", file.device);
        findings.errors.push(attribute("OvfInvalidValue", "path", message).with_value(file.path.clone()));
    }
    let Some(size) = file.size else {
        let message = format!("The size of file {} is missing.", file.path);
        findings.errors.push(attribute("OvfMissingAttribute", "size", message));
        return;
    };
    let sent = lease.and_then(|lease| {
        lease.files.iter().find(|known| known.key == file.device).and_then(|known| known.sent.as_ref())
    });
    if let Some(sent) = sent.filter(|sent| sent.size != size) {
        let message = format!("File {} is given as {size} bytes, {} were sent.", file.path, sent.size);
        findings.warnings.push(attribute("OvfInvalidValue", "size", message).with_value(size.to_string()));
    }
}
