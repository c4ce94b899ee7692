use std::collections::BTreeMap;

use super::VmdkError;

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

/// Writes the descriptor of a disk of `sectors` whose extent is called `name`.
pub(super) fn render(name: &str, sectors: u64, cid: u32, adapter: &str) -> String {
    // 255 heads of 63 sectors is the geometry of an LSI Logic disk; importers do not use it.
    let cylinders = (sectors / (255 * 63)).clamp(1, 65_535);
    format!(
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
         ddb.adapterType = \"{adapter}\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.toolsVersion = \"2147483647\"\n\
         ddb.virtualHWVersion = \"4\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_is_read_back() {
        let descriptor =
            DiskDescriptor::parse(render("d.vmdk", 2048, 0xcafe, "lsilogic").as_bytes()).unwrap();
        assert_eq!(descriptor.cid, "0000cafe");
        assert_eq!(descriptor.database["ddb.toolsVersion"], "2147483647");
    }

    #[test]
    fn a_delta_disk_is_refused() {
        let text = render("d.vmdk", 2048, 1, "ide").replace("parentCID=ffffffff", "parentCID=12345678");
        let error = DiskDescriptor::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("parent 12345678"), "{error}");
    }

    #[test]
    fn another_disk_type_is_refused() {
        let text = render("d.vmdk", 2048, 1, "ide").replace("streamOptimized", "monolithicFlat");
        assert!(matches!(DiskDescriptor::parse(text.as_bytes()), Err(VmdkError::Descriptor(_))));
    }
}
