use hypersdk_vsim::{DiskSpec, Kind, VmSpec, Vsim};

use crate::client::{Client, all, first};

/// A retrieval of all machines' names through a container view.
async fn view_spec(client: &Client) -> String {
    let (ty, root) = client.manager("rootFolder");
    let arguments = format!(
        "<container type=\"{ty}\">{root}</container><type>VirtualMachine</type><recursive>true</recursive>"
    );
    let body = client.ok("CreateContainerView", client.manager("viewManager"), &arguments).await;
    let view = first(&body, "returnval");
    format!(
        "<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet>\
         <obj type=\"ContainerView\">{view}</obj><skip>true</skip><selectSet xsi:type=\"TraversalSpec\">\
         <name>v</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet>\
         </objectSet></specSet>"
    )
}

#[tokio::test]
async fn a_list_comes_in_pages_of_the_smaller_limit_and_is_whole() {
    let sim = Vsim::builder().vms(25).page_size(10).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let spec = view_spec(&client).await;
    for (asked, pages) in [("", 3), ("<maxObjects>7</maxObjects>", 4), ("<maxObjects>5000</maxObjects>", 3)] {
        let arguments = format!("{spec}<options>{asked}</options>");
        let collector = client.manager("propertyCollector");
        let mut body = client.ok("RetrievePropertiesEx", collector, &arguments).await;
        let mut names: Vec<String> = all(&body, "val").iter().map(|name| (*name).to_owned()).collect();
        let mut seen = 1;
        while let Some(token) = all(&body, "token").first().copied().map(str::to_owned) {
            let arguments = format!("<token>{token}</token>");
            body = client.ok("ContinueRetrievePropertiesEx", collector, &arguments).await;
            names.extend(all(&body, "val").iter().map(|name| (*name).to_owned()));
            seen += 1;
            let again = client.fails("ContinueRetrievePropertiesEx", collector, &arguments).await;
            assert_eq!(again, "InvalidArgument");
        }
        assert_eq!(seen, pages, "{asked}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 25);
    }
}

#[tokio::test]
async fn folders_are_walked_by_named_traversals_that_call_each_other() {
    let sim = Vsim::builder().vms(6).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let (_, root) = client.manager("rootFolder");
    let arguments = format!(
        "<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>\
         <propSet><type>Folder</type><pathSet>name</pathSet></propSet>\
         <objectSet><obj type=\"Folder\">{root}</obj><skip>true</skip>\
         <selectSet xsi:type=\"TraversalSpec\"><name>f</name><type>Folder</type><path>childEntity</path>\
         <selectSet><name>f</name></selectSet><selectSet><name>d</name></selectSet></selectSet>\
         <selectSet xsi:type=\"TraversalSpec\"><name>d</name><type>Datacenter</type><path>vmFolder</path>\
         <selectSet><name>f</name></selectSet></selectSet></objectSet></specSet>"
    );
    let body = client.ok("RetrieveProperties", client.manager("propertyCollector"), &arguments).await;
    let mut names = all(&body, "val");
    names.sort_unstable();
    let wanted =
        ["app-01", "apps", "build-01", "db-01", "prod", "test", "vm", "vm-0005", "vm-0006", "web-01"];
    assert_eq!(names, wanted);
}

#[tokio::test]
async fn machines_are_found_by_path_uuid_and_child_name() {
    let sim = Vsim::builder()
        .vm(VmSpec::new("a/b").folder("x y").disk(DiskSpec::synth(1, 1 << 20)))
        .vm(VmSpec::new("plain"))
        .start()
        .await
        .unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(sim.vm_paths(), ["/DC0/vm/plain", "/DC0/vm/x y/a%2fb"]);
    assert_eq!(client.find("/DC0/vm/x y/a%2fb").await, "vm-101");
    assert_eq!(client.find("DC0/vm/plain").await, "vm-102");
    let index = client.manager("searchIndex");
    let uuid = client.property(("VirtualMachine", "vm-102"), "config.instanceUuid").await;
    let arguments = format!("<uuid>{uuid}</uuid><vmSearch>true</vmSearch><instanceUuid>true</instanceUuid>");
    assert_eq!(first(&client.ok("FindByUuid", index, &arguments).await, "returnval"), "vm-102");
    let arguments = "<entity type=\"Folder\">group-v3</entity><name>plain</name>";
    assert_eq!(first(&client.ok("FindChild", index, arguments).await, "returnval"), "vm-102");
    let none = client.ok("FindByInventoryPath", index, "<inventoryPath>/DC0/vm/none</inventoryPath>").await;
    assert!(all(&none, "returnval").is_empty());
}

#[tokio::test]
async fn properties_reach_into_arrays_by_key() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let vm = ("VirtualMachine", "vm-102");
    let device = client.property(vm, "config.hardware.device[2001]").await;
    assert_eq!(first(&device, "capacityInBytes"), (64 << 20).to_string());
    assert_eq!(
        client.property(vm, "config.hardware.device[2001].backing.fileName").await,
        "[datastore1] db-01/db-01_1.vmdk"
    );
    assert_eq!(client.property(vm, "config.firmware").await, "efi");
    assert_eq!(client.property(vm, "snapshot").await, "");
}

#[tokio::test]
async fn an_esxi_host_has_its_own_ids_and_no_folders() {
    let sim = Vsim::builder().kind(Kind::Esxi).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(client.find("/ha-datacenter/vm/app-01").await, "3");
    assert_eq!(client.property(("VirtualMachine", "1"), "parent").await, "ha-folder-vm");
    assert_eq!(client.property(("VirtualMachine", "1"), "runtime.host").await, "ha-host");
}

#[tokio::test]
async fn two_machines_of_one_path_are_refused_at_start() {
    let twice = Vsim::builder().vm(VmSpec::new("a")).vm(VmSpec::new("a"));
    let error = std::error::Error::source(&twice.start().await.unwrap_err()).unwrap().to_string();
    assert!(error.contains("/DC0/vm/a"), "{error}");
}

#[tokio::test]
async fn privileges_are_held_unless_taken() {
    let sim = Vsim::builder().deny_privilege("VApp.Export").start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let key =
        first(&client.property(client.manager("sessionManager"), "currentSession").await, "key").to_owned();
    let arguments = format!(
        "<entity type=\"VirtualMachine\">vm-101</entity><sessionId>{key}</sessionId>\
         <privId>VApp.Export</privId><privId>System.View</privId>"
    );
    let body = client.ok("HasPrivilegeOnEntities", client.manager("authorizationManager"), &arguments).await;
    assert_eq!(all(&body, "isGranted"), ["false", "true"]);
    let answer = client.call("ExportVm", ("VirtualMachine", "vm-101"), "").await;
    assert_eq!(answer.fault(), "NoPermission");
    assert_eq!(first(&answer.body, "privilegeId"), "VApp.Export");
}
