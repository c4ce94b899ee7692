//! What the crate does as its users see it.

mod oracle;
mod other_cron;
mod random;
