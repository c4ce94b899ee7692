//! The shell blocks of README and docs, run as they are written, by `bash`, against a real daemon over the simulator.
//!
//! Each page has a machine of its own: a daemon, a simulator, and the directories that the pages speak of. What cannot
//! run in a test (packages, services, builds) says so in a comment before its block, names the programs that are why,
//! and is still read by bash and by our own command lines. About a minute in all.

mod blocks;
mod machine;
mod options;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use blocks::{Block, Treatment};
use machine::Machine;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Programs whose blocks cannot run in a test: they install, build, or need the service manager of a machine.
const NOT_HERE: [&str; 11] = [
    "apt",
    "apt-get",
    "dnf",
    "cargo",
    "systemctl",
    "systemd-sysusers",
    "journalctl",
    "pg_dump",
    "psql",
    "editor",
    "podman",
];

/// What a text that is no command does not begin with.
const COMMANDS: [&str; 22] = [
    "$ ",
    "curl ",
    "hypervisord ",
    "hyperctl ",
    "cargo ",
    "apt ",
    "apt-get ",
    "dnf ",
    "systemctl ",
    "journalctl ",
    "install ",
    "openssl ",
    "export ",
    "sqlite3 ",
    "jq ",
    "sudo ",
    "htpasswd ",
    "pg_dump ",
    "kill ",
    "podman ",
    "vsim ",
    "echo ",
];

/// README and every page, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(ROOT);
    let mut paths = vec![PathBuf::from("README.md")];
    for directory in ["docs", "crates"] {
        for entry in std::fs::read_dir(root.join(directory)).expect("it reads") {
            let name = Path::new(directory).join(entry.expect("an entry").file_name());
            paths.push(if directory == "crates" { name.join("README.md") } else { name });
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let text =
            std::fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn shell_blocks(text: &str) -> Vec<Block> {
    blocks::of(text).into_iter().filter(Block::is_shell).collect()
}

#[test]
fn no_command_hides_in_a_block_that_is_not_run() {
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        for block in blocks::of(&text).iter().filter(|block| !block.is_shell()) {
            if block.language.is_empty() && path.starts_with("docs") {
                wrong.push(format!("{}:{}: the block names no language", path.display(), block.line));
            }
            for line in block.text.lines().filter(|_| matches!(block.language.as_str(), "" | "text")) {
                if COMMANDS.iter().any(|command| line.starts_with(command)) {
                    wrong.push(format!(
                        "{}:{}: {line:?} stands in a block of text",
                        path.display(),
                        block.line
                    ));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0], "commands belong into a block of sh or console");
}

#[test]
fn every_block_is_read_by_bash_and_names_only_options_that_there_are() {
    let mut seen = 0;
    for (path, text) in pages() {
        for block in shell_blocks(&text) {
            seen += 1;
            let place = format!("{}:{}", path.display(), block.line);
            for step in block.steps() {
                machine::read_by_bash(&step.command, &place);
                options::check(&step.command, &place);
            }
            if let Treatment::NotRun(programs) = block.treatment(&place) {
                let words: BTreeSet<&str> = block.text.split_whitespace().collect();
                for program in programs {
                    assert!(
                        NOT_HERE.contains(&program.as_str()),
                        "{place}: {program} is no reason not to run"
                    );
                    assert!(words.contains(program.as_str()), "{place}: {program} is not in the block");
                }
            }
        }
    }
    assert!(seen > 40, "blocks were found: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_does_what_its_page_says() {
    let mut ran = 0;
    for (path, text) in pages() {
        let blocks = blocks::of(&text);
        let runs = |block: &Block| block.is_shell() && !matches!(block.treatment(""), Treatment::NotRun(_));
        if !blocks.iter().any(runs) {
            continue;
        }
        let machine = Machine::new(text.contains("<!-- the daemon has: auth -->")).await;
        for block in blocks {
            let place = format!("{}:{}", path.display(), block.line);
            if let Some(name) = block.file() {
                machine.write(name, &block.text);
            }
            if !block.is_shell() {
                continue;
            }
            match block.treatment(&place) {
                Treatment::NotRun(_) => continue,
                Treatment::OtherTerminal => machine.beside(&block.text, &place),
                Treatment::EndsWith(code) => {
                    for step in block.steps() {
                        machine.step(&step, code, &place);
                    }
                }
            }
            ran += 1;
        }
        machine.stop();
    }
    assert!(ran > 30, "blocks ran: {ran}");
}
