//! The whole inventory: one container view, read page by page to its end.

use std::collections::{HashSet, VecDeque};

use futures::stream::{self, BoxStream, StreamExt};
use hypersdk_core::{Error, ErrorKind, VmFilter, VmMatcher, VmSummary};

use super::paths::{self, Ancestors};
use super::summary;
use crate::api::{
    ContinueRetrievePropertiesEx, CreateContainerView, DestroyView, FilterSpec, ObjectContent, ObjectSpec,
    PropertySpec, RetrievePropertiesEx, Select, Traversal,
};
use crate::session::{Discard, Scope};
use crate::soap::{CallError, FaultKind, MoRef};

/// How often a listing begins anew because the session, and with it the view, went away.
const MOST_RESTARTS: u32 = 3;

/// The VMs that pass `filter`. A page is fetched when the one before it is used up.
pub(crate) fn list(scope: Scope, filter: VmFilter) -> BoxStream<'static, Result<VmSummary, Error>> {
    let listing = Listing { scope, filter: filter.matcher(), seen: HashSet::new(), restarts: 0, view: None };
    stream::try_unfold((listing, VecDeque::new()), |(mut listing, mut ready)| async move {
        loop {
            if let Some(vm) = ready.pop_front() {
                return Ok(Some((vm, (listing, ready))));
            }
            match listing.next_page().await.map_err(|error| error.into_error("list VMs"))? {
                Some(page) => ready = page.into(),
                None => return Ok(None),
            }
        }
    })
    .boxed()
}

struct Listing {
    scope: Scope,
    filter: VmMatcher,
    /// VMs passed on already, for the case that the listing begins anew.
    seen: HashSet<String>,
    restarts: u32,
    view: Option<View>,
}

/// A container view and how far it has been read.
struct View {
    _discarded: Discard<DestroyView>,
    view: MoRef,
    ancestors: Ancestors,
    next: NextPage,
}

enum NextPage {
    First,
    After(String),
    NoMore,
}

impl Listing {
    /// The next page's VMs; none at the end. A page may be empty.
    async fn next_page(&mut self) -> Result<Option<Vec<VmSummary>>, CallError> {
        loop {
            match self.try_next_page().await {
                Err(error) if self.restarts < MOST_RESTARTS && self.began_anew(&error) => {
                    tracing::info!(%error, "the listing begins anew");
                    self.restarts += 1;
                    self.view = None;
                }
                other => return other,
            }
        }
    }

    /// True if the view went with its session.
    fn began_anew(&self, error: &CallError) -> bool {
        let view_is_gone = |fault: &crate::soap::Fault| fault.kind() == FaultKind::ManagedObjectNotFound;
        matches!(error, CallError::SessionReplaced)
            || (self.view.is_some() && error.fault().is_some_and(view_is_gone))
    }

    async fn try_next_page(&mut self) -> Result<Option<Vec<VmSummary>>, CallError> {
        let mut view = match self.view.take() {
            Some(view) => view,
            None => View::open(&self.scope).await?,
        };
        let result = self.read_page(&mut view).await;
        self.view = Some(view);
        result
    }

    async fn read_page(&mut self, view: &mut View) -> Result<Option<Vec<VmSummary>>, CallError> {
        let this = self.scope.content().property_collector.clone();
        let page = match &view.next {
            NextPage::NoMore => return Ok(None),
            NextPage::After(token) => {
                let token = token.clone();
                self.scope.call(&ContinueRetrievePropertiesEx { this, token }).await?
            }
            NextPage::First => {
                let spec = view.spec(vec![PropertySpec { kind: "VirtualMachine", paths: summary::PATHS }]);
                let max_objects = Some(self.scope.connector().config().page_size);
                self.scope.call(&RetrievePropertiesEx { this, spec, max_objects }).await?
            }
        };
        view.next = page.token.map_or(NextPage::NoMore, NextPage::After);
        learn_vapps(&self.scope, &mut view.ancestors, &page.objects).await?;
        let root = &self.scope.content().root_folder;
        let mut vms = Vec::with_capacity(page.objects.len());
        for content in page.objects.iter().filter(|content| content.object.kind == "VirtualMachine") {
            if self.seen.insert(content.object.id.clone()) {
                vms.push(summary::read(content, &view.ancestors, root));
            }
        }
        vms.retain(|vm| self.filter.matches(vm));
        Ok(Some(vms))
    }
}

impl View {
    /// Makes the view and reads what paths are made of.
    async fn open(scope: &Scope) -> Result<Self, CallError> {
        const TYPES: &[&str] =
            &["VirtualMachine", "Folder", "Datacenter", "HostSystem", "ClusterComputeResource", "Datastore"];
        let view = create_view(scope, TYPES).await?;
        let mut opened = View {
            _discarded: Discard::new(scope, DestroyView { this: view.clone() }),
            view,
            ancestors: Ancestors::default(),
            next: NextPage::First,
        };
        let mut spec = opened.spec(paths::of_ancestors());
        add_fields(scope, &mut spec);
        for content in retrieve_all(scope, spec).await? {
            opened.ancestors.add(&content);
        }
        Ok(opened)
    }

    fn spec(&self, properties: Vec<PropertySpec>) -> FilterSpec {
        spec_of(&self.view, properties)
    }
}

/// Makes a view of everything of some types.
pub(super) async fn create_view(scope: &Scope, types: &'static [&'static str]) -> Result<MoRef, CallError> {
    let unsupported = || {
        CallError::Fault(Box::new(crate::soap::Fault::new("NotSupported", "the server has no view manager")))
    };
    let this = scope.content().view_manager.clone().ok_or_else(unsupported)?;
    let container = scope.content().root_folder.clone();
    scope.call(&CreateContainerView { this, container, types }).await
}

/// Properties of what a view shows.
pub(super) fn spec_of(view: &MoRef, properties: Vec<PropertySpec>) -> FilterSpec {
    let traversal = Traversal { name: "view", kind: "ContainerView", path: "view", select: Vec::new() };
    let select = vec![Select::Traverse(traversal)];
    FilterSpec { properties, objects: vec![ObjectSpec { object: view.clone(), skip: true, select }] }
}

/// Asks in addition for the names of custom attributes, if the server has any.
pub(super) fn add_fields(scope: &Scope, spec: &mut FilterSpec) {
    if let Some(object) = scope.content().custom_fields_manager.clone() {
        spec.properties.push(PropertySpec { kind: "CustomFieldsManager", paths: &["field"] });
        spec.objects.push(ObjectSpec { object, skip: false, select: Vec::new() });
    }
}

/// Reads the vApps that some VMs are in, which is rare enough to ask for each when it is met.
pub(super) async fn learn_vapps(
    scope: &Scope,
    ancestors: &mut Ancestors,
    vms: &[ObjectContent],
) -> Result<(), CallError> {
    for vapp in vms.iter().filter_map(|vm| paths::reference(&vm.properties, "parentVApp")) {
        if !ancestors.knows(&vapp) {
            retrieve_all(scope, paths::of_vapp(vapp))
                .await?
                .iter()
                .for_each(|content| ancestors.add(content));
        }
    }
    Ok(())
}

/// Every page of a retrieval.
pub(crate) async fn retrieve_all(scope: &Scope, spec: FilterSpec) -> Result<Vec<ObjectContent>, CallError> {
    let this = scope.content().property_collector.clone();
    let max_objects = Some(scope.connector().config().page_size);
    let mut page = scope.call(&RetrievePropertiesEx { this: this.clone(), spec, max_objects }).await?;
    let mut objects = page.objects;
    while let Some(token) = page.token {
        page = scope.call(&ContinueRetrievePropertiesEx { this: this.clone(), token }).await?;
        objects.append(&mut page.objects);
    }
    Ok(objects)
}

/// The error for an answer that the search index cannot give.
pub(super) fn no_search_index() -> Error {
    Error::new(ErrorKind::Unsupported, "find VM", "the server has no search index")
}
