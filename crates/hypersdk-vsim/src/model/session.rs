use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::world::{State, World};
use crate::log::Event;

/// A login. The cookie is the secret, the key is public.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) key: String,
    pub(crate) user: String,
    pub(crate) login: DateTime<Utc>,
    pub(crate) active: DateTime<Utc>,
    pub(crate) used: Instant,
    pub(crate) calls: i64,
    pub(crate) address: String,
    pub(crate) agent: String,
}

impl World {
    /// Opens a session and returns its cookie.
    pub(crate) fn log_in(&self, user: &str, address: String, agent: String) -> String {
        let cookie = Uuid::new_v4().simple().to_string();
        let key = Uuid::new_v4().to_string();
        let session = Session {
            key: key.clone(),
            user: user.to_owned(),
            login: Utc::now(),
            active: Utc::now(),
            used: Instant::now(),
            calls: 0,
            address,
            agent,
        };
        self.change(|state| {
            state.sessions.insert(cookie.clone(), session);
            self.log.push(Event::LoggedIn { session: key, user: user.to_owned() });
        });
        cookie
    }

    /// The live session of a cookie; counts as use of it.
    pub(crate) fn session(&self, cookie: &str) -> Option<Session> {
        self.expire_sessions();
        self.note(|state| {
            let session = state.sessions.get_mut(cookie)?;
            session.used = Instant::now();
            session.active = Utc::now();
            session.calls += 1;
            Some(session.clone())
        })
    }

    /// Ends the sessions that `which` picks; `event` says why in the log.
    /// Their views and collectors go with them, leases and snapshots do not.
    pub(crate) fn end_sessions(
        &self,
        which: impl Fn(&Session) -> bool,
        event: impl Fn(String) -> Event,
    ) -> usize {
        let ended: Vec<String> = self.note(|state| {
            let cookies: Vec<String> =
                state.sessions.iter().filter(|(_, session)| which(session)).map(|(c, _)| c.clone()).collect();
            cookies.iter().map(|cookie| self.end_session(state, cookie, &event)).collect()
        });
        if !ended.is_empty() {
            self.change(|_| ());
        }
        ended.len()
    }

    fn end_session(&self, state: &mut State, cookie: &str, event: impl Fn(String) -> Event) -> String {
        let key = state.sessions.remove(cookie).map(|session| session.key).unwrap_or_default();
        state.views.retain(|_, view| view.session != key);
        for collector in state.collectors.iter().filter(|((owner, _), _)| *owner == key) {
            collector.1.cancel.cancel();
        }
        state.collectors.retain(|(owner, _), _| *owner != key);
        self.log.push(event(key.clone()));
        key
    }

    /// Ends the sessions idle for too long.
    pub(crate) fn expire_sessions(&self) {
        let idle = self.config.session_idle;
        self.end_sessions(
            |session| session.used.elapsed() >= idle,
            |session| Event::SessionExpired { session },
        );
    }
}
