//! What systemd is told, if it listens: ready, stopping, alive.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Work is taken from now on.
pub(crate) fn ready(addr: std::net::SocketAddr) {
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {addr}"))]);
}

/// No more work is taken; what runs is given time.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("waiting for running exports")]);
}

/// Feeds the watchdog, if there is one, until `stop` fires.
pub(crate) async fn feed_watchdog(stop: CancellationToken) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut tick = tokio::time::interval(patience / 3);
    loop {
        tokio::select! {
            _ = tick.tick() => notify(&[NotifyState::Watchdog]),
            () = stop.cancelled() => return,
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("notify systemd: {error}");
    }
}
