//! Sessions that can be resumed for a while only: `ssl_session_timeout`.
//!
//! When a session began stands in front of what the library keeps of it, or has clients keep.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::server::{ProducesTickets, StoresServerSessions};

/// A store of sessions, or tickets, with a timeout.
#[derive(Debug)]
pub(super) struct Timed<T: ?Sized> {
    inner: Arc<T>,
    timeout: Duration,
    now: fn() -> UnixTime,
}

impl<T: ?Sized> Timed<T> {
    pub(super) fn new(inner: Arc<T>, timeout: Duration) -> Timed<T> {
        Timed { inner, timeout, now: UnixTime::now }
    }

    /// Adds the time to what is kept.
    fn dated(&self, kept: &[u8]) -> Vec<u8> {
        [&(self.now)().as_secs().to_be_bytes()[..], kept].concat()
    }

    /// What was kept, if its time is not over.
    fn valid(&self, dated: &[u8]) -> Option<Vec<u8>> {
        let (began, kept) = dated.split_first_chunk()?;
        // The clock may have been set back meanwhile.
        let age = (self.now)().as_secs().checked_sub(u64::from_be_bytes(*began))?;
        (age < self.timeout.as_secs()).then(|| kept.to_vec())
    }
}

impl<T: StoresServerSessions + ?Sized> StoresServerSessions for Timed<T> {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.inner.put(key, self.dated(&value))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.valid(&self.inner.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.valid(&self.inner.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}

impl<T: ProducesTickets + ?Sized> ProducesTickets for Timed<T> {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        let timeout = u32::try_from(self.timeout.as_secs()).unwrap_or(u32::MAX);
        self.inner.lifetime().min(timeout)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.dated(plain))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.valid(&self.inner.decrypt(cipher)?)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rustls::crypto::ring::Ticketer;
    use rustls::server::ServerSessionMemoryCache;

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1000) };
    }

    fn timed<T: ?Sized>(inner: Arc<T>) -> Timed<T> {
        let now = || UnixTime::since_unix_epoch(Duration::from_secs(NOW.get()));
        Timed { inner, timeout: Duration::from_secs(300), now }
    }

    #[test]
    fn a_session_can_be_resumed_until_its_time_is_over() {
        let (sessions, tickets) =
            (timed(ServerSessionMemoryCache::new(9)), timed(Ticketer::new().unwrap()));
        assert!(sessions.put(b"key".to_vec(), b"session".to_vec()));
        let ticket = tickets.encrypt(b"ticket").unwrap();
        for (now, resumes) in [(1000, true), (1299, true), (1300, false), (999, false)] {
            NOW.set(now);
            assert_eq!(sessions.get(b"key").is_some_and(|it| it == b"session"), resumes, "{now}");
            assert_eq!(tickets.decrypt(&ticket).is_some_and(|it| it == b"ticket"), resumes);
        }
        NOW.set(1000);
        assert_eq!(sessions.take(b"key").as_deref(), Some(&b"session"[..]));
        assert_eq!(sessions.take(b"key"), None);
        assert_eq!(tickets.lifetime(), 300);
        assert_eq!(tickets.decrypt(b"none"), None);
    }
}
