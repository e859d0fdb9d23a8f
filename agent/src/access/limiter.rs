//! Slows down who tries tokens that are wrong.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Wrong tries of one address within [`WINDOW`].
const TRIES: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered. The largest pool has 1024.
const ADDRESSES: usize = 2048;

#[derive(Debug, Default)]
pub(super) struct Limiter(HashMap<IpAddr, Vec<Instant>>);

impl Limiter {
    /// An error has the seconds until the next try.
    pub(super) fn may_try(&self, now: Instant, from: IpAddr) -> Result<(), u64> {
        let recent = self.0.get(&from).into_iter().flatten();
        let recent: Vec<_> = recent.filter(|when| now - **when < WINDOW).collect();
        match recent.first() {
            Some(first) if recent.len() >= TRIES => {
                let left = WINDOW.saturating_sub(now - **first);
                Err(left.as_secs() + 1)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn note(&mut self, now: Instant, from: IpAddr) {
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&from) {
            self.0
                .retain(|_, tries| tries.last().is_some_and(|last| now - *last < WINDOW));
            if self.0.len() >= ADDRESSES {
                self.0.clear();
            }
        }
        let tries = self.0.entry(from).or_default();
        tries.retain(|when| now - *when < WINDOW);
        if tries.len() < TRIES {
            tries.push(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn after_ten_wrong_tries_an_address_waits_and_others_do_not() {
        let mut limiter = Limiter::default();
        let (now, one, other) = (
            Instant::now(),
            Ipv4Addr::LOCALHOST.into(),
            Ipv4Addr::BROADCAST.into(),
        );
        for _ in 0..TRIES {
            assert_eq!(limiter.may_try(now, one), Ok(()));
            limiter.note(now, one);
        }
        assert_eq!(limiter.may_try(now, one), Err(61));
        assert_eq!(limiter.may_try(now, other), Ok(()));
        assert_eq!(limiter.may_try(now + WINDOW, one), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        for number in 0..10_000 {
            limiter.note(now, Ipv4Addr::from_bits(number).into());
        }
        assert!(limiter.0.len() <= ADDRESSES);
    }
}
