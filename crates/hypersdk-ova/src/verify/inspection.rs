//! The inside of a file that may be a disk.

use super::inflate::InflatePool;
use super::member::Content;
use super::report::{Fault, FaultClass, Level};
use crate::vmdk::{StreamInspector, VmdkError};

const VMDK_MAGIC: &[u8; 4] = b"KDMV";

enum Look {
    /// Too few bytes yet to tell.
    Start(Vec<u8>),
    Structure(StreamInspector),
    Full(StreamInspector<InflatePool>),
    Bad,
    None,
}

/// Looks into a file as its bytes pass.
pub(super) struct Inspection {
    name: String,
    level: Level,
    look: Look,
    faults: Vec<Fault>,
}

impl Inspection {
    pub(super) fn new(name: &str, level: Level) -> Self {
        Self { name: name.to_owned(), level, look: Look::Start(Vec::new()), faults: Vec::new() }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        let pushed = match &mut self.look {
            Look::Start(start) => {
                start.extend_from_slice(data);
                if start.len() < VMDK_MAGIC.len() {
                    return;
                }
                let start = std::mem::take(start);
                self.look = match (start.starts_with(VMDK_MAGIC), self.level) {
                    (false, _) => Look::None,
                    (true, Level::Full) => Look::Full(StreamInspector::with_sink(InflatePool::start())),
                    (true, _) => Look::Structure(StreamInspector::new()),
                };
                match &mut self.look {
                    Look::Structure(inspector) => inspector.push(&start),
                    Look::Full(inspector) => inspector.push(&start),
                    _ => Ok(()),
                }
            }
            Look::Structure(inspector) => inspector.push(data),
            Look::Full(inspector) => inspector.push(data),
            Look::Bad | Look::None => Ok(()),
        };
        if let Err(error) = pushed {
            if let Look::Full(inspector) = &mut self.look {
                let errors = inspector.sink_mut().finish();
                errors.iter().for_each(|error| self.fault(error));
            }
            self.fault(&error);
            self.look = Look::Bad;
        }
    }

    pub(super) fn finish(mut self) -> (Content, Vec<Fault>) {
        let finished = match std::mem::replace(&mut self.look, Look::None) {
            Look::Start(_) | Look::None => Ok(Content::Other),
            Look::Bad => Ok(Content::BadDisk),
            Look::Structure(inspector) => inspector.finish().map(|summary| Content::Disk((&summary).into())),
            Look::Full(mut inspector) => {
                let errors = inspector.sink_mut().finish();
                errors.iter().for_each(|error| self.fault(error));
                inspector.finish().map(|summary| Content::Disk((&summary).into()))
            }
        };
        let content = finished.unwrap_or_else(|error| {
            self.fault(&error);
            Content::BadDisk
        });
        (content, self.faults)
    }

    fn fault(&mut self, error: &VmdkError) {
        let class = if error.is_truncation() { FaultClass::Truncated } else { FaultClass::Disk };
        let (file, offset) = (Some(self.name.clone()), error.offset());
        self.faults.push(Fault { class, file, offset, message: error.to_string() });
    }
}
