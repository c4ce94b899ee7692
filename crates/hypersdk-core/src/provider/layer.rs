//! See the public module `layers`.

mod limit;
mod retry;
mod timeout;
mod traced;

pub use limit::limit;
pub use retry::{Backoff, retry};
pub use timeout::timeout;
pub use traced::traced;

#[cfg(test)]
mod tests;
