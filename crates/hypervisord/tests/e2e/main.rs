//! The real binary over its real interfaces, against the simulator.

mod access;
mod content;
mod contract;
mod durability;
mod faults;
mod imports;
mod input;
mod kills;
mod main_job;
mod openapi;
mod postgres;
mod schedules;
mod shapes;
mod support;
mod world;
