//! What the server tells of its inventory: one collector with one filter, first everything, then changes.

use std::time::Duration;

use super::list::{add_fields, create_view, spec_of};
use super::{paths, summary};
use crate::api::{
    CreateFilter, CreatePropertyCollector, DestroyPropertyCollector, DestroyView, PropertySpec, Updates,
    WaitForUpdatesEx,
};
use crate::session::{Discard, Scope};
use crate::soap::{CallError, MoRef};

/// How long one call may wait for news.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Objects of one reply: few replies for a large inventory, and none that needs much memory.
const PAGE: u32 = 2500;

/// An open ear at the server. What it made there is destroyed with it.
#[derive(Debug)]
pub(super) struct Feed {
    scope: Scope,
    collector: MoRef,
    version: String,
    // Before the view: the filter goes on over what is left of it.
    _collector_goes: Discard<DestroyPropertyCollector>,
    _view_goes: Discard<DestroyView>,
}

impl Feed {
    pub(super) async fn open(scope: Scope) -> Result<Self, CallError> {
        const TYPES: &[&str] = &[
            "VirtualMachine",
            "Folder",
            "Datacenter",
            "VirtualApp",
            "HostSystem",
            "ClusterComputeResource",
            "Datastore",
        ];
        let view = create_view(&scope, TYPES).await?;
        let view_goes = Discard::new(&scope, DestroyView { this: view.clone() });
        let this = scope.content().property_collector.clone();
        let collector = scope.call(&CreatePropertyCollector { this }).await?;
        let collector_goes = Discard::new(&scope, DestroyPropertyCollector { this: collector.clone() });
        let mut properties = paths::of_ancestors();
        properties.push(PropertySpec { kind: "VirtualApp", paths: &["name", "parent", "parentFolder"] });
        properties.push(PropertySpec { kind: "VirtualMachine", paths: summary::PATHS });
        let mut spec = spec_of(&view, properties);
        add_fields(&scope, &mut spec);
        scope.call(&CreateFilter { this: collector.clone(), spec }).await?;
        Ok(Feed {
            scope,
            collector,
            version: String::new(),
            _collector_goes: collector_goes,
            _view_goes: view_goes,
        })
    }

    /// The folder that every path begins below.
    pub(super) fn root(&self) -> MoRef {
        self.scope.content().root_folder.clone()
    }

    /// What there is to tell now: in the beginning everything, in as many pieces as it takes.
    pub(super) async fn told(&mut self) -> Result<Updates, CallError> {
        Ok(self.ask(Duration::ZERO).await?.unwrap_or_default())
    }

    /// Waits for news; none if there were none for [`LONGEST_WAIT`].
    pub(super) async fn news(&mut self) -> Result<Option<Updates>, CallError> {
        self.ask(LONGEST_WAIT).await
    }

    async fn ask(&mut self, max_wait: Duration) -> Result<Option<Updates>, CallError> {
        let (this, version) = (self.collector.clone(), self.version.clone());
        let call = WaitForUpdatesEx { this, version, max_wait, max_objects: Some(PAGE) };
        let updates = self.scope.call(&call).await?;
        if let Some(updates) = &updates {
            self.version.clone_from(&updates.version);
        }
        Ok(updates)
    }
}
