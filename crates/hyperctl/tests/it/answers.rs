//! Contexts and tokens, as files and as what reaches the daemon.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{HYPERCTL, WEB, World, hypervisord, run, simulator};

fn home(directory: &Path) -> Vec<(&'static str, String)> {
    vec![("HOME", directory.to_str().unwrap().to_owned())]
}

/// Stores a token for the current context.
fn set_token(directory: &Path, token: &str) {
    let mut child = Command::new(HYPERCTL)
        .args(["token", "set"])
        .env_clear()
        .envs(home(directory))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), token.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_context_says_which_daemon_is_meant() {
    let world = World::new().await;
    let directory = tempfile::tempdir().unwrap();
    let home = home(directory.path());
    let nothing_there = run(&["context", "set", "away", "http://127.0.0.1:9"], &home);
    assert_eq!(nothing_there.code, 0, "{}", nothing_there.stderr);
    assert_eq!(run(&["status"], &home).code, 3);
    run(&["context", "set", "lab", world.daemon.client().base()], &home);
    assert_eq!(run(&["status", "--context", "lab"], &home).code, 0);
    run(&["context", "use", "lab"], &home);
    assert_eq!(run(&["status"], &home).code, 0);
    let file = directory.path().join(".config/hyperctl/config.yaml");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);

    let moved: Vec<_> = [("HOME", "/nonexistent".to_owned())]
        .into_iter()
        .chain([("XDG_CONFIG_HOME", directory.path().join(".config").to_str().unwrap().to_owned())])
        .collect();
    assert_eq!(run(&["status"], &moved).code, 0, "XDG_CONFIG_HOME is respected");
    let unknown = run(&["status", "--context", "lba"], &home);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("there are away, lab"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_to_its_own_daemon_and_is_shown_nowhere() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let home = home(directory.path());
    run(&["context", "set", "lab", &address], &home);
    set_token(directory.path(), "hsk_very-secret\n");
    let listening = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = r#"{"title":"Unauthorized","detail":"the token is not known"}"#;
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let refused = run(&["token", "check"], &home);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("the token is not known"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hyperctl token set"), "it says what to do: {}", refused.stderr);
    assert!(!format!("{}{}", refused.stdout, refused.stderr).contains("very-secret"));
    let request = listening.await.unwrap().to_lowercase();
    assert!(request.contains("authorization: bearer hsk_very-secret"), "{request}");

    let clear = run(&["status", "--url", "http://192.0.2.1:8080", "--token-file", &token(&directory)], &home);
    assert_eq!(clear.code, 2, "a token does not go over the network in clear");
    assert!(clear.stderr.contains("https"), "{}", clear.stderr);

    std::fs::set_permissions(token(&directory), std::fs::Permissions::from_mode(0o644)).unwrap();
    let loose = run(&["status"], &home);
    assert_eq!(loose.code, 2);
    assert!(loose.stderr.contains("chmod 600"), "{}", loose.stderr);
}

fn token(directory: &tempfile::TempDir) -> String {
    directory.path().join(".config/hyperctl/tokens/lab").to_str().unwrap().to_owned()
}

/// Makes a token as an administrator does, and gives its secret.
fn made_token(file: &str, role: &str) -> String {
    let made = Command::new(hypervisord())
        .args(["token", "create", "--tokens-file", file, "--name", role, "--role", role])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8(made.stdout).unwrap();
    said.split_whitespace()
        .find(|word| word.starts_with("hsk_"))
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_authentication_is_used_with_a_token_and_as_far_as_its_role_goes() {
    let mut tokens = [String::new(), String::new()];
    let world = World::configured(simulator(), |config, home| {
        let file = home.join("tokens.yaml").to_str().unwrap().to_owned();
        tokens = ["viewer", "operator"].map(|role| made_token(&file, role));
        config.set("auth", &format!("{{ tokens_file: {file:?} }}"))
    })
    .await;
    let out = world.out();
    let out = out.to_str().unwrap();
    let with = |token: Option<&String>, arguments: &[&str]| {
        let mut environment = world.environment();
        environment.extend(token.map(|token| ("HYPERCTL_TOKEN", token.clone())));
        run(arguments, &environment)
    };
    let [viewer, operator] = &tokens;
    let nobody = with(None, &["status"]);
    assert_eq!(nobody.code, 4, "{}", nobody.stderr);
    assert!(nobody.stderr.contains("hyperctl token set"), "{}", nobody.stderr);
    assert_eq!(with(Some(viewer), &["status"]).code, 0);
    let refused = with(Some(viewer), &["export", WEB, "--output", out]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("role"), "{}", refused.stderr);
    let exported = with(Some(operator), &["export", WEB, "--output", out, "--watch"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    assert!(with(Some(operator), &["token", "check"]).stdout.contains("answers to the token"));
}
