//! Objects at the server that must not outlive their use.

use super::Scope;
use crate::soap::Call;

/// Destroys an object at the server when it goes out of scope, in the background, whatever the reason.
#[derive(Debug)]
pub(crate) struct Discard<C: Call + 'static> {
    scope: Scope,
    call: Option<C>,
}

impl<C: Call + 'static> Discard<C> {
    pub(crate) fn new(scope: &Scope, call: C) -> Self {
        Discard { scope: scope.afterwards(), call: Some(call) }
    }
}

impl<C: Call + 'static> Drop for Discard<C> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let scope = self.scope.clone();
            self.scope.spawn(async move {
                if let Err(error) = scope.call(&call).await {
                    tracing::debug!(%error, method = C::METHOD, "clean-up failed; it ends with the session");
                }
            });
        }
    }
}
