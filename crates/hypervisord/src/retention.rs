//! Removes packages: those that a schedule no longer keeps, and those that somebody wants gone.
//!
//! Only what is in the catalogue can go, and only as the package of its job. A removal is noted in the database
//! before the first file goes; one that was cut short is gone on with at the next start.

mod keeper;
mod remover;
mod upkeep;

pub(crate) use keeper::{Keeper, Verdict};
pub(crate) use remover::Remover;
