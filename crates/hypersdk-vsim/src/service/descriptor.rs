//! The OVF envelope of a machine (DSP0243, OVF 1.1 as vSphere writes it).

use std::fmt::Write as _;

use quick_xml::escape::escape;

use crate::model::{Vm, VmDisk};

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-24022515" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
"#;
const FORMAT: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// A file the descriptor refers to.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) path: String,
    pub(super) size: Option<u64>,
    pub(super) content: Content<'a>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Disk(&'a VmDisk),
    Nvram,
    /// The image in the drive.
    Image,
}

/// One `Item` of the hardware section.
struct Item<'a> {
    kind: u32,
    name: String,
    description: &'a str,
    /// Further elements, in the alphabetical order the schema asks for.
    more: Vec<(&'a str, String)>,
}

pub(super) fn envelope(name: &str, description: Option<&str>, vm: &Vm, parts: &[Part<'_>]) -> String {
    let mut out = String::from(HEAD);
    references(&mut out, parts);
    disks(&mut out, parts);
    out.push_str(
        "  <NetworkSection>\n    <Info>The list of logical networks</Info>\n    \
         <Network ovf:name=\"VM Network\">\n      <Description>The VM Network network</Description>\n    \
         </Network>\n  </NetworkSection>\n",
    );
    let name = escape(name);
    put(&mut out, format_args!("  <VirtualSystem ovf:id=\"{name}\">\n    <Info>A virtual machine</Info>\n"));
    put(&mut out, format_args!("    <Name>{name}</Name>\n"));
    if let Some(words) = description.filter(|words| !words.is_empty()) {
        put(
            &mut out,
            format_args!(
                "    <AnnotationSection>\n      <Info>A human-readable annotation</Info>\n      \
                 <Annotation>{}</Annotation>\n    </AnnotationSection>\n",
                escape(words)
            ),
        );
    }
    put(
        &mut out,
        format_args!(
            "    <OperatingSystemSection ovf:id=\"101\" vmw:osType=\"{}\">\n      \
             <Info>The kind of installed guest operating system</Info>\n    </OperatingSystemSection>\n",
            escape(&vm.spec.guest_id)
        ),
    );
    hardware(&mut out, &name, vm, parts);
    out.push_str("  </VirtualSystem>\n</Envelope>\n");
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string");
}

fn references(out: &mut String, parts: &[Part<'_>]) {
    out.push_str("  <References>\n");
    for (index, part) in parts.iter().enumerate() {
        put(out, format_args!("    <File ovf:href=\"{}\" ovf:id=\"file{}\"", escape(&part.path), index + 1));
        if let Some(size) = part.size {
            put(out, format_args!(" ovf:size=\"{size}\""));
        }
        out.push_str("/>\n");
    }
    out.push_str("  </References>\n");
}

fn disks(out: &mut String, parts: &[Part<'_>]) {
    out.push_str("  <DiskSection>\n    <Info>Virtual disk information</Info>\n");
    for (index, part) in parts.iter().enumerate() {
        let Content::Disk(disk) = part.content else { continue };
        put(
            out,
            format_args!(
                "    <Disk ovf:capacity=\"{}\" ovf:capacityAllocationUnits=\"byte\" ovf:diskId=\"vmdisk{number}\" \
                 ovf:fileRef=\"file{number}\" ovf:format=\"{FORMAT}\" ovf:populatedSize=\"{}\"/>\n",
                disk.capacity,
                disk.populated,
                number = index + 1,
            ),
        );
    }
    out.push_str("  </DiskSection>\n");
}

fn hardware(out: &mut String, name: &str, vm: &Vm, parts: &[Part<'_>]) {
    put(
        out,
        format_args!(
            "    <VirtualHardwareSection>\n      <Info>Virtual hardware requirements</Info>\n      <System>\n        \
             <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n        \
             <vssd:InstanceID>0</vssd:InstanceID>\n        \
             <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>\n        \
             <vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType>\n      </System>\n"
        ),
    );
    let (cpus, memory) = (vm.spec.cpus, vm.spec.memory_mib);
    let mut items = vec![
        Item {
            kind: 3,
            name: format!("{cpus} virtual CPU(s)"),
            description: "Number of Virtual CPUs",
            more: vec![("AllocationUnits", "hertz * 10^6".to_owned()), ("VirtualQuantity", cpus.to_string())],
        },
        Item {
            kind: 4,
            name: format!("{memory}MB of memory"),
            description: "Memory Size",
            more: vec![
                ("AllocationUnits", "byte * 2^20".to_owned()),
                ("VirtualQuantity", memory.to_string()),
            ],
        },
        Item {
            kind: 6,
            name: "SCSI Controller 0".to_owned(),
            description: "SCSI Controller",
            more: vec![("Address", "0".to_owned()), ("ResourceSubType", "VirtualSCSI".to_owned())],
        },
    ];
    for (index, part) in parts.iter().enumerate() {
        let Content::Disk(disk) = part.content else { continue };
        items.push(Item {
            kind: 17,
            name: format!("Hard Disk {}", index + 1),
            description: "Hard disk",
            more: vec![
                ("AddressOnParent", disk.unit.to_string()),
                ("HostResource", format!("ovf:/disk/vmdisk{}", index + 1)),
                ("Parent", "3".to_owned()),
            ],
        });
    }
    if vm.spec.iso().is_some() {
        items.extend(drive(items.len() + 1, parts));
    }
    items.push(Item {
        kind: 10,
        name: "Ethernet 1".to_owned(),
        description: "VmxNet3 ethernet adapter",
        more: vec![
            ("AddressOnParent", "7".to_owned()),
            ("AutomaticAllocation", "true".to_owned()),
            ("Connection", "VM Network".to_owned()),
            ("ResourceSubType", "VmxNet3".to_owned()),
        ],
    });
    for (index, item) in items.iter().enumerate() {
        write_item(out, index + 1, item);
    }
    put(
        out,
        format_args!(
            "      <vmw:Config ovf:required=\"false\" vmw:key=\"firmware\" vmw:value=\"{}\"/>\n",
            if vm.spec.nvram.is_some() { "efi" } else { "bios" }
        ),
    );
    if let Some(index) = parts.iter().position(|part| matches!(part.content, Content::Nvram)) {
        put(
            out,
            format_args!(
                "      <vmw:ExtraConfig ovf:required=\"false\" vmw:key=\"nvram\" vmw:value=\"ovf:/file/file{}\"/>\n",
                index + 1
            ),
        );
    }
    out.push_str("    </VirtualHardwareSection>\n");
}

/// A drive on a controller of its own, with its image if that is part of the package.
fn drive(controller: usize, parts: &[Part<'_>]) -> [Item<'static>; 2] {
    let mut more = vec![("AddressOnParent", "0".to_owned()), ("Parent", controller.to_string())];
    match parts.iter().position(|part| matches!(part.content, Content::Image)) {
        Some(index) => more.push(("HostResource", format!("ovf:/file/file{}", index + 1))),
        None => more.push(("AutomaticAllocation", "false".to_owned())),
    }
    let ide = vec![("Address", "0".to_owned())];
    [
        Item { kind: 5, name: "IDE 0".to_owned(), description: "IDE Controller", more: ide },
        Item { kind: 15, name: "CD/DVD drive 1".to_owned(), description: "CD/DVD Drive", more },
    ]
}

fn write_item(out: &mut String, number: usize, item: &Item<'_>) {
    let mut elements = item.more.clone();
    elements.push(("Description", item.description.to_owned()));
    elements.push(("ElementName", item.name.clone()));
    elements.push(("InstanceID", number.to_string()));
    elements.push(("ResourceType", item.kind.to_string()));
    elements.sort();
    out.push_str("      <Item>\n");
    for (element, value) in elements {
        put(out, format_args!("        <rasd:{element}>{}</rasd:{element}>\n", escape(&value)));
    }
    out.push_str("      </Item>\n");
}
