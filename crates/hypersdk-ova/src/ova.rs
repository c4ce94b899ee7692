//! OVA archives: written in one pass, and walked by their headers.
//!
//! The standard wants the descriptor first, and tar wants each member's size before its bytes;
//! yet a disk that streams in tells neither. On a seekable file both are solved by coming back:
//!
//! ```text
//! [header][descriptor slot, padded][header][disk 1 ...][header][disk 2 ...] [header][manifest] 0 0
//!     └ patched at the end ┘          └ patched when the member ends             └ written last
//! ```
//!
//! The slot's rest is white space, which XML allows behind the root element. The manifest may be
//! last by the standard (DSP0243, section 6.4). So every disk byte is written once.

mod scan;
mod writer;

pub(crate) use scan::MAX_MEMBERS;
pub use scan::{ArchiveMember, ArchiveScan, ScanFault, scan};
pub use writer::{OvaError, OvaOptions, OvaWriter};
