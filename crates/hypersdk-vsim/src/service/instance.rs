//! ServiceInstance and SessionManager.

use chrono::Utc;

use super::{Answer, Reply, Request};
use crate::log::Event;
use crate::property::user_session;
use crate::spec::Kind;
use crate::wire::{Fault, MoRef};

/// API versions served, newest first (`/sdk/vimServiceVersions.xml`).
const VERSIONS: [&str; 12] = [
    "8.0.3.0", "8.0.2.0", "8.0.1.0", "8.0.0.0", "7.0.3.0", "7.0.2.0", "7.0.1.0", "7.0.0.0", "6.7.3", "6.7",
    "6.5", "6.0",
];

/// The service objects, by their field of ServiceContent and in its order;
/// those without a field are reachable all the same.
pub(crate) fn ids(kind: Kind) -> Vec<(&'static str, MoRef)> {
    let table: [(&str, &str, &str, &str); 8] = [
        ("", "ServiceInstance", "ServiceInstance", "ServiceInstance"),
        ("propertyCollector", "PropertyCollector", "propertyCollector", "ha-property-collector"),
        ("viewManager", "ViewManager", "ViewManager", "ViewManager"),
        ("sessionManager", "SessionManager", "SessionManager", "ha-sessionmgr"),
        ("authorizationManager", "AuthorizationManager", "AuthorizationManager", "ha-authmgr"),
        ("taskManager", "TaskManager", "TaskManager", "ha-taskmgr"),
        ("searchIndex", "SearchIndex", "SearchIndex", "ha-searchindex"),
        ("ovfManager", "OvfManager", "OvfManager", "ha-ovf-manager"),
    ];
    let id = |vcenter, esxi| if kind == Kind::Esxi { esxi } else { vcenter };
    table.into_iter().map(|(field, ty, vcenter, esxi)| (field, MoRef::new(ty, id(vcenter, esxi)))).collect()
}

/// The document clients negotiate the API version with.
pub(crate) fn service_versions() -> String {
    let prior: String = VERSIONS[1..].iter().map(|version| format!("<version>{version}</version>")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<namespaces version=\"1.0\"><namespace>\
         <name>urn:vim25</name><version>{}</version><priorVersions>{prior}</priorVersions>\
         </namespace></namespaces>\n",
        VERSIONS[0]
    )
}

impl Request<'_> {
    pub(super) fn retrieve_service_content(&self) -> Answer {
        self.this("ServiceInstance")?;
        Ok(self.reading(|reader| reader.content()).into())
    }

    pub(super) fn current_time(&self) -> Answer {
        self.this("ServiceInstance")?;
        Ok(Utc::now().into())
    }

    pub(super) fn login(&self) -> Answer {
        self.this("SessionManager")?;
        let config = &self.world.config;
        let user = self.arguments().text("userName").unwrap_or_default();
        let password = self.arguments().text("password").unwrap_or_default();
        if user != config.username || password != config.password {
            self.world.log.push(Event::LoginRefused { user: user.to_owned() });
            return Err(Fault::invalid_login());
        }
        if self.session.is_some() {
            // As a real server: a session logs in once.
            return Err(Fault::invalid_state());
        }
        let cookie = self.world.log_in(user, self.address.clone(), self.agent.clone());
        let session = self.world.session(&cookie).ok_or_else(Fault::invalid_login)?;
        Ok(Reply { value: Some(user_session(&session).into()), cookie: Some(cookie) })
    }

    pub(super) fn logout(&self) -> Answer {
        self.this("SessionManager")?;
        let key = self.session_key();
        self.world.end_sessions(|session| session.key == key, |session| Event::LoggedOut { session });
        Ok(Reply::default())
    }

    pub(super) fn session_is_active(&self) -> Answer {
        self.this("SessionManager")?;
        if self.world.config.kind == Kind::Esxi {
            return Err(Fault::not_supported());
        }
        let wanted = self.arguments().text("sessionID").unwrap_or_default();
        let user = self.arguments().text("userName").unwrap_or_default();
        let active = self.world.read(|state| {
            state.sessions.values().any(|session| session.key == wanted && session.user == user)
        });
        Ok(active.into())
    }

    pub(super) fn terminate_session(&self) -> Answer {
        self.this("SessionManager")?;
        let wanted: Vec<&str> = self.arguments().all("sessionId").map(|id| id.content()).collect();
        let ended = self.world.end_sessions(
            |session| wanted.contains(&session.key.as_str()) && session.key != self.session_key(),
            |session| Event::SessionTerminated { session },
        );
        if ended < wanted.len() {
            return Err(Fault::new("NotFound", "The object or item referred to could not be found."));
        }
        Ok(Reply::default())
    }
}
