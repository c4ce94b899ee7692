//! From the devices of a lease to the files of a package.

use std::collections::{HashMap, HashSet};

use hypersdk_core::{Error, ErrorKind, ExportOptions, FileKind, Result, SourceFile};

use super::hardware::Disk;
use super::source::Facts;
use crate::api::{DeviceUrl, LeaseInfo};
use crate::config::Endpoint;
use crate::nfc::Device;

/// The longest file name that fits a plain tar header with room for a package's own prefix.
const MAX_NAME: usize = 80;

/// The files of a lease in its order, and where each is fetched.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the lease offers other disks than the VM has, or lacks one that is to be
/// exported: a package without one of its disks is worse than none.
pub(super) fn plan(
    info: &LeaseInfo,
    facts: &Facts,
    options: &ExportOptions,
    endpoint: &Endpoint,
) -> Result<(Vec<SourceFile>, HashMap<String, Device>)> {
    let offered: Vec<(&DeviceUrl, &str)> = info
        .devices
        .iter()
        .filter_map(|device| {
            if device.target_id.is_none() {
                tracing::debug!(key = device.key, "not part of a package, left out");
            }
            Some((device, device.target_id.as_deref()?))
        })
        .collect();
    let taken: HashSet<i32> = facts.taken(options).iter().map(|disk| disk.key).collect();
    let disks = match_disks(&offered, &facts.disks, &taken)?;
    let mut names = HashSet::new();
    let mut files = Vec::with_capacity(offered.len());
    let mut devices = HashMap::new();
    for (device, target) in offered {
        let disk = disks.get(device.key.as_str());
        let kind = match disk {
            Some(_) => FileKind::Disk,
            None if target.to_ascii_lowercase().ends_with(".nvram") => FileKind::Nvram,
            None => FileKind::Other,
        };
        let left_out = match (kind, disk) {
            (_, Some(disk)) => !taken.contains(&disk.key),
            (FileKind::Other, None) => options.remove_cdrom && target.to_ascii_lowercase().ends_with(".iso"),
            _ => false,
        };
        if left_out {
            tracing::info!(key = device.key, "left out, as asked for");
            continue;
        }
        files.push(SourceFile {
            key: device.key.clone(),
            name: unique_name(target, &mut names),
            kind,
            capacity_bytes: disk.map(|disk| disk.capacity_bytes),
            size_bytes: if kind == FileKind::Disk { None } else { device.file_size },
            estimate_bytes: disk.map(|disk| estimate(disk)).or(device.file_size),
        });
        let place = Device { url: endpoint.resolve(&device.url)?, thumbprint: device.thumbprint.clone() };
        devices.insert(device.key.clone(), place);
    }
    Ok((files, devices))
}

fn is_disk(device: &DeviceUrl, target: &str) -> bool {
    device.disk.unwrap_or_else(|| target.to_ascii_lowercase().ends_with(".vmdk"))
}

/// Which disk of the VM each disk of the lease is: by controller, bus and unit, which its key ends in, or by
/// order where keys say nothing.
fn match_disks<'a>(
    offered: &[(&'a DeviceUrl, &str)],
    disks: &'a [Disk],
    taken: &HashSet<i32>,
) -> Result<HashMap<&'a str, &'a Disk>> {
    let keys: Vec<&str> = offered
        .iter()
        .filter(|(device, target)| is_disk(device, target))
        .map(|(device, _)| device.key.as_str())
        .collect();
    let slot_of = |key: &'a str| key.rsplit('/').next().unwrap_or(key);
    let by_slot: HashMap<&str, &Disk> = keys
        .iter()
        .filter_map(|key| Some((*key, disks.iter().find(|disk| disk.slot.as_deref() == Some(slot_of(key)))?)))
        .collect();
    let is_offered = |disk: &Disk| by_slot.values().any(|found| found.key == disk.key);
    let complete = disks.iter().all(|disk| is_offered(disk) || !taken.contains(&disk.key));
    if by_slot.len() == keys.len() && complete {
        return Ok(by_slot);
    }
    if keys.len() != disks.len() {
        return Err(disks_differ(keys.len(), disks, &by_slot));
    }
    Ok(keys.into_iter().zip(disks).collect())
}

fn disks_differ(offered: usize, disks: &[Disk], found: &HashMap<&str, &Disk>) -> Error {
    let missing: Vec<&str> = disks
        .iter()
        .filter(|disk| !found.values().any(|other| other.key == disk.key))
        .map(|disk| disk.label.as_str())
        .collect();
    let message = format!(
        "the server offers {offered} disks, the VM has {}; missing: {}",
        disks.len(),
        if missing.is_empty() { "none".to_owned() } else { missing.join(", ") }
    );
    let independent = disks.iter().any(|disk| disk.independent && missing.contains(&disk.label.as_str()));
    let advice = if independent {
        "independent disks take no part in snapshots: power the VM off to export it, or make them dependent"
    } else {
        "raw device mappings and shared disks cannot be exported; detach them or convert them"
    };
    Error::new(ErrorKind::Unsupported, "match disks", message).with_advice(advice)
}

/// At most about what a disk occupies is sent: grains that do not deflate grow by their markers and tables,
/// less than one part in a hundred.
pub(crate) fn estimate(disk: &Disk) -> u64 {
    let held = disk.allocated_bytes.map_or(disk.capacity_bytes, |bytes| bytes.min(disk.capacity_bytes));
    held + held / 100 + (1 << 20)
}

/// A name that every file system and importer takes, and no other file of the package has.
fn unique_name(target: &str, taken: &mut HashSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let mut name: String = target.chars().map(plain).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        name.insert(0, '_');
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 10 => (stem.to_owned(), format!(".{extension}")),
        _ => (name.clone(), String::new()),
    };
    let stem: String = stem.chars().take(MAX_NAME - extension.len()).collect();
    let candidates = std::iter::once(format!("{stem}{extension}"))
        .chain((2..).map(|number: u32| format!("{stem}-{number}{extension}")));
    for candidate in candidates {
        // Some file systems do not tell upper from lower case.
        if taken.insert(candidate.to_ascii_lowercase()) {
            return candidate;
        }
    }
    unreachable!("the numbers do not run out")
}

#[cfg(test)]
mod tests {
    use hypersdk_core::PowerState;

    use super::*;
    use hypersdk_core::DiskSelection;

    fn device(key: &str, target: Option<&str>, disk: bool) -> DeviceUrl {
        DeviceUrl {
            key: key.to_owned(),
            url: format!("https://*/nfc/t/{}", target.unwrap_or("x")),
            thumbprint: None,
            disk: Some(disk),
            target_id: target.map(str::to_owned),
            file_size: (!disk).then_some(8684),
        }
    }

    fn disk(key: i32, slot: &str, capacity_bytes: u64) -> Disk {
        Disk {
            key,
            label: format!("Hard disk {}", key - 1999),
            capacity_bytes,
            allocated_bytes: None,
            slot: Some(slot.to_owned()),
            independent: false,
        }
    }

    fn facts(disks: Vec<Disk>) -> Facts {
        Facts {
            name: "web".to_owned(),
            instance_uuid: None,
            power: PowerState::Off,
            tools: false,
            host: None,
            disks,
        }
    }

    fn planned(devices: Vec<DeviceUrl>, disks: Vec<Disk>) -> Result<Vec<SourceFile>> {
        planned_with(devices, disks, &ExportOptions::default())
    }

    fn planned_with(
        devices: Vec<DeviceUrl>,
        disks: Vec<Disk>,
        options: &ExportOptions,
    ) -> Result<Vec<SourceFile>> {
        let endpoint = Endpoint::parse("vc:8443").unwrap();
        let info = LeaseInfo { timeout_seconds: 300, devices };
        plan(&info, &facts(disks), options, &endpoint).map(|(files, _)| files)
    }

    #[test]
    fn disks_and_images_are_left_out_as_asked_for() {
        let devices = || {
            vec![
                device("/vm-1/VirtualLsiLogicController0:0", Some("disk-0.vmdk"), true),
                device("/vm-1/VirtualLsiLogicController0:1", Some("disk-1.vmdk"), true),
                device("/vm-1/VirtualCdrom", Some("tools.iso"), false),
            ]
        };
        let disks = || {
            vec![
                disk(2000, "VirtualLsiLogicController0:0", 100),
                disk(2001, "VirtualLsiLogicController0:1", 200),
            ]
        };
        let kept = |include: &[&str], exclude: &[&str], remove_cdrom| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let selection = DiskSelection { include: list(include), exclude: list(exclude) };
            let options = ExportOptions { disks: selection, remove_cdrom, ..ExportOptions::default() };
            let files = planned_with(devices(), disks(), &options).unwrap();
            files.into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[], &[], false), ["disk-0.vmdk", "disk-1.vmdk", "tools.iso"]);
        assert_eq!(kept(&[], &["hard disk 2"], true), ["disk-0.vmdk"]);
        assert_eq!(kept(&["1"], &[], true), ["disk-1.vmdk"]);
        assert_eq!(kept(&["disk-0.vmdk"], &["0"], false), ["tools.iso"]);
    }

    #[test]
    fn disks_are_matched_by_slot_and_other_files_kept() {
        let devices = vec![
            device("/vm-1/VirtualLsiLogicController0:1", Some("disk-0.vmdk"), true),
            device("/vm-1/VirtualLsiLogicController0:0", Some("disk-1.vmdk"), true),
            device("/vm-1/VirtualCdrom", None, false),
            device("/vm-1/nvram", Some("web.nvram"), false),
        ];
        let disks = vec![
            disk(2000, "VirtualLsiLogicController0:0", 100),
            disk(2001, "VirtualLsiLogicController0:1", 200),
        ];
        let files = planned(devices, disks).unwrap();
        let shown: Vec<_> = files
            .iter()
            .map(|file| (file.name.as_str(), file.kind, file.capacity_bytes, file.size_bytes))
            .collect();
        assert_eq!(
            shown,
            [
                ("disk-0.vmdk", FileKind::Disk, Some(200), None),
                ("disk-1.vmdk", FileKind::Disk, Some(100), None),
                ("web.nvram", FileKind::Nvram, None, Some(8684)),
            ]
        );
    }

    #[test]
    fn disks_whose_keys_say_nothing_are_matched_by_order() {
        let devices = vec![device("a", Some("disk-0.vmdk"), true), device("b", Some("disk-1.vmdk"), true)];
        let files = planned(devices, vec![disk(2000, "x0:0", 100), disk(2001, "x0:1", 200)]).unwrap();
        assert_eq!((files[0].capacity_bytes, files[1].capacity_bytes), (Some(100), Some(200)));
    }

    #[test]
    fn a_missing_disk_is_named_and_nothing_is_exported() {
        let devices = vec![device("/vm-1/C0:0", Some("disk-0.vmdk"), true)];
        let mut independent = disk(2001, "C0:1", 200);
        independent.independent = true;
        let error = planned(devices, vec![disk(2000, "C0:0", 100), independent]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("Hard disk 2"), "{error}");
        assert!(error.advice().unwrap().contains("independent"));
    }

    #[test]
    fn a_disk_that_no_lease_offers_is_no_obstacle_once_it_is_left_out() {
        let devices = vec![device("/vm-1/C0:0", Some("disk-0.vmdk"), true)];
        let disks = vec![disk(2000, "C0:0", 100), disk(2001, "C0:1", 200)];
        let without = DiskSelection { exclude: vec!["Hard disk 2".to_owned()], ..DiskSelection::default() };
        let options = ExportOptions { disks: without, ..ExportOptions::default() };
        let files = planned_with(devices, disks, &options).unwrap();
        assert_eq!(files.iter().map(|file| file.capacity_bytes).collect::<Vec<_>>(), [Some(100)]);
    }

    #[test]
    fn names_are_ascii_short_and_differ() {
        let mut taken = HashSet::new();
        assert_eq!(unique_name("disk-0.vmdk", &mut taken), "disk-0.vmdk");
        assert_eq!(unique_name("DISK-0.vmdk", &mut taken), "DISK-0-2.vmdk");
        assert_eq!(unique_name("../ü x.nvram", &mut taken), "_..___x.nvram");
        let long = unique_name(&format!("{}.vmdk", "a".repeat(300)), &mut taken);
        assert!(long.len() <= MAX_NAME && long.ends_with(".vmdk"), "{long}");
    }
}
