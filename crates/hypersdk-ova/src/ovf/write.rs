use std::fmt::Write as _;
use std::num::NonZeroU64;

use quick_xml::escape::escape;

const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/1";
const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_";
const VMDK: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
/// Unit 7 of a SCSI bus is the controller itself.
const UNITS: [u32; 15] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/// A disk of an [`Envelope`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeDisk {
    /// The file's name in the package.
    pub href: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The disk's capacity in bytes.
    pub capacity_bytes: u64,
    /// How many bytes of it are in use.
    pub populated_bytes: u64,
}

/// A file of an [`Envelope`] that is no disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeFile {
    /// The file's name in the package. One that ends in `.nvram` becomes the machine's firmware
    /// variables in vSphere.
    pub href: String,
    /// The file's size in bytes.
    pub size: u64,
}

/// A minimal OVF 1.1 envelope of one virtual machine, for sources that give no descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The machine's name.
    pub name: String,
    /// How many virtual processors it has.
    pub cpus: u32,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its disks, in the order of its controllers.
    pub disks: Vec<EnvelopeDisk>,
    /// Further files.
    pub files: Vec<EnvelopeFile>,
}

impl Envelope {
    /// The descriptor's text.
    #[must_use]
    pub fn to_xml(&self) -> String {
        self.render(None)
    }

    /// The descriptor's text for a package whose disks are cut in chunks of this size: each disk
    /// `NAME` is in the files `NAME.000000000` and so on.
    #[must_use]
    pub fn to_chunked_xml(&self, chunk_bytes: NonZeroU64) -> String {
        self.render(Some(chunk_bytes))
    }

    fn render(&self, chunk_bytes: Option<NonZeroU64>) -> String {
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Envelope xmlns=\"{OVF}\" xmlns:ovf=\"{OVF}\" \
             xmlns:rasd=\"{CIM}ResourceAllocationSettingData\" \
             xmlns:vmw=\"http://www.vmware.com/schema/ovf\" \
             xmlns:vssd=\"{CIM}VirtualSystemSettingData\">\n"
        );
        self.references(&mut xml, chunk_bytes);
        self.disk_section(&mut xml);
        self.virtual_system(&mut xml);
        xml.push_str("</Envelope>\n");
        xml
    }

    fn references(&self, xml: &mut String, chunk_bytes: Option<NonZeroU64>) {
        let chunk = chunk_bytes.map_or(String::new(), |bytes| format!(" ovf:chunkSize=\"{bytes}\""));
        let disks = self.disks.iter().map(|disk| (&disk.href, disk.size, chunk.as_str()));
        let files = self.files.iter().map(|file| (&file.href, file.size, ""));
        xml.push_str("  <References>\n");
        for (number, (href, size, chunk)) in (1..).zip(disks.chain(files)) {
            let href = escape(href);
            put(
                xml,
                format_args!(
                    "    <File{chunk} ovf:href=\"{href}\" ovf:id=\"file{number}\" ovf:size=\"{size}\"/>"
                ),
            );
        }
        xml.push_str("  </References>\n");
    }

    fn disk_section(&self, xml: &mut String) {
        if self.disks.is_empty() {
            return;
        }
        xml.push_str("  <DiskSection>\n    <Info>The virtual disks</Info>\n");
        for (number, disk) in (1..).zip(&self.disks) {
            let EnvelopeDisk { capacity_bytes, populated_bytes, .. } = disk;
            put(
                xml,
                format_args!(
                    "    <Disk ovf:capacity=\"{capacity_bytes}\" ovf:capacityAllocationUnits=\"byte\" \
                     ovf:diskId=\"vmdisk{number}\" ovf:fileRef=\"file{number}\" ovf:format=\"{VMDK}\" \
                     ovf:populatedSize=\"{populated_bytes}\"/>"
                ),
            );
        }
        xml.push_str("  </DiskSection>\n");
    }

    fn virtual_system(&self, xml: &mut String) {
        // XML 1.0 cannot hold control characters, however they are escaped.
        let name: String = self.name.chars().filter(|letter| !letter.is_control()).collect();
        let (name, cpus, memory) = (escape(name), self.cpus, self.memory_mib);
        put(
            xml,
            format_args!(
                "  <VirtualSystem ovf:id=\"vm\">\n    <Info>A virtual machine</Info>\n    <Name>{name}</Name>\n    \
                 <OperatingSystemSection ovf:id=\"1\">\n      <Info>The guest operating system</Info>\n    \
                 </OperatingSystemSection>\n    <VirtualHardwareSection>\n      <Info>Virtual hardware</Info>\n      \
                 <System>\n        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n        \
                 <vssd:InstanceID>0</vssd:InstanceID>\n        \
                 <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>\n        \
                 <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>\n      </System>"
            ),
        );
        let mut items = Items { xml, next_id: 1 };
        items.add(&[
            ("AllocationUnits", "hertz * 10^6".into()),
            ("ElementName", format!("{cpus} virtual CPUs")),
            ("InstanceID", String::new()),
            ("ResourceType", "3".into()),
            ("VirtualQuantity", cpus.to_string()),
        ]);
        items.add(&[
            ("AllocationUnits", "byte * 2^20".into()),
            ("ElementName", format!("{memory} MiB of memory")),
            ("InstanceID", String::new()),
            ("ResourceType", "4".into()),
            ("VirtualQuantity", memory.to_string()),
        ]);
        let mut number = 0;
        for (bus, disks) in self.disks.chunks(UNITS.len()).enumerate() {
            let controller = items.add(&[
                ("Address", bus.to_string()),
                ("ElementName", format!("SCSI controller {bus}")),
                ("InstanceID", String::new()),
                ("ResourceSubType", "lsilogic".into()),
                ("ResourceType", "6".into()),
            ]);
            for unit in &UNITS[..disks.len()] {
                number += 1;
                items.add(&[
                    ("AddressOnParent", unit.to_string()),
                    ("ElementName", format!("Hard disk {number}")),
                    ("HostResource", format!("ovf:/disk/vmdisk{number}")),
                    ("InstanceID", String::new()),
                    ("Parent", controller.to_string()),
                    ("ResourceType", "17".into()),
                ]);
            }
        }
        for (number, file) in (self.disks.len() + 1..).zip(&self.files) {
            if file.href.ends_with(".nvram") {
                put(
                    xml,
                    format_args!(
                        "      <vmw:ExtraConfig ovf:required=\"false\" vmw:key=\"nvram\" \
                         vmw:value=\"ovf:/file/file{number}\"/>"
                    ),
                );
            }
        }
        xml.push_str("    </VirtualHardwareSection>\n  </VirtualSystem>\n");
    }
}

struct Items<'a> {
    xml: &'a mut String,
    next_id: u32,
}

impl Items<'_> {
    /// Adds an item; the schema wants its fields in alphabetical order. Gives its instance id.
    fn add(&mut self, fields: &[(&str, String)]) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.xml.push_str("      <Item>\n");
        for (name, value) in fields {
            let value = if *name == "InstanceID" { id.to_string() } else { value.clone() };
            put(self.xml, format_args!("        <rasd:{name}>{value}</rasd:{name}>"));
        }
        self.xml.push_str("      </Item>\n");
        id
    }
}

fn put(xml: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(xml, "{line}").expect("a string takes all that is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ovf::OvfDescriptor;

    fn envelope(disks: usize) -> Envelope {
        let disk = |number| EnvelopeDisk {
            href: format!("web-disk{number}.vmdk"),
            size: 70_000 + number as u64,
            capacity_bytes: 1 << 30,
            populated_bytes: 65_536,
        };
        Envelope {
            name: "web <&> \u{1}\"01\"".into(),
            cpus: 2,
            memory_mib: 4096,
            disks: (1..=disks).map(disk).collect(),
            files: vec![EnvelopeFile { href: "web.nvram".into(), size: 8684 }],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for disks in [0, 1, 16, 31] {
            let descriptor = OvfDescriptor::parse(envelope(disks).to_xml().as_bytes()).unwrap();
            assert_eq!(descriptor.system_name.as_deref(), Some("web <&> \"01\""));
            assert_eq!(descriptor.hardware_disks, disks);
            assert_eq!(descriptor.disks.len(), disks);
            assert_eq!(descriptor.files.len(), disks + 1);
            for (number, disk) in (1..).zip(&descriptor.disks) {
                assert_eq!(descriptor.file_of(disk).unwrap().size, Some(70_000 + number));
                assert_eq!(disk.capacity_bytes, Some(1 << 30));
            }
        }
    }
}
