//! The simulator over its sockets, by a client that shares nothing with it.

mod binary;
mod client;
mod control;
mod export;
mod faults;
mod inventory;
mod lease;
mod pyvmomi;
mod session;
mod updates;
