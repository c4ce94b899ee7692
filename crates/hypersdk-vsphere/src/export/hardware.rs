//! The virtual disks of a VM, from its hardware and file layout.

use std::collections::HashMap;

use crate::soap::Element;

/// A virtual disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) key: i32,
    /// What people know it by, e.g. `Hard disk 1`.
    pub(crate) label: String,
    pub(crate) capacity_bytes: u64,
    /// Bytes its files occupy, where the layout tells.
    pub(crate) allocated_bytes: Option<u64>,
    /// `<controller type><bus>:<unit>`, as a lease's device keys end.
    pub(crate) slot: Option<String>,
    /// It takes no part in snapshots.
    pub(crate) independent: bool,
}

/// Reads `config.hardware.device` (an array of `VirtualDevice`) and `layoutEx`, in order of device key.
pub(super) fn disks(devices: &Element, layout: Option<&Element>) -> Vec<Disk> {
    let mut controllers: HashMap<i32, (&str, i32)> = HashMap::new();
    for device in &devices.children {
        if let (Some(kind), Some(key), Some(bus)) =
            (device.xsi_type.as_deref(), device.number("key"), device.number("busNumber"))
        {
            controllers.insert(key, (kind, bus));
        }
    }
    let allocated = layout.map(allocated_by_disk).unwrap_or_default();
    let disk = |device: &Element| {
        let key = device.number("key").unwrap_or_default();
        let capacity_bytes = device
            .number("capacityInBytes")
            .or_else(|| device.number::<u64>("capacityInKB").map(|kib| kib.saturating_mul(1024)))
            .unwrap_or_default();
        let controller = device.number("controllerKey").and_then(|key: i32| controllers.get(&key));
        let slot = controller.zip(device.number::<i32>("unitNumber"));
        Disk {
            key,
            label: device.text_at("deviceInfo/label").unwrap_or("a disk").to_owned(),
            capacity_bytes,
            allocated_bytes: allocated.get(&key).copied().filter(|bytes| *bytes > 0),
            slot: slot.map(|((kind, bus), unit)| format!("{kind}{bus}:{unit}")),
            independent: device
                .text_at("backing/diskMode")
                .is_some_and(|mode| mode.starts_with("independent")),
        }
    };
    let is_disk = |device: &&Element| device.xsi_type.as_deref() == Some("VirtualDisk");
    let mut disks: Vec<Disk> = devices.children.iter().filter(is_disk).map(disk).collect();
    disks.sort_by_key(|disk| disk.key);
    disks
}

/// Sums the files of each disk's chain: `VirtualMachineFileLayoutEx`.
fn allocated_by_disk(layout: &Element) -> HashMap<i32, u64> {
    let sizes: HashMap<i32, u64> =
        layout.all("file").filter_map(|file| Some((file.number("key")?, file.number("size")?))).collect();
    let chain_size = |disk: &Element| -> u64 {
        disk.all("chain")
            .flat_map(|unit| unit.all("fileKey"))
            .filter_map(|key| sizes.get(&key.text.trim().parse().ok()?))
            .sum()
    };
    layout.all("disk").filter_map(|disk| Some((disk.number("key")?, chain_size(disk)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::parse_tree;

    #[test]
    fn disks_come_with_slot_capacity_and_what_they_occupy() {
        let devices = parse_tree(
            r#"<val xmlns:xsi="x"><VirtualDevice xsi:type="VirtualDisk"><key>2001</key>
            <deviceInfo><label>Hard disk 2</label></deviceInfo>
            <backing xsi:type="VirtualDiskFlatVer2BackingInfo"><diskMode>independent_persistent</diskMode></backing>
            <controllerKey>1000</controllerKey><unitNumber>1</unitNumber><capacityInKB>2048</capacityInKB>
            </VirtualDevice><VirtualDevice xsi:type="ParaVirtualSCSIController"><key>1000</key>
            <busNumber>0</busNumber></VirtualDevice><VirtualDevice xsi:type="VirtualDisk"><key>2000</key>
            <deviceInfo><label>Hard disk 1</label></deviceInfo>
            <controllerKey>1000</controllerKey><unitNumber>0</unitNumber><capacityInKB>1</capacityInKB>
            <capacityInBytes>4096</capacityInBytes></VirtualDevice></val>"#,
        );
        let layout = parse_tree(
            "<val><file><key>0</key><size>10</size></file><file><key>1</key><size>700</size></file>
            <disk><key>2000</key><chain><fileKey>0</fileKey><fileKey>1</fileKey></chain></disk></val>",
        );
        let disks = disks(&devices, Some(&layout));
        assert_eq!(disks[0].slot.as_deref(), Some("ParaVirtualSCSIController0:0"));
        assert_eq!((disks[0].capacity_bytes, disks[0].allocated_bytes), (4096, Some(710)));
        assert_eq!((disks[1].capacity_bytes, disks[1].allocated_bytes), (2 << 20, None));
        assert!(disks[1].independent && !disks[0].independent);
    }
}
