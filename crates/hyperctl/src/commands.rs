//! The commands, a file each.

pub(crate) mod catalogue;
pub(crate) mod context;
pub(crate) mod export;
pub(crate) mod jobs;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod vms;
