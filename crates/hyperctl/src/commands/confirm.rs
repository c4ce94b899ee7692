//! Asking before something is removed that cannot be brought back.

use std::io::{self, BufRead, IsTerminal};

use crate::failure::Failure;
use crate::output;

/// The flag that answers beforehand.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Confirmation {
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}

impl Confirmation {
    /// Lets the caller go on if whoever sits there says yes.
    ///
    /// # Errors
    /// Without a terminal nobody can be asked, and nothing is removed; nor is it after any other answer.
    pub(crate) fn ask(self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{what}? Nobody is there to ask: say so with --yes")));
        }
        output::prompt(format!("{what}? [y/N] "));
        let mut answer = String::new();
        // What cannot be read is no yes.
        let _ = io::stdin().lock().read_line(&mut answer);
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Cancelled("nothing was removed".to_owned())),
        }
    }
}
