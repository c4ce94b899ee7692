//! Completions and man pages, made from the command line's own definition.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Args;

/// Where the manual has programs for administrators.
const SECTION: &str = "8";

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Args::command(), "hypervisord", &mut std::io::stdout());
}

/// Writes a page for the daemon, and one for each of its commands.
pub(crate) fn man(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![("hypervisord".to_owned(), command.clone())];
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    pages.extend(shown.map(|sub| (format!("hypervisord-{}", sub.get_name()), sub.clone())));
    pages.into_iter().try_for_each(|(name, command)| page(&name, command, directory))
}

fn page(name: &str, command: Command, directory: &Path) -> anyhow::Result<()> {
    // Clap wants names that live as long as the program; these are a handful.
    let leaked: &'static str = name.to_owned().leak();
    let page = clap_mangen::Man::new(command.name(leaked).display_name(leaked));
    let mut text = Vec::new();
    page.title(name.to_uppercase()).section(SECTION).render(&mut text)?;
    let path = directory.join(format!("{name}.{SECTION}"));
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
