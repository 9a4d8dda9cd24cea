//! The workers that a coordinator heard of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::client::string_after;

/// The version that all nodes claim to be.
pub(crate) const VERSION: &str = "435";

/// How long an announcement is good for.
const ANNOUNCEMENT_TIME: Duration = Duration::from_secs(30);

/// All workers, by node id.
#[derive(Default)]
pub(crate) struct Workers(BTreeMap<String, Announced>);

/// What a worker said of itself.
struct Announced {
    /// Its address.
    uri: String,
    /// Its version.
    version: String,
    /// When it said so.
    at: Instant,
}

impl Workers {
    /// Takes the body of a `PUT /v1/announcement/{node}`.
    pub(crate) fn announced(&mut self, node: &str, body: &str) {
        let property = |name| string_after(body, name).unwrap_or_default().to_owned();
        self.put(node.to_owned(), property("http"), property("node_version"));
    }

    /// Takes the body of a `POST /v1/announce`, as from 477 on: the worker's address. A real
    /// coordinator then asks the worker for its id; here the address is the id.
    pub(crate) fn announced_uri(&mut self, body: &str) {
        let uri = body.trim().to_owned();
        self.put(uri.clone(), uri, VERSION.to_owned());
    }

    /// Remembers a worker from now on.
    fn put(&mut self, node: String, uri: String, version: String) {
        self.0.retain(|_, worker| worker.at.elapsed() < ANNOUNCEMENT_TIME);
        self.0.insert(node, Announced { uri, version, at: Instant::now() });
    }

    /// Forgets a worker that leaves.
    pub(crate) fn left(&mut self, node: &str) {
        self.0.remove(node);
    }

    /// The rows of `system.runtime.nodes`.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.known().map(|(node, worker)| row(node, &worker.uri, &worker.version, false)).collect()
    }

    /// The answer to `GET /v1/service/trino/general`.
    pub(crate) fn services(&self) -> String {
        let service = |(node, worker): (&String, &Announced)| {
            let uri = &worker.uri;
            format!(r#"{{"nodeId":"{node}","type":"trino","properties":{{"http":"{uri}"}}}}"#)
        };
        let services: Vec<String> = self.known().map(service).collect();
        format!(r#"{{"environment":"demo","services":[{}]}}"#, services.join(","))
    }

    /// Those whose announcements are recent enough.
    fn known(&self) -> impl Iterator<Item = (&String, &Announced)> {
        self.0.iter().filter(|(_, worker)| worker.at.elapsed() < ANNOUNCEMENT_TIME)
    }
}

/// A row of `system.runtime.nodes`.
pub(crate) fn row(node: &str, uri: &str, version: &str, is_coordinator: bool) -> String {
    format!(r#"["{node}","{uri}","{version}",{is_coordinator},"active"]"#)
}
