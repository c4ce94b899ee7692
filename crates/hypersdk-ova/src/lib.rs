#![doc = include_str!("../README.md")]

pub mod digest;
pub mod manifest;
pub mod tar;
pub mod vmdk;
