//! A package shape of one's own: a store in which every file stands once, under its digest, and a page of JSON a VM
//! names what it consists of. What has not changed since the last backup takes no room in the next one.
//!
//! `cargo run -p hypersdk-examples --example custom_packager [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use hypersdk_core::{ExportSession, FileKind, PackagedFile, SourceFile};
use hypersdk_examples::{Output, Source};
use hypersdk_ova::digest::{DigestAlgorithm, Digester};
use hypersdk_ova::vmdk::StreamInspector;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let selector = source.choose(arguments.next(), "/DC0/vm/demo/web01")?;
    let store = Output::choose(arguments.next())?;
    fs::create_dir_all(store.path().join("files"))?;

    let provider = &source.provider.provider;
    for vm in provider.find(&selector).await? {
        let session = provider.open_export(&vm.id, &Default::default()).await?;
        // The source is rid of lease and snapshot however it ends.
        let page = match pack(session.as_ref(), store.path()).await {
            Ok(page) => page,
            Err(error) => {
                session.abort(&format!("{error:#}"), Duration::from_secs(30)).await;
                return Err(error);
            }
        };
        session.complete().await?;
        // Last, and at once: there is no page of a VM whose files are not all there.
        let name = store.path().join(format!("{}.json", vm.id));
        let mut draft = tempfile::NamedTempFile::new_in(store.path())?;
        draft.write_all(serde_json::to_string_pretty(&page)?.as_bytes())?;
        draft.as_file().sync_all()?;
        draft.persist(&name)?;
        println!("packed {} as {}", vm.path, name.display());
    }
    source.close().await;
    Ok(())
}

/// Fetches every file, and gives the page that names them.
async fn pack(session: &dyn ExportSession, store: &Path) -> Result<Value> {
    let (mut files, mut packaged) = (Vec::new(), Vec::new());
    for (number, file) in session.files().iter().enumerate() {
        let (digest, fetched) = fetch(session, file, store).await.with_context(|| file.name.clone())?;
        files.push(json!({ "name": file.name, "kind": file.kind, "key": file.key, "sha256": digest }));
        packaged.push(fetched);
        session.report_progress((100 * (number + 1) / session.files().len()) as u8);
    }
    // What arrived is what was sent, if the source says what it sent.
    for sent in session.host_digests().await? {
        let arrived = files.iter().find(|file| file["key"] == sent.key).context("an unknown file")?;
        ensure!(sent.sha256.is_none_or(|digest| arrived["sha256"] == digest), "{} is altered", sent.key);
    }
    let descriptor = session.descriptor(&session.source().vm_name, &packaged).await?;
    Ok(json!({ "source": session.source(), "files": files, "ovf": descriptor.ovf }))
}

async fn fetch(
    session: &dyn ExportSession,
    file: &SourceFile,
    store: &Path,
) -> Result<(String, PackagedFile)> {
    let mut draft = tempfile::NamedTempFile::new_in(store)?;
    let (mut digester, mut size) = (Digester::new(DigestAlgorithm::Sha256), 0);
    // Reads along: a stream that is cut or damaged is an error, whatever its length says.
    let mut disk = (file.kind == FileKind::Disk).then(StreamInspector::new);
    let mut stream = session.open(file).await?;
    while let Some(bytes) = stream.try_next().await? {
        digester.update(&bytes);
        disk.as_mut().map_or(Ok(()), |disk| disk.push(&bytes))?;
        draft.write_all(&bytes)?;
        size += bytes.len() as u64;
    }
    let disk = disk.map(StreamInspector::finish).transpose()?;
    let digest = digester.finish().hex();
    let place = store.join("files").join(&digest);
    let fate = if place.exists() { "is there already" } else { "is new" };
    draft.as_file().sync_all()?;
    draft.persist(&place)?;
    File::open(store.join("files"))?.sync_all()?;
    println!("{:<12} {size:>10} bytes, {} {fate}", file.name, &digest[..12]);
    let (capacity_bytes, populated_bytes) =
        disk.map(|disk| (disk.capacity_bytes, disk.populated_bytes)).unzip();
    let (key, name) = (file.key.clone(), file.name.clone());
    Ok((digest, PackagedFile { key, name, size_bytes: size, capacity_bytes, populated_bytes }))
}
