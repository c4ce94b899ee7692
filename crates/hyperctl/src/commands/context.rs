//! `hyperctl context`: daemons by name.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::contexts::{Context, Contexts, check_name, parse_url};
use crate::failure::Failure;
use crate::output::table::Rows;
use crate::output::{self, Format};

/// Name daemons, and choose the one that is meant.
#[derive(Debug, clap::Args)]
pub struct ContextArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ContextAction,
}

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub enum ContextAction {
    /// List the contexts; the current one has a star.
    List,
    /// Make a context, or change it. The first becomes the current one.
    Set {
        /// Its name.
        name: String,
        /// The daemon's address.
        #[arg(id = "address", value_name = "URL")]
        url: String,
        /// A PEM file of authorities to trust beside the system's.
        #[arg(long = "ca", value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Make a context the current one.
    Use {
        /// Its name.
        name: String,
    },
    /// Remove a context. Its token file stays.
    Remove {
        /// Its name.
        name: String,
    },
}

pub(crate) fn run(args: &ContextArgs, format: Format) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    match &args.action {
        ContextAction::List => {
            list(&contexts, format);
            return Ok(());
        }
        ContextAction::Set { name, url, ca } => {
            check_name(name)?;
            parse_url(url)?;
            let ca_file = match ca {
                Some(path) => Some(
                    std::path::absolute(path)
                        .map_err(|error| Failure::usage(format!("--ca {}: {error}", path.display())))?,
                ),
                None => None,
            };
            let token_file = contexts.contexts.get(name).and_then(|context| context.token_file.clone());
            contexts.contexts.insert(name.clone(), Context { url: Some(url.clone()), token_file, ca_file });
            contexts.current.get_or_insert_with(|| name.clone());
        }
        ContextAction::Use { name } => {
            contexts.get(name)?;
            contexts.current = Some(name.clone());
        }
        ContextAction::Remove { name } => {
            contexts.get(name)?;
            contexts.contexts.remove(name);
            contexts.current = contexts.current.filter(|current| current != name);
        }
    }
    contexts.save()
}

fn list(contexts: &Contexts, format: Format) {
    if format == Format::Json {
        output::json(&json!(contexts));
        return;
    }
    let mut rows = Rows::new(&["", "name", "url"], &[]);
    for (name, context) in &contexts.contexts {
        let star = if contexts.current.as_ref() == Some(name) { "*" } else { "" };
        rows.push([star.to_owned(), name.clone(), context.url.clone().unwrap_or_default()]);
    }
    output::line(rows.text());
}
