#![doc = include_str!("../README.md")]

mod admission;
mod bandwidth;
mod beside;
mod blocking;
mod check;
mod exporter;
mod fetch;
mod journal;
mod limits;
mod meter;
mod names;
mod output;
mod plan;
mod pool;
mod power;
mod publish;
mod receipt;
mod remove;
mod resume;
mod runner;
mod shape;
mod sign;
mod transfer;
mod verify;
mod wrap;

pub use admission::Caps;
pub use bandwidth::{InvalidTimetable, Timetable};
pub use check::{Forecast, forecast};
pub use exporter::{ExportConfig, Exporter, export};
pub use limits::Limits;
pub use receipt::Receipt;
pub use remove::{Removal, free_space, has_receipt, package_stands, remove_package};
pub use runner::ExportRunner;
