//! How a server is reached, and whom the client trusts: confirmed certificates, proxies, IPv6, other ports,
//! accounts of a domain.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use hypersdk_core::{ErrorKind, ExportOptions, ExportSession, Provider, ProviderExt, VmFilter, VmId};
use hypersdk_vsim::{Vsim, VsimBuilder};
use hypersdk_vsphere::{
    CertificateRefused, KnownHosts, Thumbprint, VsphereConfig, VsphereProvider, look_at_certificate,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

fn builder() -> VsimBuilder {
    Vsim::builder().disk_size(1 << 20)
}

/// A configuration that trusts nobody yet.
fn unknown(sim: &Vsim) -> VsphereConfig {
    VsphereConfig::new(sim.url().as_str(), sim.username(), sim.password())
}

fn pinned(sim: &Vsim) -> VsphereConfig {
    let mut config = unknown(sim);
    config.thumbprint = Some(sim.thumbprint_sha256().to_owned());
    config
}

/// Lists and exports: everything that needs a connection to the server or a host.
async fn works(sim: &Vsim, config: VsphereConfig) {
    let provider = VsphereProvider::new(config).expect("a usable configuration");
    let vms = provider.list_all(VmFilter::default()).await.expect("it lists");
    assert_eq!(vms.len(), sim.vm_paths().len());
    let session =
        provider.open_export(&VmId::new("vm-101"), &ExportOptions::default()).await.expect("it opens");
    read_all(&*session).await.expect("it downloads");
    session.complete().await.expect("it completes");
    provider.close().await;
    assert!(sim.log().open_sessions().is_empty());
}

async fn read_all(session: &dyn ExportSession) -> hypersdk_core::Result<()> {
    for file in session.files() {
        let mut stream = session.open(file).await?;
        while let Some(chunk) = stream.next().await {
            chunk?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn either_thumbprint_of_the_server_will_do() {
    let sim = builder().start().await.unwrap();
    for thumbprint in [sim.thumbprint(), sim.thumbprint_sha256()] {
        let mut config = unknown(&sim);
        config.thumbprint = Some(thumbprint.to_lowercase());
        works(&sim, config).await;
    }
}

#[tokio::test]
async fn a_certificate_is_looked_at_without_a_login_and_trusted_once_it_is_recorded() {
    let sim = builder().start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let hosts = KnownHosts::new(dir.path().join("known_hosts"));
    let mut config = unknown(&sim);
    config.known_hosts = Some(hosts.path().to_owned());
    let provider = VsphereProvider::new(config.clone()).unwrap();
    let error = provider.list_all(VmFilter::default()).await.unwrap_err();
    assert!(error.advice().unwrap().contains("hypervisord trust"), "{:?}", error.advice());

    let shown = look_at_certificate(&config).await.unwrap();
    assert_eq!(shown.sha256.to_string(), sim.thumbprint_sha256());
    assert_eq!(shown.sha1.to_string(), sim.thumbprint());
    assert_eq!((shown.port, shown.trusted), (sim.url().port().unwrap(), false));
    assert_eq!(sim.log().all_calls().len(), 0, "nothing was asked of it");

    hosts.record(&shown.host, shown.port, &shown.sha256).unwrap();
    assert!(look_at_certificate(&config).await.unwrap().trusted);
    provider.list_all(VmFilter::default()).await.expect("a provider that exists finds it recorded");
    provider.close().await;
    works(&sim, config).await;
}

#[tokio::test]
async fn a_server_with_another_certificate_than_the_one_confirmed_is_refused() {
    let sim = builder().start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let hosts = KnownHosts::new(dir.path().join("known_hosts"));
    hosts.record("127.0.0.1", sim.url().port().unwrap(), &Thumbprint::sha256(b"the old one")).unwrap();
    let mut config = unknown(&sim);
    config.known_hosts = Some(hosts.path().to_owned());
    let error = VsphereProvider::new(config).unwrap().list_all(VmFilter::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!error.is_retryable());
    let refused: &CertificateRefused = std::error::Error::source(&error).unwrap().downcast_ref().unwrap();
    assert!(refused.reason.contains("confirmed earlier"), "{refused}");
    assert!(sim.log().events().is_empty(), "no password was sent");
}

#[tokio::test]
async fn a_server_that_was_confirmed_vouches_for_its_host() {
    let sim = builder().separate_nfc_host().start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let hosts = KnownHosts::new(dir.path().join("known_hosts"));
    let mut config = unknown(&sim);
    config.known_hosts = Some(hosts.path().to_owned());
    let shown = look_at_certificate(&config).await.unwrap();
    hosts.record(&shown.host, shown.port, &shown.sha256).unwrap();
    works(&sim, config).await;
}

#[tokio::test]
async fn a_server_is_reached_by_its_ipv6_address() {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let sim = builder().listen(address).start().await.expect("this machine has ::1");
    assert!(sim.url().as_str().starts_with("https://[::1]:"), "{}", sim.url());
    works(&sim, pinned(&sim)).await;

    let dir = tempfile::tempdir().unwrap();
    let mut config = unknown(&sim);
    // Written as a person does, without scheme and path.
    config.url = format!("[::1]:{}", sim.url().port().unwrap());
    config.known_hosts = Some(dir.path().join("known_hosts"));
    let shown = look_at_certificate(&config).await.unwrap();
    assert_eq!(shown.host, "[::1]");
    KnownHosts::new(dir.path().join("known_hosts")).record(&shown.host, shown.port, &shown.sha256).unwrap();
    works(&sim, config).await;
}

#[tokio::test]
async fn accounts_of_a_domain_log_in_as_they_are_written() {
    for account in ["VSPHERE.LOCAL\\export", "svc-export@vsphere.local", "CN=export & <backup>"] {
        let sim = builder().credentials(account, "p&w \"<'ü").start().await.unwrap();
        assert_eq!(sim.username(), account);
        works(&sim, pinned(&sim)).await;
    }
}

#[tokio::test]
async fn everything_goes_through_a_proxy_also_the_disks() {
    let sim = builder().separate_nfc_host().start().await.unwrap();
    let proxy = Proxy::start(None).await;
    let mut config = pinned(&sim);
    config.proxy = Some(format!("http://{}", proxy.address).into());
    works(&sim, config).await;
    // The server and the host, each by a tunnel of its own.
    assert!(proxy.tunnels.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_gets_it_and_refuses_without() {
    let sim = builder().start().await.unwrap();
    // base64 of `user:s3cret`
    let proxy = Proxy::start(Some("Basic dXNlcjpzM2NyZXQ=")).await;
    let mut config = pinned(&sim);
    config.proxy = Some(format!("http://user:s3cret@{}", proxy.address).into());
    assert!(!format!("{config:?}").contains("s3cret"));
    works(&sim, config.clone()).await;

    config.proxy = Some(format!("http://{}", proxy.address).into());
    let error = VsphereProvider::new(config).unwrap().list_all(VmFilter::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
}

#[tokio::test]
async fn a_proxy_that_is_away_is_said_and_a_wrong_one_refused_at_once() {
    let sim = builder().start().await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = pinned(&sim);
    config.proxy = Some(format!("http://{closed}").into());
    let error =
        VsphereProvider::new(config.clone()).unwrap().list_all(VmFilter::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    config.proxy = Some("not a proxy".into());
    assert_eq!(VsphereProvider::new(config).unwrap_err().kind(), ErrorKind::Invalid);
}

/// A proxy that opens tunnels (CONNECT) and nothing else.
struct Proxy {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(wanted: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let tunnels = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tunnels);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                // A tunnel that breaks is its user's business.
                tokio::spawn(async move { drop(tunnel(socket, wanted, &counted).await) });
            }
        });
        Proxy { address, tunnels }
    }
}

async fn tunnel(socket: TcpStream, wanted: Option<&str>, counted: &AtomicUsize) -> std::io::Result<()> {
    let mut client = BufReader::new(socket);
    let mut first = String::new();
    client.read_line(&mut first).await?;
    let mut authorization = None;
    loop {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("proxy-authorization") => {
                authorization = Some(value.to_owned());
            }
            Some(_) => {}
        }
    }
    if wanted.is_some() && authorization.as_deref() != wanted {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await?;
        return Ok(());
    }
    let target = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let mut server = TcpStream::connect(target).await?;
    counted.fetch_add(1, Ordering::SeqCst);
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
