//! Who gets in, as somebody outside sees it: tokens, passwords, certificates, floods. Needs curl and
//! about fifteen seconds.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use hypersdk_tests::{Daemon, DaemonConfig, command};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::world::{APP, World};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

fn token(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["token", "--tokens-file"]).arg(file).args(arguments);
    command.output().expect("the command runs")
}

fn create(file: &Path, role: &str) -> String {
    let output = token(file, &["create", "--role", role, "--name", role]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The status that curl gets, until it is `wanted` or two seconds have passed.
fn status(arguments: &[&str], wanted: &str, directory: &Path) {
    let mut arguments = arguments.to_vec();
    arguments.extend(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
    for _ in 0..20 {
        let output =
            Command::new("curl").args(&arguments).current_dir(directory).output().expect("curl runs");
        let got = String::from_utf8_lossy(&output.stdout).into_owned();
        if got == wanted {
            return;
        }
        assert!(got != "500", "{arguments:?}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("curl {arguments:?} did not get {wanted}");
}

#[test]
fn tokens_and_passwords_open_a_running_daemon_and_close_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let tokens = here.join("tokens.json");
    let users = here.join("users");
    std::fs::write(&users, format!("ada:{}:operator\n", bcrypt_of_sesame())).unwrap();
    command("chmod", &["600", "users"], here);
    let config = DaemonConfig::bare(here)
        .set("auth", &format!("{{tokens_file: {tokens:?}, htpasswd_file: {users:?}}}"));
    let daemon = Daemon::start(BINARY, &config);
    let url = |path: &str| format!("{}{path}", daemon.client().base());
    status(&[&url("/health/live")], "200", here);
    status(&[&url("/jobs")], "401", here);
    let secret = create(&tokens, "viewer");
    let bearer = format!("Authorization: Bearer {secret}");
    status(&["-H", &bearer, &url("/jobs")], "200", here);
    let submit = ["-H", "Content-Type: application/json", "-d", "{}"];
    status(&[&submit[..], &["-H", &bearer, &url("/jobs/submit")]].concat(), "403", here);
    status(&["-u", "ada:sesame", &url("/jobs")], "200", here);
    status(&[&submit[..], &["-u", "ada:sesame", &url("/jobs/submit")]].concat(), "422", here);
    status(&["-u", "ada:wrong", &url("/jobs")], "401", here);
    let listed = token(&tokens, &["list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("viewer") && !listed.contains(&secret[4..]), "{listed}");
    assert!(token(&tokens, &["revoke", "viewer"]).status.success());
    status(&["-H", &bearer, &url("/jobs")], "401", here);
    let again = token(&tokens, &["revoke", "viewer"]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("token list"));
    let log = daemon.log();
    assert!(!log.contains(&secret[4..]) && !log.contains("sesame"), "{log}");
    let (ended, ..) = daemon.stop();
    assert!(ended.success());
}

/// As `htpasswd -nbB` makes it.
fn bcrypt_of_sesame() -> String {
    bcrypt::hash("sesame", 4).expect("a hash")
}

#[test]
fn an_address_that_others_reach_is_refused_without_authentication() {
    let directory = tempfile::tempdir().unwrap();
    let path = DaemonConfig::bare(directory.path()).set("daemon_addr", "0.0.0.0:0").write();
    let output = Command::new(BINARY).arg("--config").arg(&path).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for part in ["daemon_addr", "auth.tokens_file", "hypervisord token create"] {
        assert!(said.contains(part), "{said}");
    }
}

fn certificate(here: &Path, name: &str) -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(here.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(here.join("key.pem"), signing_key.serialize_pem()).unwrap();
    std::fs::write(here.join(name), cert.pem()).unwrap();
    name.to_owned()
}

#[test]
fn a_new_certificate_is_served_after_sighup_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let first = certificate(here, "first.pem");
    let config = DaemonConfig::bare(here)
        .set("tls", &format!("{{cert: {:?}, key: {:?}}}", here.join("cert.pem"), here.join("key.pem")));
    let daemon = Daemon::start(BINARY, &config);
    let port = daemon.client().base().rsplit(':').next().unwrap().to_owned();
    let url = format!("https://localhost:{port}/health");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let base = ["--resolve", resolve.as_str(), "--cacert"];
    status(&[&base[..], &[&first, &url]].concat(), "200", here);
    let second = certificate(here, "second.pem");
    daemon.signal(rustix::process::Signal::HUP);
    status(&[&base[..], &[&second, &url]].concat(), "200", here);
    std::fs::write(here.join("key.pem"), "nonsense").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    for _ in 0..50 {
        if daemon.log().contains("the certificate stays the one before") {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert!(daemon.log().contains("tls.key"), "{}", daemon.log());
    status(&[&base[..], &[&second, &url]].concat(), "200", here);
    // Plain HTTP to a TLS port gets no answer, and hurts nobody.
    let plain = Command::new("curl").args(["-s", &url.replace("https", "http")]).output().unwrap();
    assert!(!plain.status.success());
    status(&[&base[..], &[&second, &url]].concat(), "200", here);
}

/// A connection that sends `head` and is then left alone.
fn left_alone(addr: &str, head: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(addr).ok()?;
    // Whoever is closed at once for a newer connection is as good.
    let _ = stream.write_all(head);
    Some(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_disturb_neither_a_well_behaved_client_nor_a_job() {
    let connections: usize =
        std::env::var("HYPERSDK_FLOOD").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit { current: most, maximum: most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)
        .expect("a limit may be raised so far");
    // All of them at one time, if this process may have so many.
    let held = most.map_or(connections, |most| connections.min(usize::try_from(most).unwrap() / 2));
    let world = World::over(crate::world::simulator(), |config| {
        config.set("server", "{max_connections: 200, header_timeout: 2s}")
    })
    .await;
    let slow =
        hypersdk_vsim::FaultRule::stream(hypersdk_vsim::FaultKind::RateCap { bytes_per_second: 4 << 20 });
    world.sim.add_fault(slow.always());
    let job = world.client().submit(&world.job(APP)).await;
    let addr = world.client().base().strip_prefix("http://").unwrap().to_owned();
    let flood = tokio::task::spawn_blocking(move || {
        let heads: [&[u8]; 5] = [
            b"",
            b"GET /jobs HTTP/1.1\r\nhost: x\r\nx-slow: ",
            b"POST /jobs/submit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /\x00\xff HTTP/9.9\r\n\r\n",
        ];
        let mut open = std::collections::VecDeque::new();
        for index in 0..connections {
            open.extend(left_alone(&addr, heads[index % heads.len()]));
            if open.len() > held {
                open.pop_front();
            }
        }
        open.len()
    });
    let mut answered = 0;
    while !flood.is_finished() || answered < 20 {
        let begun = std::time::Instant::now();
        let (status, _) = world.client().get("/health").await;
        assert_eq!(status, 200);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        answered += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(flood.await.unwrap() > 0);
    let ended = world.client().wait_for_end(&job).await;
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let addr = world.client().base().strip_prefix("http://").unwrap().to_owned();
    // Too large by its own word: answered before it is sent.
    let mut stream = TcpStream::connect(&addr).unwrap();
    let head = "POST /jobs/submit HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer[..length]));
    world.stop_clean().await;
}
