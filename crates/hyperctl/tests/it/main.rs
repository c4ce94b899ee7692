//! The real `hyperctl` against a real daemon over the simulator. About half a minute in all: the exports
//! are slowed down so that there is something to watch.

mod answers;
mod bars;
mod direct;
mod estate;
mod exits;
mod pages;
mod plain;
mod schedules;
mod terminal;
mod webhooks;
mod world;
