use std::num::NonZeroU64;

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::tag::written_attributes;
use super::{OvfDescriptor, OvfError};

/// The descriptor of a package in which some files are cut in chunks of this size (DSP0243, section 7.1): gives
/// the entries of these files an `ovf:chunkSize`. The rest stays as it is, byte for byte.
///
/// # Errors
/// Those of [`OvfDescriptor::parse`], also if an entry has a chunk size already; `Missing` if one of the files
/// has no entry.
pub fn chunked(descriptor: &str, files: &[&str], chunk_bytes: NonZeroU64) -> Result<String, OvfError> {
    OvfDescriptor::parse(descriptor.as_bytes())?;
    let text = descriptor.trim_start_matches('\u{feff}');
    let mut result = String::with_capacity(text.len() + 40 * files.len());
    let mut copied = 0;
    let mut reader = Reader::from_str(text);
    loop {
        let start = reader.buffer_position() as usize;
        let event = reader.read_event();
        let offset = start as u64;
        match event.map_err(|error| OvfError::Xml { offset, reason: error.to_string() })? {
            Event::Start(element) | Event::Empty(element) if element.local_name().as_ref() == "File" => {
                let tag = &text[start..reader.buffer_position() as usize];
                let href = written_attributes(tag).into_iter().find(|attribute| {
                    let local = attribute.name.rsplit_once(':').map_or(attribute.name, |(_, local)| local);
                    local == "href" && files.contains(&attribute.value)
                });
                if let Some(href) = href {
                    // Bound to the same namespace as the attribute beside it.
                    let prefix = href.name.strip_suffix("href").unwrap_or_default();
                    let at = start + href.range.start;
                    result.push_str(&text[copied..at]);
                    result.push_str(&format!(" {prefix}chunkSize=\"{chunk_bytes}\""));
                    copied = at;
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    result.push_str(&text[copied..]);
    let read = OvfDescriptor::parse(result.as_bytes())?;
    for name in files {
        let found = read.files.iter().find(|file| file.href == *name);
        if found.and_then(|file| file.chunk_size) != Some(chunk_bytes.get()) {
            return Err(OvfError::Missing((*name).to_owned()));
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ovf::{Envelope, EnvelopeDisk, EnvelopeFile};

    fn envelope() -> Envelope {
        let disk = |name: &str| EnvelopeDisk {
            href: name.into(),
            size: 70_000,
            capacity_bytes: 1 << 20,
            populated_bytes: 0,
        };
        Envelope {
            name: "web".into(),
            cpus: 1,
            memory_mib: 64,
            disks: vec![disk("a.vmdk"), disk("b.vmdk")],
            files: vec![EnvelopeFile { href: "a.nvram".into(), size: 9 }],
        }
    }

    #[test]
    fn the_files_named_are_in_chunks_and_all_else_is_as_it_was() {
        let size = NonZeroU64::new(4096).unwrap();
        let (plain, both) = (envelope().to_xml(), ["a.vmdk", "b.vmdk"]);
        let cut = chunked(&plain, &both, size).unwrap();
        assert_eq!(cut.replace(" ovf:chunkSize=\"4096\"", ""), plain);
        let read = OvfDescriptor::parse(cut.as_bytes()).unwrap();
        let expected = OvfDescriptor::parse(envelope().to_chunked_xml(size).as_bytes()).unwrap();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_prefix_of_its_own_or_none_is_kept() {
        let size = NonZeroU64::new(9).unwrap();
        for (file, expected) in [
            ("<File x:id='1' x:href='a'/>", "<File x:id='1' x:chunkSize=\"9\" x:href='a'/>"),
            ("<x:File id='1'\n href = \"a\" />", "<x:File id='1' chunkSize=\"9\"\n href = \"a\" />"),
        ] {
            let envelope = |file: &str| {
                format!(
                    "<x:Envelope xmlns:x='http://schemas.dmtf.org/ovf/envelope/1'><x:References>{file}</x:References></x:Envelope>"
                )
            };
            let file = file.replace("<File", "<x:File");
            let expected = envelope(&expected.replace("<File", "<x:File"));
            assert_eq!(chunked(&envelope(&file), &["a"], size).unwrap(), expected);
        }
    }

    #[test]
    fn a_file_without_an_entry_or_cut_already_is_refused() {
        let size = NonZeroU64::new(9).unwrap();
        let error = chunked(&envelope().to_xml(), &["c.vmdk"], size).unwrap_err();
        assert!(matches!(error, OvfError::Missing(_)), "{error}");
        let cut = chunked(&envelope().to_xml(), &["a.vmdk"], size).unwrap();
        assert!(matches!(chunked(&cut, &["a.vmdk"], size).unwrap_err(), OvfError::Xml { .. }));
    }
}
