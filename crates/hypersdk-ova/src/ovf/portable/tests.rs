use super::portable;
use crate::ovf::{Envelope, EnvelopeDisk, EnvelopeFile, OvfDescriptor, OvfError};

const NAMESPACES: &str = "xmlns='http://schemas.dmtf.org/ovf/envelope/1' \
     xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1' \
     xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'";

fn envelope(content: &str) -> String {
    format!("<Envelope {NAMESPACES} xmlns:vmw='http://www.vmware.com/schema/ovf'>{content}</Envelope>")
}

fn without_vendor(content: &str) -> String {
    format!("<Envelope {NAMESPACES}>{content}</Envelope>")
}

#[test]
fn vendor_elements_attributes_and_types_go_and_all_else_stays_byte_for_byte() {
    for (content, expected) in [
        ("<Info  a = \"1\" >x &amp; y</Info>", "<Info  a = \"1\" >x &amp; y</Info>"),
        ("a<vmw:Config ovf:required='false' vmw:key='k'/>b", "ab"),
        ("<Item vmw:id=\"=>'/\" ovf:x='1'\n vmw:y='2'/>", "<Item ovf:x='1'/>"),
        ("\n  <vmw:A>\n <vmw:A/> <Info>t</Info></vmw:A>\n  <Info/>\n", "\n  <Info/>\n"),
        ("<Item xsi:type='vmw:T'><Info/></Item>", ""),
        ("<Item xsi:type='ovf:T'/>", "<Item xsi:type='ovf:T'/>"),
        ("<B xmlns='http://example.org/vendor'><C/></B><D/>", "<D/>"),
        ("<!-- <vmw:Kept/> --><![CDATA[<vmw:Kept/>]]>", "<!-- <vmw:Kept/> --><![CDATA[<vmw:Kept/>]]>"),
        ("<Plain xmlns:v='http://example.org/v' v:a='1' b='2'/>", "<Plain b='2'/>"),
        ("<vmw:BootOrderSection ovf:required='false'/>", ""),
    ] {
        assert_eq!(portable(&envelope(content)).unwrap(), without_vendor(expected), "{content}");
    }
}

#[test]
fn a_section_that_must_be_understood_is_an_error() {
    for content in [
        "<vmw:StorageSection ovf:required='true'><Info/></vmw:StorageSection>",
        "<vmw:StorageSection/>",
        "<vmw:Config ovf:required='1'/>",
    ] {
        let error = portable(&envelope(content)).unwrap_err();
        assert!(matches!(error, OvfError::Mandatory(_)), "{error}");
    }
}

#[test]
fn a_prefix_that_nobody_declared_is_refused() {
    let error = portable(&envelope("<x:Y/>")).unwrap_err().to_string();
    assert!(error.contains("\"x\" is not declared"), "{error}");
}

#[test]
fn our_own_descriptor_becomes_portable_and_says_the_same() {
    let disk = EnvelopeDisk { href: "a.vmdk".into(), size: 1, capacity_bytes: 512, populated_bytes: 0 };
    let files = vec![EnvelopeFile { href: "a.nvram".into(), size: 2 }];
    let envelope = Envelope { name: "a".into(), cpus: 1, memory_mib: 1, disks: vec![disk], files };
    let original = envelope.to_xml();
    let portable = portable(&original).unwrap();
    assert!(
        original.contains("vmw:") && !portable.contains("vmw:") && !portable.contains(":vmw"),
        "{portable}"
    );
    assert_eq!(
        OvfDescriptor::parse(portable.as_bytes()).unwrap(),
        OvfDescriptor::parse(original.as_bytes()).unwrap()
    );
}

#[test]
fn what_says_that_a_machine_boots_by_efi_stays() {
    let entry = "<vmw:Config ovf:required='false' vmw:key='firmware' vmw:value='efi'/>\
                 <vmw:ExtraConfig ovf:required='false' vmw:key='nvram' vmw:value='ovf:/file/f'/>";
    let hardware = |content: &str| {
        envelope(&format!(
            "<VirtualSystem><VirtualHardwareSection>{content}</VirtualHardwareSection></VirtualSystem>"
        ))
    };
    let other = "<vmw:Config ovf:required='false' vmw:key='cpuHotAddEnabled' vmw:value='true'/>";
    assert_eq!(portable(&hardware(&format!("{other}{entry}{other}"))).unwrap(), hardware(entry));
    for foreign in [
        entry.replace("'efi'", "'bios'"),
        entry.replace("vmw:Config", "v:Config xmlns:v='http://example.org/v'"),
    ] {
        let result = portable(&hardware(&foreign)).unwrap();
        assert!(!result.contains("vmw") && !result.contains("nvram"), "{result}");
    }
}
