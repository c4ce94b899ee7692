//! `ViewManager` and `ContainerView`: sets of objects to retrieve from.

use super::method;
use crate::soap::MoRef;

/// `CreateContainerView` over everything of some types below a container. It lives until the session ends or
/// it is destroyed.
#[derive(Debug)]
pub(crate) struct CreateContainerView {
    pub(crate) this: MoRef,
    pub(crate) container: MoRef,
    pub(crate) types: &'static [&'static str],
}

method!(CreateContainerView, "CreateContainerView", idempotent: true, reply: MoRef, write: |call, out| {
    out.moref("container", &call.container);
    for kind in call.types {
        out.text("type", kind);
    }
    out.value("recursive", true);
}, read: |reply| reply.moref()?);

/// `DestroyView`.
#[derive(Debug)]
pub(crate) struct DestroyView {
    pub(crate) this: MoRef,
}

method!(DestroyView, "DestroyView", idempotent: true, session_bound: true, reply: (),
    write: |_call, _out| {}, read: |_reply| ());
