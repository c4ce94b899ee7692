//! ViewManager and ContainerView.

use uuid::Uuid;

use super::{Answer, Reply, Request};
use crate::model::View;
use crate::wire::{Fault, MoRef};

impl Request<'_> {
    pub(super) fn create_container_view(&self) -> Answer {
        self.this("ViewManager")?;
        let container = self.reference("container")?;
        self.world.read(|state| state.entity(&container).map(|_| ()))?;
        if !matches!(
            container.ty.as_str(),
            "Folder"
                | "Datacenter"
                | "ComputeResource"
                | "ClusterComputeResource"
                | "ResourcePool"
                | "HostSystem"
        ) {
            return Err(Fault::invalid_argument("container"));
        }
        let session = self.session_key().to_owned();
        let id = format!("session[{session}]{}", Uuid::new_v4());
        let view = View {
            session,
            container,
            types: self.arguments().all("type").map(|ty| ty.content().to_owned()).collect(),
            recursive: self.arguments().flag("recursive"),
        };
        self.world.note(|state| state.views.insert(id.clone(), view));
        Ok(MoRef::new("ContainerView", id).into())
    }

    pub(super) fn destroy_view(&self) -> Answer {
        let view = self.this("ContainerView")?;
        self.world.note(|state| {
            state.reselect();
            state.views.remove(&view.id)
        });
        Ok(Reply::default())
    }
}
