//! Host names become addresses, once, while loading.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

/// Whom to ask for a name's addresses.
#[derive(Debug)]
pub(super) enum Names {
    /// The system's resolver; answers are kept for the rest of the load.
    System(HashMap<String, Vec<IpAddr>>),
    /// These names and `localhost`, nothing else.
    Fixed(HashMap<String, Vec<IpAddr>>),
}

impl Names {
    /// The system's resolver.
    pub(super) fn system() -> Names {
        Names::System(HashMap::new())
    }

    /// All addresses of a name, each once, in the resolver's order; none if it has none.
    pub(super) fn resolve(&mut self, name: &str) -> Vec<IpAddr> {
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
