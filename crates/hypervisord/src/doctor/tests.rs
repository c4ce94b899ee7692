use super::*;

fn sources(text: &str, directory: &std::path::Path) -> Sources {
    let file = directory.join("hypersdk.yaml");
    std::fs::write(&file, text).unwrap();
    Sources { file: Some(file), ..Sources::default() }
}

fn grade(diagnosis: &Diagnosis, check: &str) -> Option<Grade> {
    diagnosis.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.grade).max()
}

#[tokio::test]
async fn every_failure_and_warning_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "daemon_addr: 127.0.0.1:0\ndatabase_path: {0}/none/hypersdk.db\nexport_root: {0}/gone\ntimeout: 5\n",
        directory.path().display()
    );
    let diagnosis = Diagnosis::make(&sources(&text, directory.path())).await;
    assert_eq!(grade(&diagnosis, "configuration"), Some(Grade::Fail), "{diagnosis}");
    assert_eq!(grade(&diagnosis, "export_root"), Some(Grade::Fail), "{diagnosis}");
    assert_eq!(grade(&diagnosis, "database directory"), Some(Grade::Fail), "{diagnosis}");
    assert_eq!(grade(&diagnosis, "connections"), Some(Grade::Warn), "{diagnosis}");
    for finding in diagnosis.findings.iter().filter(|finding| finding.grade != Grade::Ok) {
        assert!(finding.remedy.as_ref().is_some_and(|remedy| remedy.len() > 5), "{finding:?}");
    }
    assert_eq!(diagnosis.grade(), Grade::Fail);
}

#[tokio::test]
async fn an_address_that_something_else_has_is_a_failure() {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "daemon_addr: {}\ndatabase_path: {}/hypersdk.db\n",
        holder.local_addr().unwrap(),
        directory.path().display()
    );
    // It takes the connection and closes it without a word.
    let silent = tokio::spawn(async move { drop(holder.accept().await) });
    let diagnosis = Diagnosis::make(&sources(&text, directory.path())).await;
    assert_eq!(grade(&diagnosis, "address"), Some(Grade::Fail), "{diagnosis}");
    silent.await.unwrap();
}
