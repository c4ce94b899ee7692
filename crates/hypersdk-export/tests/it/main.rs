//! From a fake provider to packages on disk.

mod faults;
mod lab;
mod packages;
