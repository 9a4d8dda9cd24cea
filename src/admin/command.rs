//! The operator's commands: read from a request, and matched with the servers of a configuration.

use super::denied::Denied;
use super::percent::decode;
use crate::config::model::Group;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `GET /status`.
    Status,
    /// `POST /promote`.
    Promote(ServerAsked),
    /// `POST /drain`.
    Drain(ServerAsked),
    /// `GET /drain`: is that server empty?
    Drained(ServerAsked),
}

/// The server that a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAsked {
    /// Its name in the file, or its address.
    pub server: String,
    /// The name of its group; `stream:NAME` or `http:NAME` where both layers have the name.
    pub upstream: Option<String>,
}

/// The places of a group and of one of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundServer {
    /// The group's index.
    pub group: usize,
    /// The server's index in it.
    pub server: usize,
}

impl Command {
    /// Reads a request.
    ///
    /// # Errors
    /// It is no command.
    pub fn read(method: &[u8], path: &[u8], query: Option<&[u8]>) -> Result<Command, Denied> {
        let asks = matches!(method, b"GET" | b"HEAD");
        match path {
            b"/status" if asks => Ok(Command::Status),
            b"/drain" if asks => ServerAsked::read(query).map(Command::Drained),
            b"/drain" if method == b"POST" => ServerAsked::read(query).map(Command::Drain),
            b"/promote" if method == b"POST" => ServerAsked::read(query).map(Command::Promote),
            b"/status" => Err(Denied::Method { use_instead: "GET" }),
            b"/drain" | b"/promote" => Err(Denied::Method { use_instead: "POST" }),
            _ => Err(Denied::Path),
        }
    }
}

impl ServerAsked {
    fn read(query: Option<&[u8]>) -> Result<ServerAsked, Denied> {
        let (mut server, mut upstream) = (None, None);
        for pair in query.unwrap_or_default().split(|byte| *byte == b'&') {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], decode(&pair[at + 1..]).ok_or(Denied::Query)?),
                None => (pair, String::new()),
            };
            match name {
                b"server" => server = Some(value),
                b"upstream" => upstream = Some(value),
                b"" => {}
                _ => return Err(Denied::Query),
            }
        }
        let server = server.filter(|server| !server.is_empty()).ok_or(Denied::Query)?;
        Ok(ServerAsked { server, upstream })
    }

    /// Finds the server.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn find(&self, groups: &[Group]) -> Result<FoundServer, Denied> {
        let meant: Vec<usize> =
            (0..groups.len()).filter(|place| self.means(&groups[*place])).collect();
        if let (Some(upstream), true) = (&self.upstream, meant.is_empty()) {
            let known = groups.iter().map(|group| label(group, groups)).collect();
            return Err(Denied::NoUpstream { upstream: upstream.clone(), known });
        }
        let servers = || {
            meant.iter().flat_map(|group| {
                let servers = groups[*group].servers.iter().enumerate();
                servers.map(|(server, model)| (FoundServer { group: *group, server }, model))
            })
        };
        let found: Vec<FoundServer> = servers()
            .filter(|(_, model)| {
                *model.name == *self.server || model.address.to_string() == self.server
            })
            .map(|(found, _)| found)
            .collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => {
                let mut known: Vec<String> =
                    servers().map(|(_, model)| model.name.to_string()).collect();
                known.sort();
                known.dedup();
                Err(Denied::NoServer { server: self.server.clone(), known })
            }
            [first, others @ ..] if others.iter().all(|other| other.group == first.group) => {
                let group = &groups[first.group];
                let address = |found: &FoundServer| group.servers[found.server].address.to_string();
                let addresses = found.iter().map(address).collect();
                Err(Denied::SeveralAddresses { server: self.server.clone(), addresses })
            }
            several => {
                let mut upstreams: Vec<String> =
                    several.iter().map(|found| label(&groups[found.group], groups)).collect();
                upstreams.dedup();
                Err(Denied::SeveralUpstreams { server: self.server.clone(), upstreams })
            }
        }
    }

    fn means(&self, group: &Group) -> bool {
        match &self.upstream {
            None => true,
            Some(given) => **given == *group.name || *given == with_layer(group),
        }
    }
}

/// The name of a group, with its layer if the other layer has the name too.
fn label(group: &Group, groups: &[Group]) -> String {
    let same = |other: &&Group| other.name == group.name;
    if groups.iter().filter(same).count() > 1 { with_layer(group) } else { group.name.to_string() }
}

fn with_layer(group: &Group) -> String {
    format!("{}:{}", group.layer.name(), group.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_text;

    fn groups() -> Vec<Group> {
        let text = "http {
                upstream a { server 127.0.0.1:1; server 127.0.0.1:2 backup; }
                upstream b { server 127.0.0.1:2; server localhost:3; }
            }
            stream { upstream a { server 127.0.0.1:1; server 127.0.0.1:4; } }";
        parse_text("a.conf", text.as_bytes()).unwrap().config.groups
    }

    fn find(server: &str, upstream: Option<&str>) -> Result<(usize, usize), Denied> {
        let target = ServerAsked { server: server.into(), upstream: upstream.map(str::to_owned) };
        target.find(&groups()).map(|found| (found.group, found.server))
    }

    #[test]
    fn requests_are_commands_or_denied() {
        let read = |method: &str, path: &str, query: Option<&str>| {
            Command::read(method.as_bytes(), path.as_bytes(), query.map(str::as_bytes))
        };
        let target = |server: &str, upstream: Option<&str>| ServerAsked {
            server: server.into(),
            upstream: upstream.map(str::to_owned),
        };
        assert_eq!(read("GET", "/status", None), Ok(Command::Status));
        let promote = Command::Promote(target("a b", Some("u")));
        assert_eq!(read("POST", "/promote", Some("server=a%20b&upstream=u")), Ok(promote));
        let asked = Ok(Command::Drained(target("a", None)));
        assert_eq!(read("GET", "/drain", Some("server=a")), asked);
        for (method, path, query) in [
            ("POST", "/status", None),
            ("GET", "/promote", Some("server=a")),
            ("POST", "/drain", None),
            ("POST", "/drain", Some("server=")),
            ("POST", "/drain", Some("server=%f")),
            ("POST", "/drain", Some("server=a&force=1")),
            ("GET", "/", None),
        ] {
            assert!(read(method, path, query).is_err(), "{method} {path} {query:?}");
        }
    }

    #[test]
    fn servers_are_found_by_name_or_address_and_group() {
        assert_eq!(find("localhost:3", None), Ok((1, 1)));
        assert_eq!(find("127.0.0.1:4", None), Ok((2, 1)));
        assert_eq!(find("127.0.0.1:2", Some("b")), Ok((1, 0)));
        assert_eq!(find("127.0.0.1:1", Some("stream:a")), Ok((2, 0)));
        let unclear = |denied: Result<_, Denied>| denied.unwrap_err().to_string();
        let said = unclear(find("127.0.0.1:2", None));
        assert!(said.contains("--upstream") && said.contains("http:a, b"), "{said}");
        let said = unclear(find("127.0.0.1:1", Some("a")));
        assert!(said.contains("http:a, stream:a"), "{said}");
        let said = unclear(find("c", Some("b")));
        assert!(said.contains("127.0.0.1:2, localhost:3"), "{said}");
        let said = unclear(find("c", Some("d")));
        assert!(said.contains("http:a, b, stream:a"), "{said}");
    }
}
