use std::fs;

use hypersdk_ova::ovf::{OvfDescriptor, portable};

use crate::tool;

/// As vCenter writes it: sections, configuration and attributes of its own between the standard's.
const VSPHERE: &str = r#"<?xml version='1.0' encoding='UTF-8'?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" vmw:buildId="build-1">
  <References>
    <File ovf:id="file1" ovf:href="a-1.vmdk" ovf:size="70144"/>
    <File ovf:id="file2" ovf:href="a-2.nvram" ovf:size="8684"/>
  </References>
  <DiskSection>
    <Info>List of the virtual disks</Info>
    <Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef="file1"/>
  </DiskSection>
  <VirtualSystem ovf:id="a">
    <Info>A Virtual system</Info>
    <Name>a &#x3c;1&gt;</Name>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian11_64Guest">
      <Info>The operating system installed</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements</Info>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:ResourceType>17</rasd:ResourceType>
        <vmw:Config ovf:required="false" vmw:key="backing.writeThrough" vmw:value="false"/>
      </Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
      <vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file2"/>
    </VirtualHardwareSection>
    <vmw:BootOrderSection ovf:required="false" vmw:instanceId="4" vmw:type="disk">
      <Info>Virtual hardware device boot order</Info>
    </vmw:BootOrderSection>
  </VirtualSystem>
</Envelope>
"#;

#[test]
fn a_descriptor_of_vcenter_becomes_one_of_the_standard_but_for_its_firmware() {
    let result = portable(VSPHERE).unwrap();
    let firmware = [
        r#"      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>"#,
        r#"      <vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file2"/>"#,
    ];
    let foreign: Vec<&str> = result.lines().skip(2).filter(|line| line.contains("vmw")).collect();
    assert_eq!(foreign, firmware, "{result}");
    assert!(!result.contains("buildId"), "{result}");
    assert_stands(VSPHERE, &result);
}

#[test]
fn a_descriptor_of_a_bios_machine_becomes_one_of_the_standard_alone() {
    let original = VSPHERE.replace(r#"vmw:value="efi""#, r#"vmw:value="bios""#);
    let result = portable(&original).unwrap();
    assert_eq!(result.matches("vmw").count(), 0, "{result}");
    let kept: Vec<&str> =
        original.lines().filter(|line| !line.contains("vmw") && !line.contains("boot order")).collect();
    for line in &kept {
        assert!(result.contains(line), "{line}");
    }
    assert_eq!(result.lines().count(), kept.len() + 2, "{result}");
    assert_stands(&original, &result);
}

/// It says the same, is well-formed, and has nothing left to be taken out.
#[track_caller]
fn assert_stands(original: &str, result: &str) {
    let read = |text: &str| OvfDescriptor::parse(text.as_bytes()).unwrap();
    assert_eq!(read(result), read(original));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ovf");
    fs::write(&path, result).unwrap();
    tool::run("xmllint", &["--noout".as_ref(), path.as_os_str()]);
    assert_eq!(portable(result).unwrap(), result, "once is enough");
}
