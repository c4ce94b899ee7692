//! PropertyCollector and PropertyFilter.

use std::time::Duration;

use uuid::Uuid;

use super::{Answer, Reply, Request};
use crate::property::{Collector, FilterSpec, Page, Reader, Selection};
use crate::wire::{Fault, MoRef, Struct, Value};

impl Request<'_> {
    /// Reads one property, as pyVmomi does for `object.property`.
    pub(super) fn fetch(&self) -> Answer {
        let (object, name) = (&self.call.this, self.arguments().text("prop").unwrap_or_default());
        self.reading(|reader| {
            if !reader.exists(object) {
                return Err(Fault::not_found(object));
            }
            let value = reader.path(object, name)?;
            Ok(Reply { value: value.map(Value::any), cookie: None })
        })
    }

    fn retrieve(&self) -> Result<Vec<Struct>, Fault> {
        self.this("PropertyCollector")?;
        let specs: Vec<FilterSpec> =
            self.arguments().all("specSet").map(FilterSpec::parse).collect::<Result<_, _>>()?;
        self.reading(|reader| {
            let mut objects = Vec::new();
            for spec in &specs {
                objects.extend(reader.retrieve(spec)?);
            }
            Ok(objects)
        })
    }

    /// Runs `work` on the called collector, which every session has from its start.
    fn collector<R>(&self, work: impl FnOnce(&mut Collector, u64) -> R) -> Result<R, Fault> {
        let collector = self.this("PropertyCollector")?;
        Ok(self.world.note(|state| {
            let number = state.fresh();
            let key = (self.session_key().to_owned(), collector.id.clone());
            work(state.collectors.entry(key).or_default(), number)
        }))
    }

    fn page_size(&self, limit: &str) -> usize {
        let asked = self.arguments().child("options").and_then(|options| options.number(limit));
        let cap = self.world.config.page_size;
        asked
            .and_then(|asked| usize::try_from(asked).ok())
            .filter(|asked| *asked > 0)
            .map_or(cap, |asked| asked.min(cap))
    }

    pub(super) fn retrieve_properties(&self) -> Answer {
        Ok(Value::list("ObjectContent", self.retrieve()?).into())
    }

    pub(super) fn retrieve_properties_ex(&self) -> Answer {
        let objects = self.retrieve()?;
        let size = self.page_size("maxObjects");
        let page = self.collector(|collector, number| collector.page(objects, size, number))?;
        Ok(retrieved(page))
    }

    pub(super) fn continue_retrieve_properties_ex(&self) -> Answer {
        let token = self.arguments().text("token").unwrap_or_default();
        let page = self.collector(|collector, number| {
            let (size, rest) = collector.take_rest(token)?;
            Ok::<_, Fault>(collector.page(rest, size, number))
        })??;
        Ok(retrieved(page))
    }

    pub(super) fn cancel_retrieve_properties_ex(&self) -> Answer {
        let token = self.arguments().text("token").unwrap_or_default();
        self.collector(|collector, _| collector.take_rest(token))??;
        Ok(Reply::default())
    }

    pub(super) fn create_property_collector(&self) -> Answer {
        self.this("PropertyCollector")?;
        let id = format!("session[{}]{}", self.session_key(), Uuid::new_v4());
        let key = (self.session_key().to_owned(), id.clone());
        self.world.note(|state| state.collectors.insert(key, Collector::default()));
        Ok(MoRef::new("PropertyCollector", id).into())
    }

    pub(super) fn destroy_property_collector(&self) -> Answer {
        let this = self.this("PropertyCollector")?;
        let key = (self.session_key().to_owned(), this.id.clone());
        if let Some(collector) = self.world.note(|state| state.collectors.remove(&key)) {
            collector.cancel.cancel();
        }
        Ok(Reply::default())
    }

    pub(super) fn create_filter(&self) -> Answer {
        let spec = self.arguments().child("spec").ok_or_else(|| Fault::invalid_argument("spec"))?;
        let spec = FilterSpec::parse(spec)?;
        let selection = self.reading(|reader| Selection::of(&spec, reader))?;
        let id = format!("session[{}]{}", self.session_key(), Uuid::new_v4());
        self.collector(|collector, _| collector.add_filter(id.clone(), spec, selection))?;
        // A wait under way must see the new filter.
        self.world.wake();
        Ok(MoRef::new("PropertyFilter", id).into())
    }

    pub(super) fn destroy_property_filter(&self) -> Answer {
        let filter = &self.call.this;
        let removed = self.world.note(|state| {
            let own = state.collectors.iter_mut().filter(|((session, _), _)| session == self.session_key());
            own.fold(false, |removed, (_, collector)| collector.remove_filter(&filter.id) || removed)
        });
        if removed { Ok(Reply::default()) } else { Err(Fault::not_found(filter)) }
    }

    pub(super) fn cancel_wait_for_updates(&self) -> Answer {
        let cancel = self.collector(|collector, _| std::mem::take(&mut collector.cancel))?;
        cancel.cancel();
        Ok(Reply::default())
    }

    /// Answers as soon as something the filters select has changed.
    pub(super) async fn wait_for_updates(&self) -> Answer {
        let options = self.arguments().child("options");
        let seconds = match self.call.method.as_str() {
            "CheckForUpdates" => Some(0),
            "WaitForUpdates" => None,
            _ => options.and_then(|options| options.number("maxWaitSeconds")),
        };
        let limit = self.page_size("maxObjectUpdates");
        let version = self.arguments().text("version").unwrap_or_default();
        let cancel = self.collector(|collector, _| {
            collector.rewind(version)?;
            Ok::<_, Fault>(collector.cancel.clone())
        })??;
        let waiting = async {
            let mut changes = self.world.changes();
            loop {
                changes.borrow_and_update();
                if let Some(updates) = self.updates(limit)? {
                    return Ok(updates.into());
                }
                tokio::select! {
                    changed = changes.changed() => changed.map_err(|_| Fault::request_canceled())?,
                    () = cancel.cancelled() => return Err(Fault::request_canceled()),
                    () = self.world.stop.cancelled() => return Err(Fault::request_canceled()),
                }
            }
        };
        match seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
            None => waiting.await,
            Some(0) => Ok(Reply { value: self.updates(limit)?.map(Value::from), cookie: None }),
            Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), waiting)
                .await
                .unwrap_or(Ok(Reply::default())),
        }
    }

    fn updates(&self, limit: usize) -> Result<Option<Struct>, Fault> {
        let this = self.this("PropertyCollector")?;
        let session = self.session_key();
        let key = (session.to_owned(), this.id.clone());
        Ok(self.world.note(|state| {
            // Nobody else sees that it is gone meanwhile.
            let mut collector = state.collectors.remove(&key)?;
            let updates = collector.updates(Reader { world: self.world, state, session }, limit);
            state.collectors.insert(key, collector);
            updates
        }))
    }
}

fn retrieved(page: Page) -> Reply {
    if page.objects.is_empty() {
        return Reply::default();
    }
    Struct::new("RetrieveResult")
        .maybe("token", page.token)
        .with("objects", Value::list("ObjectContent", page.objects))
        .into()
}
