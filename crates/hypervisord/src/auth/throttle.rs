//! A limit on how often something may happen, by address.
//!
//! The generic cell rate algorithm: one instant an address, the one at which its budget would be whole again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Addresses that are remembered at most; past it those whose budget is whole are forgotten, then all.
const ADDRESSES: usize = 10_000;

/// Lets `burst` things happen at once, and then one every `interval`.
#[derive(Debug)]
pub(crate) struct Throttle {
    interval: Duration,
    window: Duration,
    whole_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Throttle {
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Throttle { interval, window: interval * burst, whole_at: Mutex::default() }
    }

    /// Takes one from the budget of `client`; if there is none, how long until there is.
    pub(crate) fn take(&self, client: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let mut whole_at = self.whole_at.lock().expect("no holder of this lock panics");
        if whole_at.len() >= ADDRESSES {
            whole_at.retain(|_, at| *at > now);
            if whole_at.len() >= ADDRESSES {
                whole_at.clear();
            }
        }
        let at = whole_at.entry(subject(client)).or_insert(now);
        let next = (*at).max(now) + self.interval;
        match (next - now).checked_sub(self.window) {
            Some(wait) if !wait.is_zero() => Some(wait),
            _ => {
                *at = next;
                None
            }
        }
    }

    /// How long until [`take`](Self::take) would be granted, if it would not be now.
    pub(crate) fn wait(&self, client: IpAddr) -> Option<Duration> {
        let now = Instant::now();
        let whole_at = self.whole_at.lock().expect("no holder of this lock panics");
        let at = whole_at.get(&subject(client))?;
        ((*at).max(now) + self.interval - now).checked_sub(self.window).filter(|wait| !wait.is_zero())
    }
}

/// Who counts as one client: whoever has an IPv6 address has all of its /64.
fn subject(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_is_more_waits_for_its_own_address() {
        let throttle = Throttle::new(3, Duration::from_secs(60));
        let [here, there]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        assert_eq!(throttle.wait(here), None);
        for _ in 0..3 {
            assert_eq!(throttle.take(here), None);
        }
        let wait = throttle.take(here).unwrap();
        assert!(wait <= Duration::from_secs(60), "{wait:?}");
        assert!(throttle.wait(here).is_some());
        assert_eq!(throttle.take(there), None);
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_client() {
        let throttle = Throttle::new(1, Duration::from_secs(60));
        assert_eq!(throttle.take("2001:db8::1".parse().unwrap()), None);
        assert!(throttle.take("2001:db8::2".parse().unwrap()).is_some());
        assert_eq!(throttle.take("2001:db8:0:1::2".parse().unwrap()), None);
        assert_eq!(throttle.take("10.0.0.1".parse().unwrap()), None);
        assert!(throttle.take("::ffff:10.0.0.1".parse().unwrap()).is_some());
    }
}
