//! The real binary over its real interfaces, against the simulator.

mod access;
mod connections;
mod content;
mod contract;
mod dashboard;
mod durability;
mod faults;
mod imports;
mod input;
mod inventory;
mod kills;
mod leftovers;
mod main_job;
mod openapi;
mod packages;
mod polite;
mod pool;
mod postgres;
mod power;
mod preflight;
mod schedules;
mod shapes;
mod soak;
mod support;
mod webhooks;
mod world;
