use std::ops::Range;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::tag::{Written, written_attributes};
use super::{OvfDescriptor, OvfError};

const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/";
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
const VSPHERE: &str = "http://www.vmware.com/schema/ovf";
/// Namespaces that belong to nobody in particular.
const STANDARD: [&str; 3] = ["http://schemas.dmtf.org/", "http://www.w3.org/", "https://www.w3.org/"];

/// The descriptor without what only one vendor's importer understands: sections, elements and
/// attributes of namespaces that are neither the DMTF's nor the W3C's, elements typed by such
/// (`xsi:type`), and the declarations of these namespaces. The rest stays as it is, byte for byte;
/// so do files that only a removed element referred to.
///
/// One thing is kept of vSphere's own: that a machine boots by EFI, and where its firmware's variables are. The
/// standard cannot say it, and a machine that takes the disk for one of a BIOS does not start. Importers that do
/// not know the two entries leave them out, as they are marked to be.
///
/// # Errors
/// Those of [`OvfDescriptor::parse`]; `Mandatory` if a vendor's section may not be left out.
pub fn portable(descriptor: &str) -> Result<String, OvfError> {
    let efi = OvfDescriptor::parse(descriptor.as_bytes())?.efi;
    let text = descriptor.trim_start_matches('\u{feff}');
    let result = without(text, &removals(text, efi)?);
    if OvfDescriptor::parse(result.as_bytes())?.efi == efi {
        return Ok(result);
    }
    // It was somebody else's entry that said so, and is gone.
    let result = without(text, &removals(text, false)?);
    OvfDescriptor::parse(result.as_bytes())?;
    Ok(result)
}

fn without(text: &str, gaps: &[Range<usize>]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for gap in gaps {
        result.push_str(&text[copied..gap.start]);
        copied = gap.end;
    }
    result.push_str(&text[copied..]);
    result
}

/// What has to go, in rising order.
fn removals(text: &str, efi: bool) -> Result<Vec<Range<usize>>, OvfError> {
    let mut reader = NsReader::from_str(text);
    let mut gaps: Vec<Range<usize>> = Vec::new();
    // Inside a removed element: where it began, and how many elements are open there.
    let mut removed: Option<(usize, usize)> = None;
    loop {
        let start = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|error| refuse(start, error.to_string()))?;
        let end = reader.buffer_position() as usize;
        let is_empty = matches!(event, Event::Empty(_));
        match (event, &mut removed) {
            (Event::Start(_), Some((_, depth))) => *depth += 1,
            (Event::End(_), Some((_, depth))) if *depth > 1 => *depth -= 1,
            (Event::End(_), Some((from, _))) => {
                gaps.push(whole_lines(text, *from..end));
                removed = None;
            }
            (Event::Start(element) | Event::Empty(element), None) => {
                let tag = Tag { reader: &reader, element: &element, start, end, efi };
                if tag.is_vendors()? && !tag.says_efi()? {
                    tag.check_dispensable()?;
                    match is_empty {
                        true => gaps.push(whole_lines(text, start..end)),
                        false => removed = Some((start, 1)),
                    }
                } else {
                    gaps.extend(tag.vendor_attributes(text)?);
                }
            }
            (Event::Eof, _) => return Ok(gaps),
            _ => {}
        }
    }
}

/// A start tag in its place.
struct Tag<'a> {
    reader: &'a NsReader<&'a [u8]>,
    element: &'a BytesStart<'a>,
    start: usize,
    end: usize,
    /// The machine boots by EFI.
    efi: bool,
}

impl Tag<'_> {
    fn is_vendors(&self) -> Result<bool, OvfError> {
        let (found, _) = self.reader.resolver().resolve_element(self.element.name());
        if self.is_foreign(found)? {
            return Ok(true);
        }
        match self.attribute(SCHEMA_INSTANCE, "type")? {
            Some(kind) => {
                let (found, _) = self.reader.resolver().resolve_element(QName(&kind));
                self.is_foreign(found)
            }
            None => Ok(false),
        }
    }

    /// One of vSphere's entries without which an EFI machine does not start.
    fn says_efi(&self) -> Result<bool, OvfError> {
        let name = self.element.name();
        let (found, _) = self.reader.resolver().resolve_element(name);
        if !self.efi || found != ResolveResult::Bound(Namespace(VSPHERE)) {
            return Ok(false);
        }
        let key = self.attribute(VSPHERE, "key")?;
        Ok(matches!(
            (name.local_name().as_ref(), key.as_deref()),
            ("Config", Some("firmware")) | ("ExtraConfig", Some("nvram"))
        ))
    }

    /// `ovf:required`, of which the standard says that a section without it is required.
    fn check_dispensable(&self) -> Result<(), OvfError> {
        let name = self.element.name();
        let default = name.local_name().as_ref().ends_with("Section");
        let required = self.attribute(OVF, "required")?;
        match required.as_deref().map(str::trim) {
            Some("false" | "0") => Ok(()),
            None if !default => Ok(()),
            _ => Err(OvfError::Mandatory(name.as_ref().to_owned())),
        }
    }

    /// An attribute of a namespace that begins so.
    fn attribute(&self, namespace: &str, name: &str) -> Result<Option<String>, OvfError> {
        for attribute in self.element.attributes() {
            let attribute = attribute.map_err(|error| refuse(self.start, error.to_string()))?;
            let (found, local) = self.reader.resolver().resolve_attribute(attribute.key);
            let ResolveResult::Bound(Namespace(found)) = found else { continue };
            if found.starts_with(namespace) && local.as_ref() == name {
                return Ok(Some(attribute.value.clone().into_owned()));
            }
        }
        Ok(None)
    }

    fn vendor_attributes(&self, text: &str) -> Result<Vec<Range<usize>>, OvfError> {
        let tag = &text[self.start..self.end];
        let kept = self.says_efi()?;
        let mut gaps = Vec::new();
        for Written { range, name, value } in written_attributes(tag) {
            let name = QName(name);
            let is_vendors = match name.as_namespace_binding() {
                Some(_) => !(is_standard(value) || self.efi && value == VSPHERE),
                None if kept => false,
                None => self.is_foreign(self.reader.resolver().resolve_attribute(name).0)?,
            };
            if is_vendors {
                gaps.push(self.start + range.start..self.start + range.end);
            }
        }
        Ok(gaps)
    }

    fn is_foreign(&self, found: ResolveResult<'_>) -> Result<bool, OvfError> {
        match found {
            ResolveResult::Bound(Namespace(name)) => Ok(!is_standard(name)),
            ResolveResult::Unbound => Ok(false),
            ResolveResult::Unknown(prefix) => {
                Err(refuse(self.start, format!("prefix {prefix:?} is not declared")))
            }
        }
    }
}

fn is_standard(namespace: &str) -> bool {
    namespace.is_empty() || STANDARD.iter().any(|standard| namespace.starts_with(standard))
}

/// Takes the line with it if nothing else is on it.
fn whole_lines(text: &str, range: Range<usize>) -> Range<usize> {
    let indent = text[..range.start].trim_end_matches([' ', '\t']).len();
    let rest = &text[range.end..];
    let line_end = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    let begins_line = text[..indent].ends_with('\n');
    match begins_line && rest[line_end..].starts_with('\n') {
        true => indent..range.end + line_end + 1,
        false => range,
    }
}

fn refuse(offset: usize, reason: String) -> OvfError {
    OvfError::Xml { offset: offset as u64, reason }
}

#[cfg(test)]
mod tests;
