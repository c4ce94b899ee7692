//! The commands, a file each.

pub(crate) mod context;
pub(crate) mod export;
pub(crate) mod jobs;
pub(crate) mod packages;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod vms;
