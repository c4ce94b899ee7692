//! Finding VMs: the whole inventory page by page or from memory, or one of them directly.

mod feed;
mod find;
mod list;
mod paths;
mod summary;
mod table;
mod watch;

pub(crate) use find::{by_id, find};
pub(crate) use list::{list, retrieve_all};
pub(crate) use paths::unescape;
pub(crate) use watch::Watcher;
