//! Devices and disks that an export cannot take, or takes otherwise than people expect.

use std::collections::HashSet;

use hypersdk_core::{ErrorKind, ExportOptions, Finding};

use super::{Facts, takes_snapshot};
use crate::session::Scope;
use crate::soap::{Element, MoRef};
use crate::wait::{self, Watched};

const PATHS: &[&str] = &["config.keyId", "config.hardware.device", "snapshot", "runtime.consolidationNeeded"];

/// What there is to say about devices, disks and snapshots.
pub(super) async fn look(scope: &Scope, vm: &MoRef, facts: &Facts, options: &ExportOptions) -> Vec<Finding> {
    let watched = Watched { object: vm.clone(), kind: "VirtualMachine", paths: PATHS };
    let known = match wait::properties(scope, &watched).await {
        Ok(known) => known,
        Err(error) => return vec![Finding::info("devices", format!("could not be looked at: {error}"))],
    };
    let mut findings = Vec::new();
    if known.contains_key("config.keyId") {
        findings.push(
            Finding::error(
                "encrypted",
                ErrorKind::Unsupported,
                "the VM is encrypted, which no OVF package can be",
            )
            .with_advice("decrypt the VM, or clone it without encryption"),
        );
    }
    if let Some(devices) = known.get("config.hardware.device") {
        let taken: HashSet<i32> = facts.taken(options).iter().map(|disk| disk.key).collect();
        let is_taken = |key: i32| taken.contains(&key);
        findings.extend(devices_of(devices, takes_snapshot(facts, options), options.remove_cdrom, is_taken));
    }
    if let Some(tree) = known.get("snapshot") {
        let many = match tree.all("rootSnapshotList").map(count).sum::<usize>() {
            1 => "a snapshot".to_owned(),
            count => format!("{count} snapshots"),
        };
        findings.push(Finding::info(
            "snapshots",
            format!("the VM has {many}; the package holds its present state only"),
        ));
    }
    if known.get("runtime.consolidationNeeded").is_some_and(|needed| needed.text == "true") {
        findings.push(
            Finding::warning(
                "consolidation_needed",
                "the VM's disks need consolidation; reading them is slow",
            )
            .with_advice("consolidate the disks first"),
        );
    }
    findings.extend(selection(facts, options));
    findings
}

fn count(tree: &Element) -> usize {
    1 + tree.all("childSnapshotList").map(count).sum::<usize>()
}

/// The disks chosen against those there are.
fn selection(facts: &Facts, options: &ExportOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names = facts.disk_names();
    let names: Vec<Vec<&str>> =
        names.iter().map(|names| names.iter().map(String::as_str).collect()).collect();
    for unknown in options.disks.unknown(&names) {
        let labels: Vec<&str> = facts.disks.iter().map(|disk| disk.label.as_str()).collect();
        findings.push(
            Finding::error(
                "disk_unknown",
                ErrorKind::Invalid,
                format!("options.disks names {unknown:?}, which is no disk of the VM"),
            )
            .with_advice(format!("its disks are: {}", labels.join(", "))),
        );
    }
    let taken = facts.taken(options).len();
    if taken == 0 {
        findings.push(
            Finding::error("no_disks", ErrorKind::Unsupported, "no disk is left to export")
                .with_advice("check the VM's hardware and options.disks"),
        );
    } else if taken < facts.disks.len() {
        findings.push(Finding::warning(
            "disks_left_out",
            format!("{taken} of {} disks are exported, as asked for", facts.disks.len()),
        ));
    }
    findings
}

/// A disk that is left out is in nobody's way.
fn devices_of(
    devices: &Element,
    from_snapshot: bool,
    remove_cdrom: bool,
    is_taken: impl Fn(i32) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for device in &devices.children {
        let label = device.text_at("deviceInfo/label").unwrap_or("a device");
        match device.xsi_type.as_deref() {
            Some("VirtualTPM") => findings.push(
                Finding::error(
                    "vtpm",
                    ErrorKind::Unsupported,
                    format!("{label}: a virtual TPM cannot be exported"),
                )
                .with_advice("remove it from the VM; keep the recovery keys of what it protects"),
            ),
            Some("VirtualCdrom") => findings.extend(cdrom(device, label, remove_cdrom)),
            Some("VirtualDisk") if device.number("key").is_none_or(&is_taken) => {
                findings.extend(disk(device, label, from_snapshot));
            }
            _ => {}
        }
    }
    findings
}

fn cdrom(device: &Element, label: &str, removed: bool) -> Option<Finding> {
    let backing = device.child("backing")?;
    let is_image = backing.xsi_type.as_deref() == Some("VirtualCdromIsoBackingInfo");
    if !is_image || device.boolean("connectable/connected") != Some(true) {
        return None;
    }
    let file = backing.text_at("fileName").unwrap_or("an image");
    Some(if removed {
        Finding::info("iso_connected", format!("{label}: {file} is connected and left out, as asked for"))
    } else {
        Finding::warning(
            "iso_connected",
            format!("{label}: {file} is connected; it may become part of the package"),
        )
        .with_advice("disconnect it, or set options.remove_cdrom")
    })
}

fn disk(device: &Element, label: &str, from_snapshot: bool) -> Option<Finding> {
    let backing = device.child("backing")?;
    let kind = backing.xsi_type.as_deref().unwrap_or_default();
    let independent = backing.text_at("diskMode").is_some_and(|mode| mode.starts_with("independent"));
    if kind.starts_with("VirtualDiskRawDiskMapping") {
        let physical = backing.text_at("compatibilityMode") == Some("physicalMode");
        return Some(if physical {
            Finding::error("rdm", ErrorKind::Unsupported, format!("{label} is a raw device in physical mode"))
                .with_advice("detach it, or leave it out with options.disks.exclude and copy it otherwise")
        } else {
            Finding::warning("rdm", format!("{label} is a raw device; it is exported as an ordinary disk"))
        });
    }
    if !independent {
        return None;
    }
    Some(if from_snapshot {
        let text =
            format!("{label} is independent and takes no part in the snapshot a running VM is read from");
        Finding::error("independent_disk", ErrorKind::Unsupported, text)
            .with_advice("use power shutdown or poweroff, or make the disk dependent")
    } else {
        Finding::info("independent_disk", format!("{label} is independent; it is exported all the same"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::parse_tree;

    fn found(devices: &str, from_snapshot: bool, remove_cdrom: bool) -> Vec<String> {
        let tree = parse_tree(&format!("<val xmlns:xsi=\"x\">{devices}</val>"));
        let findings = devices_of(&tree, from_snapshot, remove_cdrom, |_| true);
        findings.iter().map(|finding| format!("{:?} {}", finding.level, finding.code)).collect()
    }

    #[test]
    fn a_tpm_is_an_error() {
        let tpm = r#"<VirtualDevice xsi:type="VirtualTPM"><key>11000</key></VirtualDevice>"#;
        assert_eq!(found(tpm, false, false), ["Error vtpm"]);
    }

    #[test]
    fn a_connected_image_is_a_warning_unless_it_is_left_out() {
        let drive = |connected| {
            format!(
                r#"<VirtualDevice xsi:type="VirtualCdrom"><backing xsi:type="VirtualCdromIsoBackingInfo">
                <fileName>[ds] a.iso</fileName></backing><connectable><connected>{connected}</connected>
                </connectable></VirtualDevice>"#
            )
        };
        assert_eq!(found(&drive(true), false, false), ["Warning iso_connected"]);
        assert_eq!(found(&drive(true), false, true), ["Info iso_connected"]);
        assert!(found(&drive(false), false, false).is_empty());
    }

    #[test]
    fn raw_and_independent_disks_are_judged_by_how_the_vm_is_read() {
        let disk = |kind: &str, inner: &str| {
            format!(
                r#"<VirtualDevice xsi:type="VirtualDisk"><backing xsi:type="{kind}">{inner}</backing>
                </VirtualDevice>"#
            )
        };
        let raw = |mode: &str| {
            disk(
                "VirtualDiskRawDiskMappingVer1BackingInfo",
                &format!("<compatibilityMode>{mode}</compatibilityMode>"),
            )
        };
        assert_eq!(found(&raw("physicalMode"), false, false), ["Error rdm"]);
        assert_eq!(found(&raw("virtualMode"), false, false), ["Warning rdm"]);
        let independent =
            disk("VirtualDiskFlatVer2BackingInfo", "<diskMode>independent_persistent</diskMode>");
        assert_eq!(found(&independent, true, false), ["Error independent_disk"]);
        assert_eq!(found(&independent, false, false), ["Info independent_disk"]);
        let plain = disk("VirtualDiskFlatVer2BackingInfo", "<diskMode>persistent</diskMode>");
        assert!(found(&plain, true, false).is_empty());
    }
}
