//! Makes sessions: version negotiation, service content, login.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use hypersdk_core::{Error, ErrorKind};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{Counts, Session};
use crate::api::{Login, RetrieveServiceContent};
use crate::config::{Endpoint, PoolConfig, VsphereConfig};
use crate::http::HttpClients;
use crate::soap::{CallError, Cookie, Fault, FaultKind, Malformed, MoRef, SoapClient, negotiate};

/// Everything that outlives a single session: where the server is, whom to trust, the account.
#[derive(Debug)]
pub(crate) struct Connector {
    config: VsphereConfig,
    endpoint: Endpoint,
    http: HttpClients,
    client: reqwest::Client,
    /// When the credentials were last refused. Held while a login is under way, so that one refusal answers
    /// everybody who waits.
    refused: tokio::sync::Mutex<Option<Instant>>,
    tasks: TaskTracker,
    counts: Counts,
}

impl Connector {
    /// # Errors
    /// [`ErrorKind::Invalid`](hypersdk_core::ErrorKind::Invalid) for a configuration that cannot be used.
    /// Nothing is connected yet.
    pub(crate) fn new(config: VsphereConfig) -> Result<Arc<Self>, Error> {
        let endpoint = Endpoint::parse(&config.url)?;
        let http = HttpClients::new(&config, &endpoint)?;
        let client = http.server()?;
        let refused = tokio::sync::Mutex::new(None);
        let tasks = TaskTracker::new();
        Ok(Arc::new(Connector { config, endpoint, http, client, refused, tasks, counts: Counts::default() }))
    }

    pub(crate) fn config(&self) -> &VsphereConfig {
        &self.config
    }

    pub(crate) fn pool(&self) -> &PoolConfig {
        &self.config.connection_pool
    }

    /// What became of the sessions made so far.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn http(&self) -> &HttpClients {
        &self.http
    }

    /// Background work: keepalives, lease keepers, clean-up.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Starts background work, if there is a runtime to do it on.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(self.tasks.spawn_on(work, &runtime)),
            Err(_) => tracing::warn!("no runtime is left to clean up at the server"),
        }
    }

    /// Logs in.
    ///
    /// # Cancel safety
    /// The login goes on when the future is dropped, and is logged out then.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`](hypersdk_core::ErrorKind::Unauthenticated) for refused credentials, now
    /// or within the last `login_cooldown`; else what the connection failed with.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        let operation = || format!("connect to {}", self.endpoint.host());
        let (done, outcome) = oneshot::channel();
        let connector = Arc::clone(self);
        let login = async move {
            // A session that nobody waits for is dropped here, and so logged out.
            let _ = done.send(connector.try_connect().await);
        };
        self.spawn(login.in_current_span());
        match outcome.await {
            Ok(connected) => connected.map_err(|error| error.into_error(operation())),
            Err(_) => Err(Error::new(ErrorKind::Internal, operation(), "there is no runtime to connect on")),
        }
    }

    async fn try_connect(self: &Arc<Self>) -> Result<Arc<Session>, CallError> {
        let limit = self.config.call_timeout;
        let version = negotiate(&self.client, self.endpoint.url(), limit).await?;
        let client = SoapClient::new(self.client.clone(), self.endpoint.url().clone(), &version, limit);
        let content = client.call(&RetrieveServiceContent::new(), "connect", None).await?.value;
        let manager = content
            .session_manager
            .clone()
            .ok_or_else(|| Malformed("the server has no session manager".to_owned()))?;
        let cookie = self.login(&client, &manager, "connect").await?;
        tracing::info!(server = self.endpoint.host(), version, about = content.full_name, "logged in");
        Ok(Session::start(Arc::clone(self), client, content, manager, cookie))
    }

    /// Logs in and gives the new session's cookie. No cookie is sent along: to some servers a login within a
    /// session is a wrong login.
    pub(super) async fn login(
        &self,
        client: &SoapClient,
        manager: &MoRef,
        op_id: &str,
    ) -> Result<Cookie, CallError> {
        let mut refused = self.refused.lock().await;
        if let Some(since) = *refused {
            let age = since.elapsed();
            if age < self.config.login_cooldown {
                let message = format!(
                    "the credentials were refused {} s ago and are not tried again yet",
                    age.as_secs()
                );
                return Err(CallError::Fault(Box::new(Fault::new("InvalidLogin", message))));
            }
        }
        let call = Login {
            this: manager.clone(),
            username: self.config.username.clone(),
            password: self.config.password.clone(),
        };
        let result = client.call(&call, op_id, None).await;
        let invalid =
            |error: &CallError| error.fault().is_some_and(|fault| fault.kind() == FaultKind::InvalidLogin);
        *refused = match &result {
            Err(error) if invalid(error) => Some(Instant::now()),
            _ => None,
        };
        let cookie = result?.cookie;
        Ok(cookie.ok_or_else(|| Malformed("the server set no session cookie".to_owned()))?)
    }
}
