//! What the crate writes is read by other people's tools, and the other way round.

mod chunks;
mod convert;
mod corpus;
mod disk;
mod ova;
mod package;
mod portable;
mod recompress;
mod sign;
mod tool;
mod verify;
mod vmdk;
mod wrap;
