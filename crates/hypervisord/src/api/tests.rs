//! Every route, over a store in memory, a fake provider and a fake runner.

mod access;
mod catalogue;
mod harness;
mod inventory;
mod looking;
mod packages;
mod problems;
mod replay;
mod scheduling;
mod streaming;
mod submitting;
mod versions;
mod web;
mod webhooks;
