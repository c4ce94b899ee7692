use std::time::Duration;

use hypersdk_vsim::{Event, Kind, Vsim};

use crate::client::{Client, all, first, http};

#[tokio::test]
async fn a_wrong_password_is_an_invalid_login_and_leaves_no_session() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::connect(&sim).await;
    let answer = client.login(sim.username(), "wrong").await;
    assert_eq!(answer.fault(), "InvalidLogin");
    assert!(answer.cookie.is_none());
    assert_eq!(sim.log().events(), [Event::LoginRefused { user: sim.username().to_owned() }]);
}

#[tokio::test]
async fn only_service_content_and_login_work_without_a_session() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::connect(&sim).await;
    let service = ("ServiceInstance", "ServiceInstance");
    assert_eq!(client.fails("CurrentTime", service, "").await, "NotAuthenticated");
    let current = client.call("Fetch", client.manager("sessionManager"), "<prop>currentSession</prop>").await;
    assert_eq!(current.fault(), "NotAuthenticated");
    let client = Client::log_in(&sim).await;
    client.ok("CurrentTime", service, "").await;
    let current = client.property(client.manager("sessionManager"), "currentSession").await;
    assert_eq!(first(&current, "userName"), sim.username());
}

#[tokio::test]
async fn logging_out_ends_the_session_and_is_logged() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(sim.log().open_sessions().len(), 1);
    client.ok("Logout", client.manager("sessionManager"), "").await;
    assert!(sim.log().open_sessions().is_empty());
    assert_eq!(
        client.fails("CurrentTime", ("ServiceInstance", "ServiceInstance"), "").await,
        "NotAuthenticated"
    );
}

#[tokio::test]
async fn an_idle_session_expires_and_its_views_go_with_it() {
    let sim = Vsim::builder().session_idle(Duration::from_millis(200)).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    sim.log().wait_for(|event| matches!(event, Event::SessionExpired { .. })).await;
    assert!(sim.log().open_sessions().is_empty());
    let root = client.manager("rootFolder");
    assert_eq!(client.fails("Fetch", root, "<prop>name</prop>").await, "NotAuthenticated");
}

#[tokio::test]
async fn sessions_end_on_demand() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(sim.terminate_sessions(), 1);
    let root = client.manager("rootFolder");
    assert_eq!(client.fails("Fetch", root, "<prop>name</prop>").await, "NotAuthenticated");
}

#[tokio::test]
async fn either_kind_of_server_names_itself_and_its_versions() {
    for (kind, api, root) in
        [(Kind::VirtualCenter, "VirtualCenter", "group-d1"), (Kind::Esxi, "HostAgent", "ha-folder-root")]
    {
        let sim = Vsim::builder().kind(kind).start().await.unwrap();
        let client = Client::connect(&sim).await;
        assert_eq!(first(&client.content, "apiType"), api);
        assert_eq!(client.manager("rootFolder").1, root);
        let versions =
            client.get(&format!("{}/vimServiceVersions.xml", sim.url())).await.text().await.unwrap();
        assert_eq!(first(&versions, "name"), "urn:vim25");
        assert_eq!(all(&versions, "version")[0], first(&client.content, "apiVersion"));
    }
}

#[tokio::test]
async fn what_is_not_a_call_or_not_known_is_a_typed_fault() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    assert_eq!(client.post("<a>".to_owned()).await.fault(), "InvalidRequest");
    assert_eq!(client.post("<a/>".to_owned()).await.fault(), "InvalidRequest");
    let vm = ("VirtualMachine", "vm-101");
    assert_eq!(client.fails("CloneVM_Task", vm, "").await, "NotSupported");
    assert_eq!(client.fails("ExportVm", ("VirtualMachine", "vm-999"), "").await, "ManagedObjectNotFound");
    assert_eq!(client.fails("ExportVm", ("Folder", "group-v3"), "").await, "NotSupported");
    assert_eq!(client.fails("Fetch", vm, "<prop>nmae</prop>").await, "InvalidProperty");
}

#[tokio::test]
async fn the_certificate_is_valid_for_the_address_and_matches_the_thumbprints() {
    let sim = Vsim::builder().start().await.unwrap();
    _ = http();
    let certificate = reqwest::Certificate::from_pem(sim.certificate_pem().as_bytes()).unwrap();
    let strict = reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap();
    let reply = strict.get(format!("{}/vimServiceVersions.xml", sim.url())).send().await.unwrap();
    assert!(reply.status().is_success());
    assert_eq!(sim.thumbprint().split(':').count(), 20);
    assert_eq!(sim.thumbprint_sha256().split(':').count(), 32);
}
