//! What the programs are made of, as cargo resolves it for this machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo;
use crate::package::ROOT;

/// A crate by name and version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// Each crate, with those it uses itself.
pub(crate) type Graph = BTreeMap<Part, BTreeSet<Part>>;

/// The crates of these packages over edges of these kinds (`normal`, `build`), the packages among them.
pub(crate) fn graph(packages: &[&str], edges: &str) -> Result<Graph> {
    let packages = packages.iter().flat_map(|package| ["-p", package]);
    let arguments = ["tree", "--locked", "--prefix", "depth", "--format", " {p}", "--edges", edges];
    let tree = output(&[&arguments[..], &packages.collect::<Vec<_>>()].concat())?;
    read(&tree)
}

/// Reads lines of a depth and a package. One that was shown before is shown again without what it uses.
fn read(tree: &str) -> Result<Graph> {
    let mut graph = Graph::new();
    let mut above: Vec<Part> = Vec::new();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(depth), Some(name), Some(version)) = (words.next(), words.next(), words.next()) else {
            bail!("cargo tree says {line:?}");
        };
        let depth: usize = depth.parse().with_context(|| format!("cargo tree says {line:?}"))?;
        let part = Part { name: name.to_owned(), version: version.trim_start_matches('v').to_owned() };
        above.truncate(depth);
        graph.entry(part.clone()).or_default();
        if let Some(user) = above.last() {
            graph.entry(user.clone()).or_default().insert(part.clone());
        }
        above.push(part);
    }
    Ok(graph)
}

/// What cargo knows of each crate of the workspace and its dependencies.
pub(crate) fn metadata() -> Result<BTreeMap<Part, Value>> {
    let metadata: Value = serde_json::from_str(&output(&["metadata", "--locked", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    Ok(packages
        .iter()
        .map(|package| {
            (Part { name: text(package, "name"), version: text(package, "version") }, package.clone())
        })
        .collect())
}

/// The libraries under crates/, by name.
pub(crate) fn workspace_libraries() -> Result<Vec<String>> {
    let ours = |package: &Value| {
        let path = package["manifest_path"].as_str().unwrap_or_default();
        package["source"].is_null() && path.contains("/crates/")
    };
    let is_library = |package: &Value| {
        let targets = package["targets"].as_array().into_iter().flatten();
        targets.flat_map(|target| target["kind"].as_array()).flatten().any(|kind| kind == "lib")
    };
    let packages = metadata()?.into_iter();
    Ok(packages
        .filter(|(_, package)| ours(package) && is_library(package))
        .map(|(part, _)| part.name)
        .collect())
}

fn output(arguments: &[&str]) -> Result<String> {
    let output = cargo().args(arguments).current_dir(ROOT).output().context("start cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_those_that_programs_embed() {
        let libraries = workspace_libraries().unwrap();
        assert!(libraries.contains(&"hypersdk-core".to_owned()), "{libraries:?}");
        assert!(!libraries.contains(&"hypersdk-tests".to_owned()), "{libraries:?}");
    }

    #[test]
    fn a_tree_is_read_as_who_uses_what() {
        let tree = "0 top v0.3.0 (/src/top)\n1 a v1.0.0\n2 b v2.0.1 (proc-macro)\n1 c v0.1.0\n2 b v2.0.1 (proc-macro) (*)\n";
        let graph = read(tree).unwrap();
        let used = |name: &str| {
            let (_, used) = graph.iter().find(|(part, _)| part.name == name).unwrap();
            used.iter().map(|part| part.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((used("top"), used("a"), used("c")), (vec!["a", "c"], vec!["b"], vec!["b"]));
        assert_eq!(graph.len(), 4);
    }
}
