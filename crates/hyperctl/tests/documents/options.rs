//! Whether the options that a page gives to our programs are options of theirs.

use clap::{Command, CommandFactory};

/// Checks every call of our programs in a script.
pub(crate) fn check(script: &str, place: &str) {
    let joined = script.replace("\\\n", " ");
    for line in joined.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let mut words = line.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let program = match word.rsplit(['(', '/']).next().unwrap_or(word) {
                "hypervisord" => hypervisord::Args::command(),
                "hyperctl" => hyperctl::Args::command(),
                _ => continue,
            };
            // After `cargo run -p PROGRAM`, what is the program's comes after two dashes.
            if words.peek() == Some(&"--") {
                words.next();
            }
            let call: Vec<&str> = words
                .by_ref()
                .take_while(|word| !matches!(*word, "|" | "||" | "&&" | ";" | "&" | "<" | ">"))
                .collect();
            check_call(&program, &call, place);
        }
    }
}

fn check_call(program: &Command, call: &[&str], place: &str) {
    let mut chain = vec![program];
    for word in call {
        let word = word.trim_end_matches([')', ';', '"', '`']);
        if let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) {
            let name = option.split('=').next().unwrap_or(option);
            let known = chain.iter().flat_map(|command| command.get_arguments()).any(|argument| {
                argument.get_long_and_visible_aliases().is_some_and(|longs| longs.contains(&name))
            });
            let own = matches!(name, "help" | "version");
            assert!(
                known || own,
                "{place}: {} has no option --{name}",
                chain.last().expect("one").get_name()
            );
        } else if let Some(below) = chain.last().expect("one").find_subcommand(word) {
            chain.push(below);
        }
    }
}

/// Runs the help page of a command and of all below it, and looks for each of their options.
fn pages(program: &str, command: &Command, path: &[&str], seen: &mut usize) {
    let ended = std::process::Command::new(program).args(path).arg("--help").output().expect("it runs");
    assert!(ended.status.success(), "{program} {path:?}: {}", String::from_utf8_lossy(&ended.stderr));
    let page = String::from_utf8(ended.stdout).expect("text");
    assert!(page.contains("Usage: "), "{program} {path:?}: {page}");
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let Some(long) = argument.get_long() else { continue };
        assert!(page.contains(&format!("--{long}")), "{program} {path:?} does not name --{long}:\n{page}");
        assert!(argument.get_help().is_some(), "{program} {path:?} does not say what --{long} is for");
    }
    for below in command.get_subcommands() {
        let shown = page.contains(&format!("  {}", below.get_name()));
        assert!(shown || below.is_hide_set(), "{program} {path:?} does not name {}", below.get_name());
        pages(program, below, &[path, &[below.get_name()]].concat(), seen);
    }
    *seen += 1;
}

#[test]
fn every_help_page_names_every_option_and_command() {
    let hypervisord_path = crate::machine::hypervisord();
    let hypervisord_path = hypervisord_path.to_str().expect("UTF-8");
    let mut seen = 0;
    pages(hypervisord_path, &hypervisord::Args::command(), &[], &mut seen);
    pages(env!("CARGO_BIN_EXE_hyperctl"), &hyperctl::Args::command(), &[], &mut seen);
    assert!(seen > 35, "pages were read: {seen}");
}
