/// How a disk is attached to its machine, which decides whether an export offers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachment {
    /// A file that takes part in snapshots.
    #[default]
    Dependent,
    /// A file that takes no part in snapshots: the export of a snapshot leaves it out.
    Independent,
    /// A raw device in virtual mode, exported as a file is.
    RawVirtual,
    /// A raw device in physical mode, which no export offers.
    RawPhysical,
}

impl Attachment {
    /// Whether an export has the disk, of a snapshot or of the machine itself.
    pub(crate) fn is_exported(self, from_snapshot: bool) -> bool {
        match self {
            Self::Dependent | Self::RawVirtual => true,
            Self::Independent => !from_snapshot,
            Self::RawPhysical => false,
        }
    }
}
