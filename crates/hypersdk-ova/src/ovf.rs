//! OVF descriptors: read, from any producer, and written for sources that have none.
//!
//! Reference: DMTF DSP0243, *Open Virtualization Format Specification* 1.1.

mod capacity;
mod chunked;
mod portable;
mod read;
mod tag;
mod write;

pub use chunked::chunked;
pub use portable::portable;
pub use read::{MAX_DESCRIPTOR_BYTES, OvfDescriptor, OvfDisk, OvfError, OvfFile};
pub use write::{Envelope, EnvelopeDisk, EnvelopeFile};
