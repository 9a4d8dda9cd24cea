//! What the coordinators of a group say of themselves, and whether that fits together.
//!
//! Workers serve only coordinators of their own version and environment: a backup that differs has
//! no workers when it is needed.

use super::info::{Info, ShortText};
use super::json::digits;

/// The profiles of a group's servers, which are named by their index.
#[derive(Clone, Debug)]
pub struct Profiles(Vec<Profile>);

/// What one server says of itself.
#[derive(Clone, Copy, Debug, Default)]
struct Profile {
    version: Option<ShortText>,
    environment: Option<ShortText>,
    /// Whether it is known that its answers say nothing.
    silence_told: bool,
    /// Whether it is known that it differs from another one.
    difference_told: bool,
}

impl Profiles {
    /// Nothing is known of so many servers.
    pub fn new(servers: usize) -> Profiles {
        Profiles(vec![Profile::default(); servers])
    }

    /// What `old` knows of the servers that are kept: `index` says where an old server is now.
    pub fn carried_over(
        old: &Profiles,
        servers: usize,
        index: impl Fn(usize) -> Option<usize>,
    ) -> Profiles {
        let mut new = Profiles::new(servers);
        for (server, profile) in old.0.iter().enumerate() {
            if let Some(kept) = index(server).and_then(|place| new.0.get_mut(place)) {
                (kept.version, kept.environment) = (profile.version, profile.environment);
            }
        }
        new
    }

    /// A server's answer says nothing of it. Returns whether that is new.
    pub fn silent(&mut self, server: usize) -> bool {
        !std::mem::replace(&mut self.0[server].silence_told, true)
    }

    /// A server says this of itself. Returns another server from which it differs, if that is new.
    pub fn said(&mut self, server: usize, info: &Info) -> Option<usize> {
        let profile = &mut self.0[server];
        profile.silence_told = false;
        if (profile.version, profile.environment) != (info.version, info.environment) {
            (profile.version, profile.environment) = (info.version, info.environment);
            profile.difference_told = false;
        }
        if profile.difference_told {
            return None;
        }
        let this = *profile;
        let other = self.0.iter().position(|other| {
            differ(other.version, this.version) || differ(other.environment, this.environment)
        })?;
        self.0[server].difference_told = true;
        self.0[other].difference_told = true;
        Some(other)
    }

    /// The number of a server's version, if it says one.
    pub fn release(&self, server: usize) -> Option<u32> {
        let text = shown(&self.0[server].version).as_bytes();
        std::str::from_utf8(digits(text).0).ok()?.parse().ok()
    }

    /// A server's version and environment; empty if it does not say them.
    pub fn words(&self, server: usize) -> (&str, &str) {
        let profile = &self.0[server];
        (shown(&profile.version), shown(&profile.environment))
    }
}

fn shown(text: &Option<ShortText>) -> &str {
    text.as_ref().map_or("", ShortText::as_str)
}

fn differ(one: Option<ShortText>, other: Option<ShortText>) -> bool {
    one.is_some() && other.is_some() && one != other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, environment: &str) -> Info {
        let text = format!(
            "{{\"nodeVersion\":{{\"version\":\"{version}\"}},\"environment\":\"{environment}\",\
             \"coordinator\":true,\"starting\":false}}"
        );
        Info::read(text.as_bytes()).expect("it is well formed")
    }

    #[test]
    fn a_difference_is_new_once_and_again_when_a_server_has_changed() {
        let mut profiles = Profiles::new(2);
        assert_eq!(profiles.said(0, &info("478", "a")), None, "the other is not known");
        assert_eq!(profiles.said(1, &info("478", "a")), None);
        assert_eq!(profiles.said(1, &info("479", "a")), Some(0));
        assert_eq!(profiles.words(1), ("479", "a"));
        assert_eq!(profiles.said(1, &info("479", "a")), None);
        assert_eq!(profiles.said(0, &info("478", "a")), None, "it is known from both sides");
        assert_eq!(profiles.said(1, &info("478", "b")), Some(0));
        assert_eq!(profiles.said(1, &info("478", "a")), None);
    }

    #[test]
    fn versions_are_carried_over_with_their_servers() {
        let mut profiles = Profiles::new(2);
        profiles.said(1, &info("478", "a"));
        let moved = Profiles::carried_over(&profiles, 1, |server| server.checked_sub(1));
        assert_eq!((moved.words(0), moved.release(0)), (("478", "a"), Some(478)));
    }

    #[test]
    fn a_version_begins_with_its_number() {
        let mut profiles = Profiles::new(1);
        assert_eq!(profiles.release(0), None);
        for (version, number) in [
            ("391", Some(391)),
            ("435-dirty", Some(435)),
            ("dev", None),
            ("", None),
            ("99999999999", None),
        ] {
            profiles.said(0, &info(version, "a"));
            assert_eq!(profiles.release(0), number, "{version}");
        }
    }

    #[test]
    fn silence_is_new_until_the_server_speaks() {
        let mut profiles = Profiles::new(1);
        assert_eq!([profiles.silent(0), profiles.silent(0)], [true, false]);
        assert_eq!(profiles.said(0, &info("478", "a")), None);
        assert!(profiles.silent(0));
    }
}
