//! What the crate writes is read by other people's tools, and the other way round.

mod convert;
mod disk;
mod ova;
mod package;
mod recompress;
mod tool;
mod verify;
mod vmdk;
