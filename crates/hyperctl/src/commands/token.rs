//! `hyperctl token`: what proves to a daemon who asks.

use std::io::{IsTerminal, Read};

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::json;

use crate::contexts::{Connection, Target, token_path, write_token};
use crate::failure::{Failure, mistake};
use crate::output::{self, Format};

/// The longest token that is read; the daemon's are shorter by far, an OIDC provider's may be long.
const LONGEST: u64 = 16 << 10;

/// Store, check or remove the token of a context.
///
/// A token lies in a file of its owner's alone (mode 0600) beside the configuration, never in it.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What to do with the token.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Read a token from standard input and store it.
    Set,
    /// Say where the token is, and whether the daemon takes it.
    Check,
    /// Remove the token's file.
    Remove,
}

pub(crate) async fn run(args: &TokenArgs, target: &Target, format: Format) -> Result<(), Failure> {
    match args.action {
        TokenAction::Set => {
            let path = token_path(target)?;
            if std::io::stdin().is_terminal() {
                output::remark("paste the token, then press Enter and Ctrl-D");
            }
            let mut text = String::new();
            std::io::stdin()
                .take(LONGEST)
                .read_to_string(&mut text)
                .map_err(|error| mistake("read the token from standard input", &error))?;
            let token = text.trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Failure::usage(
                    "standard input holds no token: one word of printable characters",
                ));
            }
            write_token(&path, &SecretString::from(token))?;
            output::remark(format!("stored in {}", path.display()));
            Ok(())
        }
        TokenAction::Check => {
            let connection = Connection::resolve(target)?;
            let known = connection.token.is_some();
            let client = crate::client::Client::new(&connection)?;
            let taken = client.get("/status").await;
            match format {
                Format::Json => output::json(&json!({ "token": known, "accepted": taken.is_ok() })),
                Format::Text if taken.is_ok() => output::line(match known {
                    true => format!("{client} answers to the token"),
                    false => format!("{client} answers without a token"),
                }),
                Format::Text => {}
            }
            taken.map(drop)
        }
        TokenAction::Remove => {
            let path = token_path(target)?;
            std::fs::remove_file(&path).map_err(|error| mistake(format!("remove {}", path.display()), &error))
        }
    }
}
