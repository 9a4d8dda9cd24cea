//! What all readers of directives share while one configuration is built.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::address::Address;
use crate::config::build::block::Block;
use crate::config::build::remark::Remark;
use crate::config::diagnostic::{Fault, FaultList};
use crate::config::model::template::{Constants, Template};
use crate::config::model::{Layer, LogSink};
use crate::config::text::lexer::{Span, Word};
use crate::config::text::names::Names;
use crate::config::text::pems::Pems;
use crate::config::text::tree::Directive;
use crate::config::text::value::{Host, UnresolvedAddress};

/// What a configuration depends on besides its text.
pub(in crate::config) struct Surroundings {
    pub(in crate::config) prefix: PathBuf,
    pub(in crate::config) error_log: LogSink,
    pub(in crate::config) names: Names,
    /// The base of relative paths of certificates: the directory of the main file.
    pub(in crate::config) base: PathBuf,
    pub(in crate::config) pems: Pems,
    /// The time of the load in seconds since 1970, if certificates are checked against it.
    pub(in crate::config) now: Option<i64>,
    pub(in crate::config) constants: Constants,
}

/// A remark, and its place if it has one.
pub(in crate::config) type Placed = (Option<Span>, Remark);

/// The surroundings, and what was found so far.
pub(super) struct Builder {
    pub(super) around: Surroundings,
    /// The layer being built.
    pub(super) layer: Layer,
    pub(super) remarks: Vec<Placed>,
    pub(super) faults: FaultList,
    pub(super) gaps: Gaps,
}

impl Builder {
    /// Nothing is found yet.
    pub(super) fn new(around: Surroundings) -> Builder {
        Builder {
            around,
            layer: Layer::Http,
            remarks: Vec::new(),
            faults: FaultList::default(),
            gaps: Gaps::default(),
        }
    }

    pub(super) fn remark(&mut self, at: Span, remark: Remark) {
        self.remarks.push((Some(at), remark));
    }

    /// Notes the fault if there is one, and returns `None` then.
    pub(super) fn keep<T>(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        self.faults.keep(outcome)
    }

    /// Replaces an inherited value if the level sets a valid one.
    pub(super) fn set<T>(&mut self, inherited: &mut T, here: Result<Option<T>, Fault>) {
        if let Some(Some(here)) = self.keep(here) {
            *inherited = here;
        }
    }

    /// Reads all directives of a name. `None` if there are none: the outer level's apply.
    pub(super) fn list<T>(
        &mut self,
        block: Block<'_>,
        name: &str,
        read: fn(&Builder, &Directive) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let mut list = None;
        for directive in block.many(name) {
            let list = list.get_or_insert_with(Vec::new);
            list.extend(self.keep(read(self, directive)));
        }
        list
    }

    /// A value with variables.
    pub(super) fn template(&self, word: &Word) -> Result<Template, Fault> {
        Template::compile(&word.text, self.layer, &self.around.constants)
            .map_err(|e| Fault::new(word.at, e))
    }

    /// A path relative to the prefix.
    pub(super) fn path(&self, word: &Word) -> PathBuf {
        self.around.prefix.join(&word.text)
    }

    /// All addresses of a place, on port 80 if it has no port. `None` if its name has none.
    pub(super) fn resolve(&mut self, place: &UnresolvedAddress) -> Option<Vec<Address>> {
        let (host, port) = match place {
            UnresolvedAddress::Unix(path) => return Some(vec![Address::Unix(path.clone())]),
            UnresolvedAddress::Inet(host, port) => (host, port.unwrap_or(80)),
        };
        let ips: Vec<IpAddr> = match host {
            Host::Any => return None,
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => self.around.names.resolve(name),
        };
        let addresses: Vec<_> =
            ips.into_iter().map(|ip| Address::Inet(SocketAddr::new(ip, port))).collect();
        (!addresses.is_empty()).then_some(addresses)
    }
}

/// What directives that were refused or never read might have defined.
#[derive(Default)]
pub(super) struct Gaps {
    /// First arguments of refused directives, in lowercase.
    names: HashSet<String>,
    /// Whether part of the text was not read.
    unread: bool,
}

impl Gaps {
    /// Adds a directive that was refused, or a placeholder for unread ones.
    pub(super) fn add(&mut self, directive: &Directive) {
        self.unread |= directive.is_unread();
        self.names.extend(directive.args.first().map(|word| word.text.to_lowercase()));
    }

    /// Whether `name` may be unknown only because of another error.
    pub(super) fn may_define(&self, name: &str) -> bool {
        self.unread || self.names.contains(&name.to_lowercase())
    }
}
