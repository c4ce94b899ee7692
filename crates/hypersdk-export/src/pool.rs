//! The threads that inflate and deflate grains, shared by every disk of every export.

use std::sync::{Arc, Mutex};

use hypersdk_core::{Error, Result};
use hypersdk_ova::vmdk::GrainPool;

/// A pool of threads that begins when somebody first needs it.
#[derive(Debug, Default)]
pub(crate) struct SharedPool(Mutex<Option<Arc<GrainPool>>>);

impl SharedPool {
    pub(crate) fn get(&self) -> Result<Arc<GrainPool>> {
        let mut pool = self.0.lock().expect("no holder panics");
        if let Some(pool) = &*pool {
            return Ok(Arc::clone(pool));
        }
        let begun =
            GrainPool::on_all_cores().map_err(|error| Error::io("start threads for grains", error))?;
        Ok(Arc::clone(pool.insert(Arc::new(begun))))
    }
}
