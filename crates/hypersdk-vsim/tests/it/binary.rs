use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::client::http;

#[tokio::test]
async fn the_binary_prints_its_addresses_first_and_stops_when_told() {
    let mut vsim = Command::new(env!("CARGO_BIN_EXE_vsim"))
        .args(["--vms", "9", "--disk-mib", "1", "--password", "p@ss", "--kind", "esxi"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(vsim.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    assert!(url.starts_with("GOVC_URL=https://administrator%40vsphere.local:p%40ss@127.0.0.1:"), "{url}");
    assert!(url.ends_with("/sdk"), "{url}");
    let control = lines.next_line().await.unwrap().unwrap();
    let control = control.strip_prefix("VSIM_CONTROL=").unwrap().to_owned();
    let state: serde_json::Value =
        http().get(format!("{control}state")).send().await.unwrap().json().await.unwrap();
    assert_eq!(state["vms"].as_array().unwrap().len(), 9);
    let pid = vsim.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(vsim.wait().await.unwrap().success());
}

#[tokio::test]
async fn its_help_says_what_it_prints() {
    for flag in ["--help", "-h"] {
        let told = Command::new(env!("CARGO_BIN_EXE_vsim")).arg(flag).output().await.unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        assert!(told.status.success() && text.contains("Usage: vsim"), "{text}");
        assert_eq!(text.contains("GOVC_URL="), flag == "--help", "{text}");
    }
}
