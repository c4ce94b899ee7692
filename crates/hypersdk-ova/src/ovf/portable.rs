use std::ops::Range;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::{OvfDescriptor, OvfError};

const OVF: &str = "http://schemas.dmtf.org/ovf/envelope/";
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// Namespaces that belong to nobody in particular.
const STANDARD: [&str; 3] = ["http://schemas.dmtf.org/", "http://www.w3.org/", "https://www.w3.org/"];

/// The descriptor without what only one vendor's importer understands: sections, elements and
/// attributes of namespaces that are neither the DMTF's nor the W3C's, elements typed by such
/// (`xsi:type`), and the declarations of these namespaces. The rest stays as it is, byte for byte;
/// so do files that only a removed element referred to.
///
/// # Errors
/// Those of [`OvfDescriptor::parse`]; `Mandatory` if a vendor's section may not be left out.
pub fn portable(descriptor: &str) -> Result<String, OvfError> {
    OvfDescriptor::parse(descriptor.as_bytes())?;
    let text = descriptor.trim_start_matches('\u{feff}');
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for gap in removals(text)? {
        result.push_str(&text[copied..gap.start]);
        copied = gap.end;
    }
    result.push_str(&text[copied..]);
    OvfDescriptor::parse(result.as_bytes())?;
    Ok(result)
}

/// What has to go, in rising order.
fn removals(text: &str) -> Result<Vec<Range<usize>>, OvfError> {
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
                let tag = Tag { reader: &reader, element: &element, start, end };
                if tag.is_vendors()? {
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
        let mut gaps = Vec::new();
        for Written { range, name, value } in written_attributes(tag) {
            let name = QName(name);
            let is_vendors = match name.as_namespace_binding() {
                Some(_) => !is_standard(value),
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

/// An attribute as it stands in a tag, with the white space in front of it.
struct Written<'a> {
    range: Range<usize>,
    name: &'a str,
    value: &'a str,
}

/// The attributes of a tag that is known to be well-formed.
fn written_attributes(tag: &str) -> Vec<Written<'_>> {
    let mut all = Vec::new();
    let mut at = tag.find(char::is_whitespace).unwrap_or(tag.len());
    while let Some(equals) = tag[at..].find('=').map(|place| at + place) {
        let name = tag[at..equals].trim();
        let Some(open) = tag[equals..].find(['"', '\'']).map(|place| equals + place) else { break };
        let quote = &tag[open..=open];
        let Some(close) = tag[open + 1..].find(quote).map(|place| open + 1 + place) else { break };
        all.push(Written { range: at..close + 1, name, value: &tag[open + 1..close] });
        at = close + 1;
    }
    all
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
