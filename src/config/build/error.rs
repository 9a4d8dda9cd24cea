//! Errors in a configuration's directives.

use std::fmt;

use crate::address::Address;
use crate::config::build::tls_error::TlsFault;
use crate::config::known::directives::{Contexts, KNOWN, contexts_of};
use crate::config::known::nearest::nearest;
use crate::config::model::Layer;

/// Why directives do not form a valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// An unknown name.
    UnknownDirective(String),
    /// A directive that is not allowed in this context.
    Misplaced {
        /// Its name.
        name: String,
        /// The contexts that allow it.
        allowed: Contexts,
        /// The context in which it stands.
        around: Contexts,
    },
    /// Something that nginx supports and we do not.
    Unsupported {
        /// The directive, parameter or form.
        what: String,
        /// What is missing.
        reason: &'static str,
    },
    /// Something that nginx also supports in `stream {}` and we do not.
    NotInStream {
        /// The directive.
        name: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A directive that may appear only once.
    Duplicate(String),
    /// Too few or too many arguments.
    Arguments {
        /// The directive.
        name: String,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// `;` where a block must follow.
    NeedsBlock(String),
    /// A block where `;` must follow.
    NoBlock(String),
    /// A word that is not among the allowed ones.
    Choice {
        /// The word.
        found: String,
        /// The allowed words.
        allowed: &'static str,
    },
    /// A number or size out of range.
    Range {
        /// The directive or parameter.
        name: &'static str,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A parameter that the directive does not take.
    UnknownParameter(String),
    /// `off` beside other parameters of this directive.
    OffBesides(&'static str),
    /// A `uri` that cannot be the target of a request.
    CheckUri(String),
    /// Zero for a parameter that needs a time.
    NoTime(&'static str),
    /// A field name with bytes that are not allowed in field names.
    FieldName(String),
    /// A second `upstream` of this name.
    DuplicateUpstream(String),
    /// A second location for the same paths.
    DuplicateLocation(String),
    /// A second `listen` of one server on this address.
    DuplicateListen(Address),
    /// An `http {}` server on an address that a `stream {}` server already uses.
    AddressInUse(Address),
    /// `control` on an address that a server listens on.
    ControlInUse(Address),
    /// A second `default_server` on this address.
    DuplicateDefault(Address),
    /// Socket options given twice for this address.
    DuplicateListenOptions(Address),
    /// An address that another `listen` already covers.
    ListenOverlap(Address, Address),
    /// A second format of this name.
    DuplicateFormat(String),
    /// An access log given again with different parameters.
    LogConflict(String),
    /// A format that is not defined.
    UnknownFormat(String),
    /// A log without a format where there is no default format.
    FormatMissing,
    /// A name without addresses.
    HostNotFound {
        /// The directive that contains it: `upstream`, `listen` …
        what: &'static str,
        /// The name with its port.
        name: String,
    },
    /// An `upstream` without `server`.
    NoServers(String),
    /// An `upstream` whose servers are all backups.
    OnlyBackups(String),
    /// An `upstream` with more servers than allowed.
    TooManyServers(String),
    /// The name of an `upstream` that belongs to the other layer.
    UpstreamElsewhere {
        /// Its name.
        name: String,
        /// Where it is defined.
        layer: Layer,
    },
    /// A port after the name of an `upstream`.
    UpstreamPort(String),
    /// A `proxy_pass` argument that is not `http://…`.
    ProxyUrl(String),
    /// A `proxy_pass` argument of `stream {}` that is neither an address nor a name.
    PassAddress(String),
    /// An address without a port in `stream {}`.
    NoPort(String),
    /// A `server {}` of `stream {}` without `proxy_pass`.
    NoPass,
    /// A `server {}` of `stream {}` without `listen`.
    NoListen,
    /// `default_server` in `stream {}`.
    StreamDefault,
    /// `h2c_tunnel on` in a server whose location `/` has no `proxy_pass`.
    TunnelNowhere,
    /// Not a network.
    Network(String),
    /// A location outside its parent's prefix.
    OutsideParent {
        /// The location's path.
        inner: String,
        /// The parent's path.
        outer: String,
    },
    /// A location inside an exact one.
    InsideExact(String),
    /// `*` in the middle of a name.
    ServerName(String),
    /// Not a status, or one out of range.
    Status(String),
    /// `return` with one argument that is neither a status nor a URL.
    ReturnUrl(String),
    /// `try_files` in a location without `proxy_pass`.
    TryFiles,
    /// Neither an absolute path nor a URL.
    ErrorPageUri(String),
    /// TLS that cannot be set up as it is written.
    Tls(TlsFault),
}

impl BuildError {
    /// What to do about the error.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            BuildError::UnknownDirective(name) => {
                let nearest = nearest(name, KNOWN.iter().map(|known| known.name));
                return nearest.map(|name| format!("did you mean \"{name}\"?"));
            }
            BuildError::Misplaced { allowed, around, .. } => {
                return Some(format!("it may stand in {}", allowed.names(*around)));
            }
            BuildError::Choice { allowed, .. } => return Some(format!("write one of: {allowed}")),
            BuildError::UnknownParameter(text) => {
                contexts_of(text)?;
                "this is a directive: the \";\" before it is missing"
            }
            BuildError::Duplicate(_) => "remove one of them",
            BuildError::NeedsBlock(_) => "write \"{ … }\" instead of \";\"",
            BuildError::NoBlock(_) => "end it with \";\"",
            BuildError::OffBesides(_) => "write \"off\" alone, or leave it out",
            BuildError::CheckUri(_) => "write a path that begins with \"/\", without spaces",
            BuildError::NoTime(_) => "write a time above zero, such as 500ms",
            BuildError::FieldName(_) => "field names hold letters, digits and \"-\"",
            BuildError::DuplicateListen(_) => "remove one of them",
            BuildError::AddressInUse(_) => {
                "a server of \"stream {}\" needs an address of its own: listen on another port"
            }
            BuildError::ControlInUse(_) => {
                "commands need a socket of their own: name another path, or write \"control off\""
            }
            BuildError::DuplicateDefault(_) => "keep \"default_server\" in one server only",
            BuildError::DuplicateListenOptions(_) => "give an address's options in one server only",
            BuildError::ListenOverlap(..) => "listen on one of both only",
            BuildError::LogConflict(_) => {
                "give \"buffer=\" and \"flush=\" alike wherever it is used"
            }
            BuildError::UnknownFormat(_) => {
                "define it with \"log_format\" in the same \"http {}\" or \"stream {}\""
            }
            BuildError::HostNotFound { .. } => {
                "names are resolved when the file is loaded; check the name or write an IP address"
            }
            BuildError::NoServers(_) => "add a \"server\"",
            BuildError::OnlyBackups(_) => "remove \"backup\" from one server at least",
            BuildError::TooManyServers(_) => {
                "each address that a name resolves to counts as a server"
            }
            BuildError::UpstreamElsewhere { layer: Layer::Http, .. } => {
                "define it in \"stream {}\" as well: the two share no servers"
            }
            BuildError::UpstreamElsewhere { layer: Layer::Stream, .. } => {
                "define it in \"http {}\" as well: the two share no servers"
            }
            BuildError::UpstreamPort(_) => {
                "remove the port: the \"server\" lines of the upstream have theirs"
            }
            BuildError::ProxyUrl(_) => {
                "write \"http://HOST:PORT\", \"http://GROUP\" or \"http://unix:PATH:\""
            }
            BuildError::PassAddress(_) => "write \"HOST:PORT\", \"GROUP\" or \"unix:PATH\"",
            BuildError::NoPort(_) => "add \":PORT\": there is no default port in \"stream {}\"",
            BuildError::NoPass => "add \"proxy_pass GROUP;\"",
            BuildError::NoListen => "add \"listen PORT;\"",
            BuildError::StreamDefault => "remove it: each address there has one server only",
            BuildError::TunnelNowhere => "give the server a \"location / { proxy_pass …; }\"",
            BuildError::Network(_) => "write \"ADDRESS\", \"ADDRESS/BITS\" or \"unix:\"",
            BuildError::FormatMissing => "write \"access_log PATH FORMAT\"",
            BuildError::OutsideParent { .. } => {
                "begin it with the outer one's prefix, or move it out"
            }
            BuildError::InsideExact(_) => "move it out",
            BuildError::ServerName(_) => "\"*\" may only be the first or the last label",
            BuildError::ReturnUrl(_) => "write \"return CODE [TEXT]\" or \"return URL\"",
            BuildError::TryFiles => {
                "give the location a \"proxy_pass\"; a site that only serves files, such as the \
                 distribution's sites-enabled/default, has to go"
            }
            BuildError::ErrorPageUri(_) => "write \"/PATH\" or \"http://…\"",
            BuildError::Tls(fault) => return fault.help().map(str::to_owned),
            BuildError::Unsupported { .. }
            | BuildError::NotInStream { .. }
            | BuildError::Arguments { .. }
            | BuildError::Range { .. }
            | BuildError::DuplicateUpstream(_)
            | BuildError::DuplicateLocation(_)
            | BuildError::DuplicateFormat(_)
            | BuildError::Status(_) => return None,
        };
        Some(help.into())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::UnknownDirective(name) => write!(f, "unknown directive \"{name}\""),
            BuildError::Misplaced { name, .. } => write!(f, "\"{name}\" is not allowed here"),
            BuildError::Unsupported { what, reason } => {
                write!(f, "\"{what}\" is not supported by switchover: {reason}")
            }
            BuildError::NotInStream { name, reason } => {
                write!(f, "\"{name}\" is not supported in \"stream {{}}\" by switchover: {reason}")
            }
            BuildError::Duplicate(name) => write!(f, "\"{name}\" is given twice"),
            BuildError::Arguments { name, least, most } => {
                write!(f, "\"{name}\" takes {}", arguments(*least, *most))
            }
            BuildError::NeedsBlock(name) => write!(f, "\"{name}\" must have a block"),
            BuildError::NoBlock(name) => write!(f, "\"{name}\" has no block"),
            BuildError::Choice { found, .. } => write!(f, "\"{found}\" is not possible here"),
            BuildError::Range { name, least, most } => {
                write!(f, "\"{name}\" must be between {least} and {most}")
            }
            BuildError::UnknownParameter(text) => write!(f, "unknown parameter \"{text}\""),
            BuildError::OffBesides(name) => {
                write!(f, "\"{name} off\" takes no other parameters")
            }
            BuildError::CheckUri(uri) => write!(f, "\"{uri}\" cannot be asked for"),
            BuildError::NoTime(name) => write!(f, "\"{name}\" must not be zero"),
            BuildError::FieldName(name) => write!(f, "\"{name}\" cannot be a field's name"),
            BuildError::DuplicateUpstream(name) => {
                write!(f, "upstream \"{name}\" is defined twice")
            }
            BuildError::DuplicateLocation(path) => {
                write!(f, "location \"{path}\" is defined twice in this server")
            }
            BuildError::DuplicateListen(at) => write!(f, "this server listens on {at} twice"),
            BuildError::AddressInUse(at) | BuildError::ControlInUse(at) => {
                write!(f, "{at} has a server already")
            }
            BuildError::DuplicateDefault(at) => write!(f, "{at} has a default server already"),
            BuildError::DuplicateListenOptions(at) => {
                write!(f, "the options of {at} are given already in another server")
            }
            BuildError::ListenOverlap(at, wide) => write!(f, "{at} is covered by {wide} already"),
            BuildError::DuplicateFormat(name) => {
                write!(f, "log format \"{name}\" is defined twice")
            }
            BuildError::LogConflict(path) => {
                write!(f, "access log \"{path}\" is used elsewhere with other parameters")
            }
            BuildError::UnknownFormat(name) => write!(f, "unknown log format \"{name}\""),
            BuildError::HostNotFound { what, name } => {
                write!(f, "host not found in {what} \"{name}\"")
            }
            BuildError::NoServers(name) => write!(f, "upstream \"{name}\" has no servers"),
            BuildError::OnlyBackups(name) => {
                write!(f, "upstream \"{name}\" has backup servers only")
            }
            BuildError::TooManyServers(name) => {
                let most = crate::config::model::GROUP_LIMIT;
                write!(f, "upstream \"{name}\" has more than {most} servers")
            }
            BuildError::UpstreamElsewhere { name, layer: Layer::Http } => {
                write!(f, "upstream \"{name}\" is defined in \"http {{}}\", not in \"stream {{}}\"")
            }
            BuildError::UpstreamElsewhere { name, layer: Layer::Stream } => {
                write!(f, "upstream \"{name}\" is defined in \"stream {{}}\", not in \"http {{}}\"")
            }
            BuildError::UpstreamPort(name) => {
                write!(f, "\"{name}\" is an upstream and cannot have a port here")
            }
            BuildError::ProxyUrl(url) => write!(f, "\"{url}\" is no URL to pass requests to"),
            BuildError::PassAddress(text) => write!(f, "\"{text}\" is nothing to connect to"),
            BuildError::NoPort(text) => write!(f, "\"{text}\" has no port"),
            BuildError::NoPass => f.write_str("this server has no \"proxy_pass\""),
            BuildError::NoListen => f.write_str("this server has no \"listen\""),
            BuildError::StreamDefault => {
                f.write_str("\"default_server\" has no meaning in \"stream {}\"")
            }
            BuildError::TunnelNowhere => {
                f.write_str("\"h2c_tunnel\" needs a server to carry connections to")
            }
            BuildError::Network(text) => write!(f, "\"{text}\" is not a network"),
            BuildError::FormatMissing => {
                f.write_str("this log needs a format: \"stream {}\" has no default one")
            }
            BuildError::OutsideParent { inner, outer } => {
                write!(f, "location \"{inner}\" is outside of location \"{outer}\"")
            }
            BuildError::InsideExact(path) => {
                write!(f, "no location can be inside the exact location \"{path}\"")
            }
            BuildError::ServerName(name) => write!(f, "\"{name}\" is not a server name"),
            BuildError::Status(text) => write!(f, "\"{text}\" is not a possible status here"),
            BuildError::ReturnUrl(text) => write!(f, "\"{text}\" is neither a status nor a URL"),
            BuildError::TryFiles => {
                f.write_str("\"try_files\" is not supported by switchover: files are not served")
            }
            BuildError::ErrorPageUri(uri) => write!(f, "\"{uri}\" is neither a path nor a URL"),
            BuildError::Tls(fault) => fault.fmt(f),
        }
    }
}

/// `one argument`, `1 to 2 arguments` …
fn arguments(least: usize, most: usize) -> String {
    match (least, most) {
        (0, 0) => "no arguments".into(),
        (1, 1) => "one argument".into(),
        (least, most) if least == most => format!("{least} arguments"),
        (1, usize::MAX) => "at least one argument".into(),
        (least, usize::MAX) => format!("at least {least} arguments"),
        (least, most) => format!("{least} to {most} arguments"),
    }
}
