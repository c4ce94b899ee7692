#![doc = include_str!("../README.md")]

mod blocking;
pub mod convert;
pub mod digest;
pub mod manifest;
pub mod ova;
pub mod ovf;
pub mod package;
pub mod sign;
pub mod tar;
pub mod verify;
pub mod vmdk;
pub mod wrap;
pub mod writeback;
