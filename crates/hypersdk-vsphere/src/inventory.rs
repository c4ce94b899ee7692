//! Finding VMs: the whole inventory page by page, or one of them directly.

mod find;
mod list;
mod paths;
mod summary;

pub(crate) use find::{by_id, find};
pub(crate) use list::{list, retrieve_all};
pub(crate) use paths::unescape;
