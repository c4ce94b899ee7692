//! The real binary over its real interfaces, against the simulator.

mod durability;
mod faults;
mod input;
mod main_job;
mod shapes;
mod world;
