#![doc = include_str!("../README.md")]

mod builder;
mod disk;
mod faults;
mod log;
mod model;
mod net;
mod property;
mod service;
mod sim;
mod spec;
mod wire;

pub use builder::VsimBuilder;
pub use disk::{Attachment, DiskSource, DiskSpec, Layout, SynthDisk};
pub use faults::{FaultKind, FaultRule, Target};
pub use log::{Event, Log, LogEntry, OpenSnapshot, StreamOutcome};
pub use sim::{StartError, Vsim};
pub use spec::{Kind, ManifestSupport, Obstacle, PowerState, VmSpec};
