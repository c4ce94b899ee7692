use std::time::{Duration, Instant};

use hypersdk_vsim::Vsim;

use crate::client::{Client, all, filter_spec, first};

const VM: (&str, &str) = ("VirtualMachine", "vm-101");

#[tokio::test]
async fn a_wait_blocks_until_a_selected_property_changes() {
    let sim = Vsim::builder().task_delay(Duration::from_millis(200)).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let collector = client.manager("propertyCollector");
    let spec = filter_spec("<obj type=\"VirtualMachine\">vm-101</obj>", VM.0, "runtime.powerState");
    let filter = client.ok("CreateFilter", collector, &spec).await;
    let body = client.ok("WaitForUpdatesEx", collector, "<version></version>").await;
    assert_eq!((first(&body, "kind"), first(&body, "val")), ("enter", "poweredOff"));
    let version = first(&body, "version").to_owned();
    let wait = format!("<version>{version}</version>");
    client.ok("PowerOnVM_Task", VM, "").await;
    let body = client.ok("WaitForUpdatesEx", collector, &wait).await;
    assert_eq!((first(&body, "kind"), first(&body, "val")), ("modify", "poweredOn"));
    // A client that lost the reply asks with the old version and gets it again.
    let again = client.ok("WaitForUpdatesEx", collector, &wait).await;
    assert_eq!(first(&again, "val"), "poweredOn");
    assert_eq!(
        client.fails("WaitForUpdatesEx", collector, "<version>77</version>").await,
        "InvalidCollectorVersion"
    );
    client.ok("DestroyPropertyFilter", ("PropertyFilter", first(&filter, "returnval")), "").await;
}

#[tokio::test]
async fn a_wait_with_a_limit_answers_nothing_in_time() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let collector = client.manager("propertyCollector");
    client
        .ok(
            "CreateFilter",
            collector,
            &filter_spec("<obj type=\"VirtualMachine\">vm-101</obj>", VM.0, "name"),
        )
        .await;
    let body = client.ok("WaitForUpdatesEx", collector, "<version></version>").await;
    let version = first(&body, "version");
    for (seconds, least) in [(0, Duration::ZERO), (1, Duration::from_millis(900))] {
        let started = Instant::now();
        let arguments = format!(
            "<version>{version}</version><options><maxWaitSeconds>{seconds}</maxWaitSeconds></options>"
        );
        let body = client.ok("WaitForUpdatesEx", collector, &arguments).await;
        assert!(all(&body, "returnval").is_empty());
        assert!(started.elapsed() >= least);
    }
}

#[tokio::test]
async fn updates_too_many_for_one_reply_are_truncated_and_follow() {
    let sim = Vsim::builder().vms(7).page_size(3).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let collector = client.manager("propertyCollector");
    let object = "<obj type=\"Folder\">group-v3</obj><skip>true</skip><selectSet xsi:type=\"TraversalSpec\">\
        <name>f</name><type>Folder</type><path>childEntity</path><selectSet><name>f</name></selectSet></selectSet>";
    client.ok("CreateFilter", collector, &filter_spec(object, VM.0, "name")).await;
    let (mut version, mut counts) = (String::new(), Vec::new());
    loop {
        let body = client.ok("WaitForUpdatesEx", collector, &format!("<version>{version}</version>")).await;
        version = first(&body, "version").to_owned();
        counts.push(all(&body, "kind").len());
        if all(&body, "truncated") != ["true"] {
            break;
        }
    }
    assert_eq!(counts, [3, 3, 1]);
}

#[tokio::test]
async fn what_changes_between_two_pieces_and_what_leaves_the_view_is_told() {
    let sim = Vsim::builder().vms(7).page_size(3).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let collector = client.manager("propertyCollector");
    let made = client
        .ok(
            "CreateContainerView",
            client.manager("viewManager"),
            "<container type=\"Folder\">group-d1</container><type>VirtualMachine</type><recursive>true</recursive>",
        )
        .await;
    let view = first(&made, "returnval").to_owned();
    let object = format!(
        "<obj type=\"ContainerView\">{view}</obj><skip>true</skip><selectSet xsi:type=\"TraversalSpec\">\
         <name>v</name><type>ContainerView</type><path>view</path></selectSet>"
    );
    client.ok("CreateFilter", collector, &filter_spec(&object, VM.0, "name")).await;
    let next = async |version: &str| {
        let arguments =
            format!("<version>{version}</version><options><maxWaitSeconds>0</maxWaitSeconds></options>");
        client.ok("WaitForUpdatesEx", collector, &arguments).await
    };
    let piece = next("").await;
    let (told, version) = (all(&piece, "obj")[0].to_owned(), first(&piece, "version").to_owned());
    assert_eq!(all(&piece, "truncated"), ["true"]);
    sim.rename(&told, "renamed").unwrap();
    let ids: Vec<String> = (101..108).map(|number| format!("vm-{number}")).collect();
    let (first_told, untold): (Vec<_>, Vec<_>) =
        ids.iter().partition(|id| all(&piece, "obj").contains(&id.as_str()));
    assert_eq!((first_told.len(), untold.len()), (3, 4));
    sim.remove_vm(untold[0]).unwrap();
    let piece = next(&version).await;
    assert!(all(&piece, "val").contains(&"renamed"), "{piece}");
    assert_eq!(all(&piece, "kind"), ["modify", "enter", "enter"]);
    let piece = next(first(&piece, "version")).await;
    assert_eq!((all(&piece, "kind"), all(&piece, "truncated").len()), (vec!["enter"], 0));
    let version = first(&piece, "version").to_owned();
    assert!(all(&next(&version).await, "version").is_empty(), "nothing is told twice");
    client.ok("DestroyView", ("ContainerView", &view), "").await;
    let (mut version, mut left) = (version, 0);
    while left < 6 {
        let piece = next(&version).await;
        assert!(all(&piece, "kind").iter().all(|kind| *kind == "leave"), "{piece}");
        left += all(&piece, "kind").len();
        version = first(&piece, "version").to_owned();
    }
    assert!(all(&next(&version).await, "version").is_empty());
}

#[tokio::test]
async fn a_wait_is_cancelled_by_name_and_by_logout() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let collector = client.manager("propertyCollector");
    for (method, this) in [("CancelWaitForUpdates", collector), ("Logout", client.manager("sessionManager"))]
    {
        let waiting = client.clone();
        let calls = sim.log().calls("WaitForUpdatesEx");
        let wait = tokio::spawn(async move {
            let collector = waiting.manager("propertyCollector");
            waiting.fails("WaitForUpdatesEx", collector, "<version></version>").await
        });
        while sim.log().calls("WaitForUpdatesEx") == calls {
            tokio::task::yield_now().await;
        }
        // The call is counted before it waits: cancel until it has been heard.
        while !wait.is_finished() {
            client.call(method, this, "").await;
        }
        let fault = wait.await.unwrap();
        assert!(["RequestCanceled", "NotAuthenticated"].contains(&fault.as_str()), "{method}: {fault}");
    }
}

#[tokio::test]
async fn tasks_tell_their_result_and_their_fault() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(client.task("PowerOffVM_Task", VM, "").await, Err("InvalidPowerState".to_owned()));
    let arguments = "<name>s1</name><memory>false</memory><quiesce>false</quiesce>";
    let snapshot = client.task("CreateSnapshot_Task", VM, arguments).await.unwrap();
    let open = sim.log().snapshots();
    assert_eq!((open.len(), &open[0].snapshot, open[0].name.as_str()), (1, &snapshot, "s1"));
    let tree = client.property(VM, "snapshot.rootSnapshotList").await;
    assert_eq!(first(&tree, "snapshot"), snapshot);
    let snapshot = ("VirtualMachineSnapshot", snapshot.as_str());
    client.task("RemoveSnapshot_Task", snapshot, "<removeChildren>false</removeChildren>").await.unwrap();
    assert!(sim.log().snapshots().is_empty());
}

#[tokio::test]
async fn a_guest_shuts_down_only_when_it_runs_with_tools() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(client.fails("ShutdownGuest", VM, "").await, "InvalidPowerState");
    client.ok("ShutdownGuest", ("VirtualMachine", "vm-103"), "").await;
    let off = |event: &hypersdk_vsim::Event| matches!(event, hypersdk_vsim::Event::PowerChanged { .. });
    sim.log().wait_for(off).await;
    assert_eq!(sim.power("app-01"), Some(hypersdk_vsim::PowerState::Off));
}

/// A collector that has told the names of all machines, and its version.
async fn watch_names(client: &Client) -> (String, String) {
    let root = "<container type=\"Folder\">group-d1</container><type>VirtualMachine</type><recursive>true</recursive>";
    let view = client.ok("CreateContainerView", client.manager("viewManager"), root).await;
    let object = format!(
        "<obj type=\"ContainerView\">{}</obj><skip>true</skip><selectSet xsi:type=\"TraversalSpec\">\
         <name>v</name><type>ContainerView</type><path>view</path></selectSet>",
        first(&view, "returnval")
    );
    let body = client.ok("CreatePropertyCollector", client.manager("propertyCollector"), "").await;
    let id = first(&body, "returnval").to_owned();
    let collector = ("PropertyCollector", id.as_str());
    client.ok("CreateFilter", collector, &filter_spec(&object, VM.0, "name")).await;
    let body = client.ok("WaitForUpdatesEx", collector, "<version></version>").await;
    assert_eq!(all(&body, "kind"), ["enter"; 4]);
    let version = first(&body, "version").to_owned();
    (id, version)
}

#[tokio::test]
async fn renamed_new_and_removed_machines_are_told_one_by_one() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let (collector, mut version) = watch_names(&client).await;
    let mut news = async || {
        let body = client
            .ok(
                "WaitForUpdatesEx",
                ("PropertyCollector", &collector),
                &format!("<version>{version}</version>"),
            )
            .await;
        version = first(&body, "version").to_owned();
        let names = all(&body, "val").first().map(|name| (*name).to_owned());
        assert_eq!(all(&body, "kind").len(), 1, "{body}");
        (first(&body, "kind").to_owned(), first(&body, "obj").to_owned(), names)
    };
    client.task("Rename_Task", VM, "<newName>web/02</newName>").await.unwrap();
    assert_eq!(news().await, ("modify".into(), "vm-101".into(), Some("web%2f02".into())));
    let id = sim.add_vm(hypersdk_vsim::VmSpec::new("late").folder("prod")).unwrap();
    assert_eq!(news().await, ("enter".into(), id.clone(), Some("late".into())));
    assert!(sim.add_vm(hypersdk_vsim::VmSpec::new("late").folder("prod")).is_err());
    client.ok("UnregisterVM", ("VirtualMachine", &id), "").await;
    assert_eq!(news().await, ("leave".into(), id, None));
    client.task("Destroy_Task", ("VirtualMachine", "vm-102"), "").await.unwrap();
    assert_eq!(news().await, ("leave".into(), "vm-102".into(), None));
    sim.remove_vm("app-01").unwrap();
    assert_eq!(news().await, ("leave".into(), "vm-103".into(), None));
    assert_eq!(sim.vm_paths(), ["/DC0/vm/prod/web%2f02", "/DC0/vm/test/build-01"]);
}

#[tokio::test]
async fn a_name_that_is_taken_or_empty_and_a_running_machine_are_refused() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let refused = client.task("Rename_Task", VM, "<newName>db-01</newName>").await;
    assert_eq!(refused, Err("DuplicateName".to_owned()));
    assert_eq!(client.fails("Rename_Task", VM, "<newName></newName>").await, "InvalidName");
    client.task("Rename_Task", VM, "<newName>web-01</newName>").await.expect("its own name is no other's");
    let folder = client.property(VM, "parent").await;
    client.task("Rename_Task", ("Folder", &folder), "<newName>live</newName>").await.unwrap();
    assert!(sim.vm_paths().contains(&"/DC0/vm/live/web-01".to_owned()), "{:?}", sim.vm_paths());
    let running = client.task("Destroy_Task", ("VirtualMachine", "vm-103"), "").await;
    assert_eq!(running, Err("InvalidPowerState".to_owned()));
    let running = client.fails("UnregisterVM", ("VirtualMachine", "vm-103"), "").await;
    assert_eq!(running, "InvalidPowerState");
}
