//! Host names become addresses once, at load.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

/// A source of addresses for names.
#[derive(Debug)]
pub(in crate::config) enum Names {
    /// The system's resolver; answers are cached for the rest of the load.
    System(HashMap<String, Vec<IpAddr>>),
    /// These names and `localhost` only.
    Fixed(HashMap<String, Vec<IpAddr>>),
}

impl Names {
    /// Uses the system's resolver.
    pub(in crate::config) fn system() -> Names {
        Names::System(HashMap::new())
    }

    /// All addresses of a name, each once, in the resolver's order; empty if it has none.
    pub(in crate::config) fn resolve(&mut self, name: &str) -> Vec<IpAddr> {
        match self {
            Names::System(known) => {
                known.entry(name.into()).or_insert_with(|| ask_system(name)).clone()
            }
            Names::Fixed(_) if name == "localhost" => vec![Ipv4Addr::LOCALHOST.into()],
            Names::Fixed(known) => known.get(name).cloned().unwrap_or_default(),
        }
    }
}

fn ask_system(name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for address in (name, 0).to_socket_addrs().into_iter().flatten() {
        if !found.contains(&address.ip()) {
            found.push(address.ip());
        }
    }
    found
}
