use std::collections::HashSet;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::capacity;
use crate::tar::{TarError, check_member_name};

/// The largest descriptor that is read, in bytes.
pub const MAX_DESCRIPTOR_BYTES: u64 = 8 << 20;
const MAX_DEPTH: usize = 64;
/// `rasd:ResourceType` of a disk drive.
const DISK_DRIVE: &str = "17";
/// The section of an entry that says by which firmware a machine boots.
const HARDWARE: &str = "VirtualHardwareSection";

/// Why a descriptor is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OvfError {
    /// It is longer than [`MAX_DESCRIPTOR_BYTES`].
    #[error("descriptor of {0} bytes is too large")]
    TooLarge(u64),
    /// It is not well-formed.
    #[error("descriptor at byte {offset}: {reason}")]
    Xml {
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// It is XML, but no envelope.
    #[error("the root element is {0:?}, not Envelope")]
    NotAnEnvelope(String),
    /// An element lacks an attribute or has one of the wrong form.
    #[error("{element}: attribute {attribute} is {problem}")]
    Attribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
        /// `missing`, or what it held.
        problem: String,
    },
    /// A reference that leads out of the package.
    #[error("reference to {href:?}: {reason}")]
    Href {
        /// The reference.
        href: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A vendor's section that the standard forbids to leave out.
    #[error("{0} is required: without it the machine would be another")]
    Mandatory(String),
    /// A file that has no entry.
    #[error("no entry for file {0:?}")]
    Missing(String),
    /// The same id or file twice.
    #[error("{0} comes twice")]
    Duplicate(String),
}

/// An entry of `References`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvfFile {
    /// Its id, which disks refer to.
    pub id: String,
    /// The file's name; checked to be a plain name.
    pub href: String,
    /// The file's size in bytes, if told; of chunks, their sum.
    pub size: Option<u64>,
    /// `gzip`, or nothing, or what we do not know.
    pub compression: Option<String>,
    /// If it is cut in chunks, the size of each but the last, in bytes.
    pub chunk_size: Option<u64>,
}

/// An entry of `DiskSection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvfDisk {
    /// Its id, which the virtual hardware refers to.
    pub disk_id: String,
    /// The id of its file; none for an empty disk.
    pub file_ref: Option<String>,
    /// Its capacity in bytes, if the number and its unit are understood.
    pub capacity_bytes: Option<u64>,
    /// How many bytes of it are in use, if told.
    pub populated_bytes: Option<u64>,
    /// The URI of its format.
    pub format: Option<String>,
}

/// What a descriptor says about its package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OvfDescriptor {
    /// The files in their order.
    pub files: Vec<OvfFile>,
    /// The disks.
    pub disks: Vec<OvfDisk>,
    /// The name of the (first) virtual system, else its id.
    pub system_name: Option<String>,
    /// How many disk drives the virtual hardware has.
    pub hardware_disks: usize,
    /// It boots by EFI. The standard has no word for that; this is vSphere's, which virt-v2v reads too.
    pub efi: bool,
}

impl OvfDescriptor {
    /// Reads a descriptor: no document type, no entity but the five of XML itself, names of files
    /// without a path.
    ///
    /// # Errors
    /// With the reason; the input may be hostile.
    pub fn parse(raw: &[u8]) -> Result<Self, OvfError> {
        if raw.len() as u64 > MAX_DESCRIPTOR_BYTES {
            return Err(OvfError::TooLarge(raw.len() as u64));
        }
        let text = std::str::from_utf8(raw).map_err(|error| OvfError::Xml {
            offset: error.valid_up_to() as u64,
            reason: "it is not UTF-8".into(),
        })?;
        Parser::default().run(text.trim_start_matches('\u{feff}'))
    }

    /// The file of a disk.
    #[must_use]
    pub fn file_of(&self, disk: &OvfDisk) -> Option<&OvfFile> {
        let id = disk.file_ref.as_ref()?;
        self.files.iter().find(|file| file.id == *id)
    }
}

#[derive(Default)]
struct Parser {
    descriptor: OvfDescriptor,
    path: Vec<String>,
    seen_root: bool,
    text: String,
    system_id: Option<String>,
    ids: HashSet<String>,
    hrefs: HashSet<String>,
}

impl Parser {
    fn run(mut self, text: &str) -> Result<OvfDescriptor, OvfError> {
        let mut reader = Reader::from_str(text);
        loop {
            let event = reader.read_event();
            let offset = reader.buffer_position();
            let refuse = |reason: String| OvfError::Xml { offset, reason };
            match event.map_err(|error| refuse(error.to_string()))? {
                Event::Start(element) => self.open(&element, offset)?,
                Event::Empty(element) => {
                    self.open(&element, offset)?;
                    self.close();
                }
                Event::End(_) => self.close(),
                Event::Text(piece) => {
                    let content = piece.xml10_content();
                    if self.path.is_empty() && !content.trim().is_empty() {
                        return Err(refuse("text outside the root element".into()));
                    }
                    self.text.push_str(&content);
                }
                Event::CData(piece) if !self.path.is_empty() => self.text.push_str(&piece.xml10_content()),
                Event::CData(_) => return Err(refuse("text outside the root element".into())),
                Event::GeneralRef(reference) => {
                    let character = match &*reference {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "apos" => '\'',
                        "quot" => '"',
                        _ => match reference.resolve_char_ref() {
                            Ok(Some(character)) => character,
                            _ => return Err(refuse(format!("entity {:?} is not allowed", &*reference))),
                        },
                    };
                    self.text.push(character);
                }
                Event::DocType(_) => return Err(refuse("a document type is not allowed".into())),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        let offset = text.len() as u64;
        if !self.seen_root {
            return Err(OvfError::Xml { offset, reason: "there is no element".into() });
        }
        if let Some(open) = self.path.last() {
            return Err(OvfError::Xml { offset, reason: format!("element {open:?} is not closed") });
        }
        self.descriptor.system_name = self.descriptor.system_name.or(self.system_id);
        Ok(self.descriptor)
    }

    fn open(&mut self, element: &BytesStart<'_>, offset: u64) -> Result<(), OvfError> {
        let name = element.local_name().as_ref().to_owned();
        if self.path.is_empty() {
            if self.seen_root {
                return Err(OvfError::Xml { offset, reason: "a second root element".into() });
            }
            if name != "Envelope" {
                return Err(OvfError::NotAnEnvelope(name));
            }
            self.seen_root = true;
        }
        if self.path.len() == MAX_DEPTH {
            return Err(OvfError::Xml {
                offset,
                reason: format!("more than {MAX_DEPTH} elements inside each other"),
            });
        }
        let attributes = Attributes::of(element, offset)?;
        let parents: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (parents.as_slice(), name.as_str()) {
            (["Envelope", "References"], "File") => self.add_file(&attributes)?,
            (["Envelope", "DiskSection"], "Disk") => self.add_disk(&attributes)?,
            (_, "VirtualSystem") if self.system_id.is_none() => self.system_id = attributes.get("id"),
            ([.., HARDWARE], "Config") if attributes.is("key", "firmware") => {
                self.descriptor.efi |= attributes.is("value", "efi");
            }
            _ => {}
        }
        self.text.clear();
        self.path.push(name);
        Ok(())
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.text);
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            [.., "VirtualSystem", "Name"] if self.descriptor.system_name.is_none() => {
                self.descriptor.system_name = Some(text.trim().to_owned());
            }
            [.., HARDWARE, "Item" | "StorageItem", "ResourceType"] if text.trim() == DISK_DRIVE => {
                self.descriptor.hardware_disks += 1;
            }
            _ => {}
        }
        self.path.pop();
    }

    fn add_file(&mut self, attributes: &Attributes) -> Result<(), OvfError> {
        let href = attributes.need("File", "href")?;
        check_member_name(&href).map_err(|error| {
            let TarError::Name { reason, .. } = error else { unreachable!("only names are checked here") };
            OvfError::Href { href: href.clone(), reason: reason.to_owned() }
        })?;
        let file = OvfFile {
            id: attributes.need("File", "id")?,
            size: attributes.number("File", "size")?,
            compression: attributes.get("compression").filter(|name| !name.is_empty() && name != "identity"),
            chunk_size: attributes.number("File", "chunkSize")?.filter(|&size| size > 0),
            href,
        };
        if !self.hrefs.insert(file.href.clone()) {
            return Err(OvfError::Duplicate(format!("file {:?}", file.href)));
        }
        if !self.ids.insert(format!("file {:?}", file.id)) {
            return Err(OvfError::Duplicate(format!("file id {:?}", file.id)));
        }
        self.descriptor.files.push(file);
        Ok(())
    }

    fn add_disk(&mut self, attributes: &Attributes) -> Result<(), OvfError> {
        let capacity = attributes.need("Disk", "capacity")?;
        let unit = attributes.get("capacityAllocationUnits");
        let disk = OvfDisk {
            disk_id: attributes.need("Disk", "diskId")?,
            file_ref: attributes.get("fileRef").filter(|id| !id.is_empty()),
            capacity_bytes: capacity::bytes(&capacity, unit.as_deref()),
            populated_bytes: attributes.number("Disk", "populatedSize")?,
            format: attributes.get("format"),
        };
        if !self.ids.insert(format!("disk {:?}", disk.disk_id)) {
            return Err(OvfError::Duplicate(format!("disk id {:?}", disk.disk_id)));
        }
        self.descriptor.disks.push(disk);
        Ok(())
    }
}

/// An element's attributes by local name, without the declarations of namespaces.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(element: &BytesStart<'_>, offset: u64) -> Result<Self, OvfError> {
        let refuse = |reason: String| OvfError::Xml { offset, reason };
        let mut all = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| refuse(error.to_string()))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| refuse(error.to_string()))?;
            if attribute.key.as_namespace_binding().is_none() {
                all.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
            }
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(key, found)| key == name && found.trim() == value)
    }

    fn need(&self, element: &'static str, attribute: &'static str) -> Result<String, OvfError> {
        let missing = || OvfError::Attribute { element, attribute, problem: "missing".into() };
        self.get(attribute).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    fn number(&self, element: &'static str, attribute: &'static str) -> Result<Option<u64>, OvfError> {
        let Some(text) = self.get(attribute) else { return Ok(None) };
        let refuse =
            |_| OvfError::Attribute { element, attribute, problem: format!("{text:?}, not a number") };
        text.trim().parse().map(Some).map_err(refuse)
    }
}

#[cfg(test)]
mod tests;
