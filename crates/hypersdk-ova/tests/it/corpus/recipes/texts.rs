//! Descriptors and manifests.

use super::{Add, Target, sha256};

pub(super) const ENVELOPE: &[u8] = b"<Envelope/>";

const NAMESPACES: &str = "xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" \
     xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:vmw=\"http://www.vmware.com/schema/ovf\"";

fn envelope(content: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?>\n<Envelope {NAMESPACES}>{content}</Envelope>\n").into_bytes()
}

fn references(files: &str) -> Vec<u8> {
    envelope(&format!("<References>{files}</References>"))
}

pub(super) fn descriptors(add: &mut Add<'_>) {
    let mut add = |name, content: Vec<u8>, fault| add(Target::Descriptor, name, content, fault);
    let vendor = "<VirtualSystem ovf:id='a' vmw:x='1'><Name>a</Name><VirtualHardwareSection>\
         <Item><ResourceType>17</ResourceType><vmw:Config ovf:required='false'/></Item>\
         </VirtualHardwareSection><vmw:BootOrderSection ovf:required='false'><Info/>\
         </vmw:BootOrderSection></VirtualSystem>";
    add("valid.ovf", envelope(vendor), None);
    let whole = envelope("<DiskSection><Disk ovf:capacity='1' ovf:diskId='d'/></DiskSection>");
    add("truncated.ovf", whole[..whole.len() - 20].to_vec(), Some("descriptor at byte"));
    add("valid-disk.ovf", whole, None);
    add("valid-required.ovf", envelope("<vmw:StorageSection ovf:required='true'/>"), None);
    let laughs = "<!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>";
    add("hostile-entities.ovf", format!("{laughs}<Envelope>&c;</Envelope>").into(), Some("document type"));
    let external = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><Envelope>&a;</Envelope>";
    add("hostile-external-entity.ovf", external.into(), Some("document type"));
    add("hostile-entity.ovf", envelope("&xxe;"), Some("entity"));
    add("hostile-depth.ovf", "<Envelope>".repeat(100_000)[..100_000].into(), Some("inside each other"));
    add("hostile-root.ovf", "<Envelop/>".into(), Some("not Envelope"));
    add("hostile-second-root.ovf", "<Envelope/><Envelope/>".into(), Some("second root"));
    add("hostile-not-text.ovf", b"<Envelope>\xff\xfe</Envelope>".to_vec(), Some("not UTF-8"));
    let file = |href: &str, more: &str| format!("<File ovf:id='{href}' ovf:href='{href}' {more}/>");
    for (name, href) in [
        ("hostile-traversal.ovf", "../../etc/passwd"),
        ("hostile-absolute.ovf", "/etc/passwd"),
        ("hostile-url.ovf", "file:///etc/passwd"),
    ] {
        add(name, references(&file(href, "")), Some("it is a path"));
    }
    let twice = file("a", "").repeat(2);
    add("hostile-duplicate.ovf", references(&twice), Some("comes twice"));
    add("hostile-missing.ovf", references(&file("a", "ovf:size='1'")), Some("it is not there"));
    let chunks = "ovf:size='18446744073709551615' ovf:chunkSize='1'";
    add("hostile-chunk-size.ovf", references(&file("a", chunks)), Some("it is not there"));
    let many: String =
        (0..500).map(|n| file(&format!("f{n}"), "ovf:size='9000' ovf:chunkSize='1'")).collect();
    add("hostile-chunks.ovf", references(&many), Some("refers to more than 10000 files"));
    let size = file("a", "ovf:size='-1'");
    add("hostile-size.ovf", references(&size), Some("not a number"));
}

pub(super) fn manifests(add: &mut Add<'_>) {
    let mut add = |name, content: String, fault| add(Target::Manifest, name, content.into(), fault);
    let digest = sha256(ENVELOPE);
    let valid = format!("SHA256(a.ovf)= {digest}\n");
    add("valid.mf", valid.clone(), None);
    add("valid-openssl.mf", format!("SHA2-256 (a.ovf) = {}\r\n", digest.to_uppercase()), None);
    add("truncated.mf", valid[..40].into(), Some("line 1"));
    add("hostile-digest.mf", format!("SHA256(a.ovf)= {}\n", sha256(b"")), Some("but the manifest says"));
    add(
        "hostile-traversal.mf",
        format!("{valid}SHA256(../../etc/passwd)= {digest}\n"),
        Some("it is not there"),
    );
    add("hostile-duplicate.mf", valid.repeat(2), Some("comes twice"));
    add("hostile-algorithm.mf", valid.replace("SHA256", "CRC32"), Some("is not known"));
    add("hostile-itself.mf", format!("{valid}SHA256(a.mf)= {digest}\n"), Some("may not list it"));
    add("hostile-incomplete.mf", String::new(), Some("does not list it"));
    add(
        "certificate",
        format!(
            "SHA256(a.mf)= {}\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            "00".repeat(256)
        ),
        None,
    );
}
