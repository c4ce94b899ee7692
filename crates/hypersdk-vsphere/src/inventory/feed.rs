//! What the server tells of its inventory: one collector with one filter, first everything, then changes.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::list::{add_fields, create_view, spec_of};
use super::{paths, summary};
use crate::api::{
    CreateFilter, CreatePropertyCollector, DestroyPropertyCollector, DestroyView, PropertySpec,
    UnreadUpdates, WaitForUnreadUpdates, WaitForUpdatesEx,
};
use crate::session::{Discard, Scope};
use crate::soap::{CallError, MoRef};

/// How long one call may wait for news.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Objects of one reply: few replies for a large inventory, and none that needs much memory.
const PAGE: u32 = 2048;

type Answer = Result<Option<UnreadUpdates>, CallError>;

/// An open ear at the server. What it made there is destroyed with it.
pub(super) struct Feed {
    scope: Scope,
    collector: MoRef,
    version: String,
    /// The answer to what was asked last, until it is taken.
    asked: Option<BoxFuture<'static, Answer>>,
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
            asked: None,
            _collector_goes: collector_goes,
            _view_goes: view_goes,
        })
    }

    /// The folder that every path begins below.
    pub(super) fn root(&self) -> MoRef {
        self.scope.content().root_folder.clone()
    }

    /// What the server tells first. Of a large inventory it is the first piece: the others come as [news](Self::news),
    /// which wait for nothing then.
    ///
    /// Nothing of an answer is read here but its version, so that the next piece is on its way while this one is read.
    pub(super) async fn first(&mut self) -> Answer {
        self.ask(Duration::ZERO);
        self.news().await
    }

    /// Waits for news; none if there were none for [`LONGEST_WAIT`].
    ///
    /// # Cancel safety
    /// Nothing is lost: the next call goes on waiting for the same answer.
    pub(super) async fn news(&mut self) -> Answer {
        if self.asked.is_none() {
            self.ask(LONGEST_WAIT);
        }
        let Some(asked) = &mut self.asked else { return Ok(None) };
        let answer = asked.await;
        self.asked = None;
        if let Ok(Some(updates)) = &answer {
            self.version.clone_from(&updates.version);
        }
        answer
    }

    /// Puts an answer back that came too early.
    pub(super) fn put_back(&mut self, answer: Answer) {
        self.asked = Some(std::future::ready(answer).boxed());
    }

    fn ask(&mut self, max_wait: Duration) {
        let (scope, this, version) = (self.scope.clone(), self.collector.clone(), self.version.clone());
        let wait = WaitForUpdatesEx { this, version, max_wait, max_objects: Some(PAGE) };
        self.asked = Some(async move { scope.call(&WaitForUnreadUpdates(wait)).await }.boxed());
    }
}
