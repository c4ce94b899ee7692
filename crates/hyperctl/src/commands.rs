//! The commands, a file each.

pub(crate) mod catalogue;
pub(crate) mod context;
pub(crate) mod export;
pub(crate) mod jobs;
pub(crate) mod orphans;
pub(crate) mod pool;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod validate;
pub(crate) mod verify;
pub(crate) mod vms;
