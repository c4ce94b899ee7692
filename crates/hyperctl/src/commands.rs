//! The commands, a file each.

pub(crate) mod catalogue;
mod confirm;
pub(crate) mod context;
mod document;
pub(crate) mod export;
pub(crate) mod jobs;
pub(crate) mod orphans;
pub(crate) mod pool;
pub(crate) mod schedules;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod validate;
pub(crate) mod verify;
pub(crate) mod vms;
pub(crate) mod webhooks;
