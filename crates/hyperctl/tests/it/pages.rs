//! Every help page, every man page, every completion script.

use clap::CommandFactory;
use hypersdk_tests::names;

use crate::world::run;

/// The ways to all commands, the hidden ones included.
fn paths(command: &clap::Command, above: &[String], found: &mut Vec<Vec<String>>) {
    found.push(above.to_vec());
    for sub in command.get_subcommands() {
        let mut path = above.to_vec();
        path.push(sub.get_name().to_owned());
        paths(sub, &path, found);
    }
}

#[test]
fn every_help_page_is_rendered() {
    let mut found = Vec::new();
    paths(&hyperctl::Args::command(), &[], &mut found);
    assert!(found.len() > 15, "{found:?}");
    for path in found {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        for flag in ["--help", "-h"] {
            arguments.push(flag);
            let ended = run(&arguments, &[]);
            assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
            assert!(ended.stdout.contains("Usage: hyperctl"), "{arguments:?}: {}", ended.stdout);
            assert!(!ended.stdout.contains('\u{1b}'), "{arguments:?}");
            arguments.pop();
        }
    }
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let ended = run(&["man", directory.path().to_str().unwrap()], &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let pages = names(directory.path());
    for page in ["hyperctl.1", "hyperctl-export.1", "hyperctl-context-set.1"] {
        assert!(pages.contains(&page.to_owned()), "{pages:?}");
    }
    let export = std::fs::read_to_string(directory.path().join("hyperctl-export.1")).unwrap();
    assert!(export.contains(".SH SYNOPSIS") && export.contains("hyperctl"), "{export}");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&["completions", shell], &[]);
        assert_eq!(ended.code, 0, "{shell}");
        assert!(ended.stdout.contains("hyperctl") && ended.stdout.contains("verify"), "{shell}");
    }
}
