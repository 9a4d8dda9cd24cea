//! What a configuration means: plain data, with every default and inheritance already applied.
//!
//! Nothing here knows its place in a file or changes once built. Indices (`GroupId`, `LogId` …)
//! point into the vectors of the same [`Config`].

mod asks;
mod ids;
pub(super) mod layer;
mod logs;
mod proxy;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use super::template::Template;
use crate::address::Address;

pub use ids::{FormatId, GroupId, LogId, StreamServerId, VirtualServerId};
pub use layer::Layer;
pub use logs::{AccessLog, ErrorLog, Escape, LogFormat, LogSink, LogTo};
pub use proxy::{NextStatuses, NextUpstream, ProxyPass, ProxyVersion, Redirect, SetHeader};
pub use stream::{
    Follows, HalfClose, ProxyProtocol, RealIp, RealIpSource, StreamPass, StreamServer, Trusted,
};

/// The result of one load.
#[derive(Debug)]
pub struct Config {
    /// How the process runs.
    pub process: Process,
    /// Sockets to listen on, one per address, in file order.
    pub listens: Vec<Listen>,
    /// The `server {}` blocks of `http {}`, in file order.
    pub virtual_servers: Vec<VirtualServer>,
    /// The `server {}` blocks of `stream {}`, in file order.
    pub stream_servers: Vec<StreamServer>,
    /// The groups of `http {}`, then those of `stream {}`: for each, the `upstream {}` blocks, then
    /// one group per address that a `proxy_pass` names directly.
    pub groups: Vec<Group>,
    /// Files of access logs, one per path.
    pub access_logs: Vec<AccessLog>,
    /// Formats of access logs.
    pub log_formats: Vec<LogFormat>,
}

/// The main context and `events {}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// `pid`: where the process id is written.
    pub pid: PidFile,
    /// `error_log`, all of them: each takes the lines its level lets pass. Never empty.
    pub error_logs: Vec<ErrorLog>,
    /// `daemon`: detach from the terminal once all listeners are bound.
    pub daemon: bool,
    /// `user`: the user to become once all listeners are bound, if started as root.
    pub user: Option<User>,
    /// `worker_rlimit_nofile`: the limit on open descriptors to request.
    pub rlimit_nofile: Option<u64>,
    /// `worker_shutdown_timeout`: the most time a graceful stop may take.
    pub shutdown_timeout: Option<Duration>,
    /// `worker_connections`: sockets open at a time, including those to servers.
    pub worker_connections: usize,
    /// `splice` (ours): bulk bytes pass through kernel pipes, if the system has them.
    pub splice: bool,
    /// `worker_buffer_memory` (ours): bytes that all buffered heads and bodies may take together
    /// before large ones are refused and no more clients are accepted.
    pub buffer_memory: usize,
}

/// Where the process id is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PidFile {
    /// Not configured; failing to write it is only a warning.
    Default(PathBuf),
    /// `pid PATH`: failing to write it is an error.
    At(PathBuf),
    /// `pid off`.
    Off,
}

/// `user NAME [GROUP]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The group's name; `None` for the user's own group.
    pub group: Option<String>,
}

/// One socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address. Port 0 lets the kernel choose one.
    pub address: Address,
    /// Connections the kernel may queue before they are accepted.
    pub backlog: u32,
    /// `SO_RCVBUF`, in bytes.
    pub receive_buffer: Option<usize>,
    /// `SO_SNDBUF`, in bytes.
    pub send_buffer: Option<usize>,
    /// `so_keepalive`.
    pub keepalive: Option<TcpKeepalive>,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`, for IPv6 addresses; nginx's default is on.
    pub ipv6_only: bool,
    /// `proxy_protocol`: every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The servers behind this socket.
    pub serves: Serves,
}

/// The servers that handle a listening socket's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Servers of `http {}`.
    Http {
        /// All servers that listen here, in file order. Never empty.
        servers: Vec<VirtualServerId>,
        /// Serves requests whose host matches no other server: `default_server`, else the first.
        default: VirtualServerId,
    },
    /// A server of `stream {}`.
    Stream(StreamServerId),
}

/// `so_keepalive=on|off|[IDLE]:[INTERVAL]:[COUNT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpKeepalive {
    /// `off`.
    Off,
    /// `on`, or explicit values; `None` leaves the system's value.
    On {
        /// Silence before the first probe.
        idle: Option<Duration>,
        /// Time between probes.
        interval: Option<Duration>,
        /// Unanswered probes before the connection is dead.
        count: Option<u32>,
    },
}

/// One `server {}` block.
#[derive(Debug)]
pub struct VirtualServer {
    /// `server_name`, all of them; the first is `$server_name`.
    pub names: Vec<ServerName>,
    /// Settings that apply before a location is chosen.
    pub limits: HeadLimits,
    /// `h2c_tunnel` (ours): where connections that begin with HTTP/2's preface go; `None` if they
    /// are refused. The group is that of the location `/`.
    pub h2c: Option<StreamPass>,
    /// `return` in the block itself: answers every request.
    pub answer: Option<Return>,
    /// Settings outside all locations, and for requests too malformed to have one.
    pub outside: LocationSettings,
    /// All locations, nested ones too. A nested prefix begins with its parent's, so the longest
    /// match is the right one. No two have the same matcher.
    pub locations: Vec<Location>,
}

/// One word of `server_name`; names are lowercase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// `example.org`; empty for requests without a host.
    Exact(Box<str>),
    /// `*.example.org`: holds `.example.org`; the host must be longer.
    Suffix(Box<str>),
    /// `.example.org`: the name itself and everything below it; holds `.example.org`.
    Dotted(Box<str>),
    /// `www.example.*`: holds `www.example.`.
    Prefix(Box<str>),
}

impl ServerName {
    /// The name as `$server_name` shows it, if it is the server's first.
    pub fn written(&self) -> String {
        match self {
            ServerName::Exact(name) => name.to_string(),
            ServerName::Dotted(name) => name.trim_start_matches('.').to_owned(),
            ServerName::Suffix(name) => format!("*{name}"),
            ServerName::Prefix(name) => format!("{name}*"),
        }
    }
}

/// Settings of a virtual server that act before a location is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// `client_header_timeout`: for the whole head, starting at its first byte.
    pub header_timeout: Duration,
    /// `client_header_buffer_size`, in bytes.
    pub header_buffer: usize,
    /// `large_client_header_buffers`: their number.
    pub large_buffers: usize,
    /// `large_client_header_buffers`: the size of each, in bytes; also the limit of a line.
    pub large_buffer_size: usize,
    /// `underscores_in_headers`.
    pub underscores: bool,
    /// `merge_slashes`: applies only to choosing a location.
    pub merge_slashes: bool,
}

/// One `location {}` block.
#[derive(Debug)]
pub struct Location {
    /// The requests it serves.
    pub matcher: Matcher,
    /// How it answers them.
    pub action: Action,
    /// Its other settings.
    pub settings: LocationSettings,
}

/// Which decoded paths a location serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// `location = PATH`.
    Exact(Box<[u8]>),
    /// `location PREFIX` and `location ^~ PREFIX`, which are equal without regular expressions.
    Prefix(Box<[u8]>),
}

/// How a location answers.
#[derive(Debug)]
pub enum Action {
    /// `proxy_pass`.
    Proxy(Box<ProxyPass>),
    /// `return`.
    Return(Return),
    /// Neither: 404.
    NotFound,
}

/// `return CODE [TEXT|URL]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The status; 444 closes without an answer.
    pub status: u16,
    /// The body, or for 301, 302, 303, 307 and 308 the URL to redirect to; `None` for the status's
    /// own page.
    pub text: Option<Template>,
}

/// Settings that a location has or inherits, whatever its action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationSettings {
    /// `client_max_body_size`, in bytes; `None` for no limit.
    pub max_body: Option<u64>,
    /// `client_body_timeout`: between two reads of the body.
    pub body_timeout: Duration,
    /// `send_timeout`: between two writes to the client.
    pub send_timeout: Duration,
    /// `keepalive_timeout`: how long a client may idle between requests; `None` if connections are
    /// not reused.
    pub keepalive_timeout: Option<Duration>,
    /// The second value of `keepalive_timeout`: sent to the client in `Keep-Alive: timeout=`.
    pub keepalive_header: Option<Duration>,
    /// `keepalive_requests`: requests one connection may make.
    pub keepalive_requests: u64,
    /// `keepalive_time`: how long one connection may be reused.
    pub keepalive_time: Duration,
    /// `lingering_close`.
    pub lingering_close: Lingering,
    /// `lingering_time`: the limit for the whole lingering close.
    pub lingering_time: Duration,
    /// `lingering_timeout`: between two reads.
    pub lingering_timeout: Duration,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `set_real_ip_from` and its companions.
    pub real_ip: RealIp,
    /// `add_header`.
    pub add_headers: Vec<AddHeader>,
    /// `error_page`.
    pub error_pages: Vec<ErrorPage>,
    /// `access_log`: none, or several.
    pub access_logs: Vec<LogTo>,
}

/// `lingering_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lingering {
    /// Close at once.
    Off,
    /// Keep reading for a while if the client may still be sending.
    On,
    /// Always keep reading.
    Always,
}

/// `add_header NAME VALUE [always]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddHeader {
    /// The field's name, as written.
    pub name: Box<[u8]>,
    /// Its value; the field is omitted if it is empty.
    pub value: Template,
    /// Applies to every status, not only 200, 201, 204, 206, 301, 302, 303, 304, 307 and 308.
    pub always: bool,
}

/// `error_page CODE … [=[CODE]] URI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The statuses it replaces, 300 to 599.
    pub statuses: Vec<u16>,
    /// The status sent to the client.
    pub tells: ErrorPageStatus,
    /// A path of the same server, or a URL to redirect to.
    pub uri: Template,
}

/// The status that an `error_page` answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorPageStatus {
    /// `error_page 404 /x`: the original one.
    Original,
    /// `error_page 404 = /x`: the status that `/x` returns.
    OfPage,
    /// `error_page 404 =200 /x`.
    Fixed(u16),
}

/// One `upstream {}` block, or an address that `proxy_pass` names directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The block's name, or the authority as written.
    pub name: Box<str>,
    /// Whether it takes requests or connections: names are unique only within a layer.
    pub layer: Layer,
    /// Its servers, one per address, in file order. Never empty, at most [`GROUP_LIMIT`].
    pub servers: Vec<Server>,
    /// `keepalive`: idle connections kept; 0 for none.
    pub keepalive: usize,
    /// `keepalive_requests`: requests one connection may carry.
    pub keepalive_requests: u64,
    /// `keepalive_time`: how long one connection may be reused.
    pub keepalive_time: Duration,
    /// `keepalive_timeout`: how long a connection may idle.
    pub keepalive_timeout: Duration,
    /// Timeout of a background connection to a server: the longest `proxy_connect_timeout` of the
    /// locations that use this group.
    pub check_timeout: Duration,
}

/// Servers a group may have: a request records the servers it tried as bits of one word.
pub const GROUP_LIMIT: usize = 64;

/// One address of a `server` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The name in the file, for log lines.
    pub name: Box<str>,
    /// Its address.
    pub address: Address,
    /// `weight`.
    pub weight: u32,
    /// `max_fails`; 0: failures are not counted.
    pub max_fails: u32,
    /// `fail_timeout`.
    pub fail_timeout: Duration,
    /// `backup`.
    pub backup: bool,
    /// `down`: never used.
    pub down: bool,
    /// `max_conns`; 0: no limit.
    pub max_connections: u32,
}
