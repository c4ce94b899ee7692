//! `hypervisord token`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::auth::tokens;
use crate::cli::TokenCommand;
use crate::config::{Config, Sources};

/// Carries out the command and gives what to print.
pub(crate) fn run(sources: &Sources, file: Option<&Path>, command: &TokenCommand) -> anyhow::Result<String> {
    let path = match file {
        Some(path) => path.to_owned(),
        None => configured(sources)?,
    };
    match command {
        TokenCommand::Create { role, name } => {
            let (token, secret) = tokens::create(&path, *role, name.as_deref())?;
            tracing::debug!(id = %token.id, "made");
            Ok(secret)
        }
        TokenCommand::List => {
            let mut text = String::from("ID        ROLE      CREATED               NAME\n");
            for token in tokens::list(&path)? {
                let created = token.created_at.format("%Y-%m-%dT%H:%M:%SZ");
                // Writing to a String never fails.
                let _ =
                    writeln!(text, "{:<9} {:<9} {created}  {}", token.id, token.role.as_str(), token.name);
            }
            Ok(text)
        }
        TokenCommand::Revoke { token } => {
            let revoked = tokens::revoke(&path, token)?;
            Ok(format!("revoked {} ({}, {})", revoked.id, revoked.name, revoked.role))
        }
    }
}

fn configured(sources: &Sources) -> anyhow::Result<PathBuf> {
    // Mistakes elsewhere in the file are no reason not to revoke a token.
    let (config, _) = Config::inspect(sources);
    config
        .and_then(|config| config.auth)
        .and_then(|auth| auth.tokens_file)
        .context("the configuration names no auth.tokens_file; add it, or give --tokens-file FILE")
}
