//! The documents tell the truth as far as a program can tell: keys, links, examples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(path: &str) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Keys and their defaults; `none` where the file shows only an example. A key of a connection stands for
/// the one of the same name at the top.
fn example_keys() -> BTreeMap<String, String> {
    let text = read("config.example.yaml");
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let (mut parent, mut inner) = ("", "");
    for line in text.lines() {
        let Some(line) = line.strip_prefix('#') else { continue };
        let (name, value) = match line.trim_start().trim_start_matches("- ").split_once(':') {
            Some((name, value)) if is_key(name) && (value.is_empty() || value.starts_with(' ')) => {
                (name, value.trim())
            }
            _ => continue,
        };
        let default = match value.split_once('#') {
            Some(_) => "none",
            None if value.is_empty() => "none",
            None => value,
        };
        let indent = line.len() - line.trim_start().len();
        // Keys of keys: a key without a value, no entry of a list.
        let opens = value.split('#').next().is_some_and(|value| value.trim().is_empty());
        match indent {
            0 => {
                (parent, inner) = (name, "");
                let earlier = keys.insert(name.to_owned(), default.to_owned());
                assert!(earlier.is_none(), "config.example.yaml has {name} twice");
            }
            1 => {}
            4.. if !inner.is_empty() => {
                keys.insert(format!("{parent}.{inner}.{name}"), default.to_owned());
            }
            _ if parent != "webhooks" && keys.contains_key(name) => {}
            _ if parent == "webhooks" => {
                let default = if opens { "none" } else { default };
                keys.insert(format!("webhooks[].{name}"), default.to_owned());
            }
            _ if parent == "providers" => {
                let default = if name == "name" { "none" } else { default };
                keys.insert(format!("providers[].{name}"), default.to_owned());
            }
            _ => {
                inner = if opens { name } else { "" };
                keys.insert(format!("{parent}.{name}"), default.to_owned());
            }
        }
    }
    keys
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The rows of docs/configuration.md: key and default.
fn documented_keys() -> BTreeMap<String, String> {
    read("docs/configuration.md")
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let key = cells.next()?.strip_suffix('`')?;
            Some((key.to_owned(), cells.next()?.trim_matches('`').to_owned()))
        })
        .collect()
}

#[test]
fn every_configuration_key_is_documented_with_its_default_and_no_other_is() {
    let (example, documented) = (example_keys(), documented_keys());
    assert!(example.len() > 30, "{example:#?}");
    for (key, default) in &example {
        let shown = documented.get(key).unwrap_or_else(|| panic!("docs/configuration.md lacks {key}"));
        assert_eq!(shown, default, "the default of {key}");
    }
    for key in documented.keys() {
        assert!(example.contains_key(key), "config.example.yaml lacks {key}");
    }
}

/// Documents outside the crates.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).to_vec();
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs")).expect("docs/ reads") {
        let path = Path::new("docs").join(entry.expect("an entry").file_name());
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    for entry in std::fs::read_dir(Path::new(ROOT).join("crates")).expect("crates/ reads") {
        let name = entry.expect("an entry").file_name();
        found.push(Path::new("crates").join(name).join("README.md"));
    }
    found
}

/// The targets of inline links, code blocks aside.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    prose
        .flat_map(|line| line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())))
        .collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut checked = 0;
    for document in documents() {
        let text = read(document.to_str().expect("a name in UTF-8"));
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap_or(Path::new("")).join(file),
            };
            let shown = document.display();
            assert!(Path::new(ROOT).join(&target).exists(), "{shown}: {link} leads nowhere");
            if !fragment.is_empty() {
                let there = read(target.to_str().expect("a name in UTF-8"));
                let found = there.lines().any(|line| line.starts_with('#') && anchor(line) == fragment);
                assert!(found, "{shown}: {link} names no heading");
            }
        }
    }
    assert!(checked > 20, "links were found");
}

#[test]
fn the_readme_names_the_examples_that_exist_and_no_others() {
    let readme = read("README.md");
    let mut named: Vec<&str> = readme
        .split("--example ")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
        .collect();
    named.sort_unstable();
    let mut existing: Vec<String> = std::fs::read_dir(Path::new(ROOT).join("examples/examples"))
        .expect("the examples read")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned()))
        .collect();
    existing.sort();
    assert_eq!(named, existing);
}

#[test]
fn every_crate_of_the_workspace_is_in_the_readme_and_in_the_architecture() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = read(document);
        for entry in std::fs::read_dir(Path::new(ROOT).join("crates")).expect("crates/ reads") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name in UTF-8");
            assert!(text.contains(&format!("`{name}`")), "{document} lacks {name}");
        }
    }
}

/// The pages that docs/SUMMARY.md lists, which is the book's table of contents.
#[test]
fn the_book_has_every_page_once() {
    let mut listed = links(&read("docs/SUMMARY.md"));
    let mut pages: Vec<String> = std::fs::read_dir(Path::new(ROOT).join("docs"))
        .expect("docs/ reads")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    listed.sort();
    pages.sort();
    assert_eq!(listed, pages);
    assert!(read("book.toml").contains("src = \"docs\""));
    for page in &pages {
        let text = read(&format!("docs/{page}"));
        let titles = text.lines().filter(|line| line.starts_with("# ")).count();
        assert!(text.starts_with("# "), "{page} begins with its title");
        assert!(titles >= 1, "{page} has a title");
    }
}

/// Rust in the pages is a part of a program that is compiled and run.
#[test]
fn rust_in_the_pages_stands_in_an_example() {
    let examples: String = std::fs::read_dir(Path::new(ROOT).join("examples/examples"))
        .expect("the examples read")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("an example reads"))
        .collect();
    let mut found = 0;
    for document in documents().iter().filter(|path| path.starts_with("docs")) {
        let text = read(document.to_str().expect("a name in UTF-8"));
        for block in text.split("```rust\n").skip(1) {
            let code = block.split("```").next().expect("a first part");
            assert!(examples.contains(code), "{}: in no example:\n{code}", document.display());
            found += 1;
        }
    }
    assert!(found >= 2, "blocks were found: {found}");
}
