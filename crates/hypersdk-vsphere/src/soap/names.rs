//! Names of elements, types and properties. A large reply has few of them and repeats each by the thousand.

use std::borrow::Cow;

/// A name; one of the frequent ones takes no memory.
pub(crate) type Name = Cow<'static, str>;

macro_rules! names {
    ($($known:literal)*) => {
        /// Makes a name of a text.
        pub(crate) fn name(text: &str) -> Name {
            match text {
                $($known => Cow::Borrowed($known),)*
                _ => Cow::Owned(text.to_owned()),
            }
        }
    };
}

names! {
    // Elements of an answer of the property collector.
    "val" "name" "op" "obj" "kind" "changeSet" "objectSet" "propSet" "objects" "key" "value" "returnval" "string"
    // Types.
    "int" "long" "short" "boolean" "dateTime" "ManagedObjectReference" "ArrayOfManagedObjectReference"
    "VirtualMachinePowerState" "ArrayOfCustomFieldValue" "CustomFieldValue" "CustomFieldStringValue"
    "VirtualMachine" "Folder" "HostSystem" "Datastore" "VirtualApp"
    // Properties that are read of every machine.
    "parent" "parentVApp" "runtime.powerState" "runtime.host" "datastore" "customValue" "config.modified"
    "summary.config.instanceUuid" "summary.config.guestFullName" "summary.config.numCpu"
    "summary.config.memorySizeMB" "summary.config.numVirtualDisks" "summary.storage.committed"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_makes_its_own_name_known_or_not() {
        assert!(matches!(name("runtime.host"), Cow::Borrowed("runtime.host")));
        for text in ["val", "Val", "", "snapshot"] {
            assert_eq!(name(text), text);
        }
    }
}
