//! Completions and man pages, made from the command line's own definition.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Args;
use crate::failure::{Failure, mistake};

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Args::command(), "hyperctl", &mut std::io::stdout());
}

/// Writes a man page for the program and for each of its commands.
pub(crate) fn man(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .map_err(|error| mistake(format!("create {}", directory.display()), &error))?;
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    write(&command, "hyperctl", directory)
}

fn write(command: &Command, name: &str, directory: &Path) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    // Clap wants names that live as long as the program; these are a handful.
    let leaked: &'static str = name.to_owned().leak();
    let page =
        clap_mangen::Man::new(command.clone().name(leaked).display_name(leaked)).title(name.to_uppercase());
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error| mistake("render a man page", &error))?;
    std::fs::write(&path, text).map_err(|error| mistake(format!("write {}", path.display()), &error))?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        write(sub, &format!("{name}-{}", sub.get_name()), directory)?;
    }
    Ok(())
}
