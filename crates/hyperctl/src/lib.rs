#![doc = include_str!("../README.md")]

mod cli;
mod client;
mod commands;
mod contexts;
mod direct;
mod failure;
mod job;
mod output;
mod package_options;
mod pages;
mod run;
mod watch;

pub use cli::{Args, Command};
pub use run::run;
