//! What each connection has, and pages of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::try_join_all;
use hypersdk_core::{Error, NamedProvider, ProviderExt, VmFilter, VmSummary};
use serde::{Deserialize, Serialize};

/// The VMs of one connection, by path and then by identifier.
#[derive(Debug)]
pub(super) struct Source {
    provider: NamedProvider,
    vms: Arc<[VmSummary]>,
    /// How long ago it was so for sure.
    pub(super) age: Duration,
    /// It comes from memory.
    pub(super) cached: bool,
}

/// What each of these connections has: from memory if somebody vouches for that, unless it is to be `live`; else as
/// the connection tells, which leaves out what does not pass the filter.
///
/// # Errors
/// A connection could not be asked.
pub(super) async fn sources(
    providers: Vec<NamedProvider>,
    filter: &VmFilter,
    live: bool,
) -> Result<Vec<Source>, Error> {
    try_join_all(providers.into_iter().map(|provider| source(provider, filter, live))).await
}

async fn source(provider: NamedProvider, filter: &VmFilter, live: bool) -> Result<Source, Error> {
    if !live
        && let Some(inventory) = provider.provider.inventory()
        && let Some(copy) = inventory.copy().await
    {
        return Ok(Source { provider, vms: copy.vms, age: copy.age, cached: true });
    }
    let vms = provider.provider.list_all(filter.clone()).await?;
    Ok(Source { provider, vms: vms.into(), age: Duration::ZERO, cached: false })
}

/// Where a page begins.
#[derive(Debug)]
pub(super) enum Start {
    /// So many of those that match are left out.
    At(usize),
    Behind(Cursor),
}

/// The last VM of a page: its connection, path and identifier. The next page begins behind it, also if it is gone.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor(String, String, String);

impl Cursor {
    fn is_at_or_behind(&self, provider: &NamedProvider, vm: &VmSummary) -> bool {
        let Cursor(at, path, id) = self;
        (provider.name.as_str(), vm.path.as_str(), vm.id.as_str()) <= (at, path, id)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let json = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = json.and_then(|json| serde_json::from_slice(&json).ok());
        cursor.ok_or_else(|| "expected the next_cursor of the page before".to_owned())
    }
}

/// A page of those that match.
#[derive(Debug)]
pub(super) struct Selected<'a> {
    pub(super) total: usize,
    pub(super) offset: usize,
    pub(super) vms: Vec<(&'a NamedProvider, &'a VmSummary)>,
    /// Its last VM, if there are further pages.
    pub(super) next: Option<Cursor>,
}

/// Cuts a page. The sources are in the order of their names.
pub(super) fn select<'a>(
    sources: &'a [Source],
    filter: &VmFilter,
    start: Start,
    limit: usize,
) -> Selected<'a> {
    let matcher = filter.matcher();
    let mut vms: Vec<(&NamedProvider, &VmSummary)> = sources
        .iter()
        .flat_map(|source| source.vms.iter().map(|vm| (&source.provider, vm)))
        .filter(|(_, vm)| matcher.matches(vm))
        .collect();
    let total = vms.len();
    let offset = match start {
        Start::At(offset) => offset,
        Start::Behind(cursor) => vms.partition_point(|(provider, vm)| cursor.is_at_or_behind(provider, vm)),
    };
    vms.drain(..offset.min(total));
    let has_more = vms.len() > limit;
    vms.truncate(limit);
    let cursor = |(provider, vm): &(&NamedProvider, &VmSummary)| {
        Cursor(provider.name.to_string(), vm.path.clone(), vm.id.to_string())
    };
    let next = vms.last().filter(|_| has_more).map(cursor);
    Selected { total, offset, vms, next }
}

#[cfg(test)]
mod tests {
    use hypersdk_core::testing::FakeProvider;

    use super::*;

    async fn some(provider: &FakeProvider) -> Vec<Source> {
        let named =
            |name: &str| NamedProvider { name: name.parse().unwrap(), provider: Arc::new(provider.clone()) };
        sources(vec![named("a"), named("b")], &VmFilter::default(), false).await.unwrap()
    }

    fn paths(selected: &Selected<'_>) -> Vec<String> {
        selected.vms.iter().map(|(provider, vm)| format!("{}:{}", provider.name, vm.path)).collect()
    }

    #[tokio::test]
    async fn pages_follow_each_other_by_cursor_although_a_vm_came_before_them() {
        let provider = FakeProvider::new(|_, _| String::new());
        for name in ["/b", "/c", "/d"] {
            provider.add_vm(name, Vec::new());
        }
        let filter = VmFilter::default();
        let first = some(&provider).await;
        let first = select(&first, &filter, Start::At(0), 2);
        assert_eq!((first.total, paths(&first)), (6, vec!["a:/b".to_owned(), "a:/c".to_owned()]));
        provider.add_vm("/a", Vec::new());
        let mut cursor = first.next.map(|cursor| cursor.to_string());
        let mut seen = Vec::new();
        while let Some(text) = cursor {
            let sources = some(&provider).await;
            let page = select(&sources, &filter, Start::Behind(text.parse().unwrap()), 2);
            assert_eq!(page.total, 8);
            seen.extend(paths(&page));
            cursor = page.next.map(|cursor| cursor.to_string());
        }
        assert_eq!(seen, ["a:/d", "b:/a", "b:/b", "b:/c", "b:/d"]);
    }

    #[tokio::test]
    async fn an_offset_beyond_the_end_is_an_empty_page() {
        let provider = FakeProvider::new(|_, _| String::new());
        provider.add_vm("/b", Vec::new());
        let sources = some(&provider).await;
        let page = select(&sources, &VmFilter::default(), Start::At(7), 2);
        assert_eq!((page.total, page.offset, page.vms.len(), page.next), (2, 7, 0, None));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "xyz", "WyJhIl0", "####"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        let cursor = Cursor("a".into(), "/x/%2f".into(), "vm-1".into());
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
