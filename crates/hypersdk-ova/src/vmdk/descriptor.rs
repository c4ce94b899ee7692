use std::collections::BTreeMap;

use super::{DiskOptions, SECTOR_BYTES, VmdkError};

const NO_PARENT: &str = "ffffffff";

/// The text descriptor embedded in a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDescriptor {
    /// The content id: eight hexadecimal digits that change when the content does.
    pub cid: String,
    /// What kind of disk it says it is.
    pub create_type: String,
    /// The disk database: keys beginning with `ddb.`, such as `ddb.adapterType`.
    pub database: BTreeMap<String, String>,
}

impl DiskDescriptor {
    /// Reads the descriptor of a streamOptimized disk; `raw` may be padded with zeros.
    ///
    /// # Errors
    /// `Descriptor` if it is no such text, is of another type, or belongs to a disk with a parent.
    pub(super) fn parse(raw: &[u8]) -> Result<Self, VmdkError> {
        let end = raw.iter().position(|&byte| byte == 0).unwrap_or(raw.len());
        let text = String::from_utf8_lossy(&raw[..end]);
        let mut values = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some((key, value)) = line.split_once('=') {
                values.insert(key.trim().to_owned(), value.trim().trim_matches('"').to_owned());
            }
        }
        let create_type = values
            .remove("createType")
            .ok_or_else(|| VmdkError::Descriptor("it names no createType".into()))?;
        if create_type != "streamOptimized" {
            return Err(VmdkError::Descriptor(format!("createType is {create_type:?}, not streamOptimized")));
        }
        let parent = values.get("parentCID").map_or(NO_PARENT, String::as_str);
        if !parent.eq_ignore_ascii_case(NO_PARENT) {
            return Err(VmdkError::Descriptor(format!("the disk is a delta on top of parent {parent}")));
        }
        let cid = values.remove("CID").unwrap_or_default();
        values.retain(|key, _| key.starts_with("ddb."));
        Ok(Self { cid, create_type, database: values })
    }
}

/// Whether an entry of the disk database can be written: plain ASCII that reads back the same.
pub(super) fn is_writable(key: &str, value: &str) -> bool {
    let trimmed = |text: &str| text.trim().len() == text.len();
    key.starts_with("ddb.")
        && !key.contains('=')
        && [key, value].iter().all(|text| plain(text) && trimmed(text))
}

fn plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"')
}

/// Writes the descriptor of a disk; its extent has the disk's name.
pub(super) fn render(options: &DiskOptions) -> Result<String, VmdkError> {
    let DiskOptions { capacity_bytes, name, cid, adapter, database, .. } = options;
    if !plain(name) || !plain(adapter) {
        return Err(VmdkError::Unwritable(format!("the name {name:?} is not plain ASCII")));
    }
    if let Some((key, _)) = database.iter().find(|(key, value)| !is_writable(key, value)) {
        return Err(VmdkError::Unwritable(format!("{key:?} cannot stand in a disk database")));
    }
    let sectors = capacity_bytes / SECTOR_BYTES;
    // 255 heads of 63 sectors is the geometry of an LSI Logic disk; importers do not use it.
    let cylinders = (sectors / (255 * 63)).clamp(1, 65_535).to_string();
    let mut entries = BTreeMap::from([
        ("ddb.adapterType", adapter.as_str()),
        ("ddb.geometry.cylinders", &cylinders),
        ("ddb.geometry.heads", "255"),
        ("ddb.geometry.sectors", "63"),
        ("ddb.toolsVersion", "2147483647"),
        ("ddb.virtualHWVersion", "4"),
    ]);
    entries.extend(database.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let entries: String = entries.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    Ok(format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={cid:08x}\n\
         parentCID={NO_PARENT}\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RW {sectors} SPARSE \"{name}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         {entries}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered() -> String {
        let database = [("ddb.uuid", "60 00 C2 9f"), ("ddb.toolsVersion", "12352")];
        let database = database.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        render(&DiskOptions { cid: 0xcafe, database, ..DiskOptions::new(1 << 20) }).unwrap()
    }

    #[test]
    fn what_is_rendered_is_read_back() {
        let descriptor = DiskDescriptor::parse(rendered().as_bytes()).unwrap();
        assert_eq!(descriptor.cid, "0000cafe");
        assert_eq!(descriptor.database["ddb.adapterType"], "lsilogic");
        assert_eq!(descriptor.database["ddb.uuid"], "60 00 C2 9f");
        assert_eq!(
            descriptor.database["ddb.toolsVersion"], "12352",
            "what is given replaces what is customary"
        );
    }

    #[test]
    fn an_entry_that_would_read_back_as_another_is_refused() {
        for (key, value) in
            [("ddb.a", "x\ny"), ("ddb.a", "\""), ("ddb.a=b", ""), ("CID", "1"), ("ddb.a", " x")]
        {
            assert!(!is_writable(key, value), "{key} = {value}");
            let database = [(key.to_owned(), value.to_owned())].into();
            assert!(render(&DiskOptions { database, ..DiskOptions::new(512) }).is_err());
        }
    }

    #[test]
    fn a_delta_disk_is_refused() {
        let text = rendered().replace("parentCID=ffffffff", "parentCID=12345678");
        let error = DiskDescriptor::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("parent 12345678"), "{error}");
    }

    #[test]
    fn another_disk_type_is_refused() {
        let text = rendered().replace("streamOptimized", "monolithicFlat");
        assert!(matches!(DiskDescriptor::parse(text.as_bytes()), Err(VmdkError::Descriptor(_))));
    }
}
