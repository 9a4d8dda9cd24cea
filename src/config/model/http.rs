//! Virtual servers and their locations.

use std::fmt;
use std::time::Duration;

use super::logs::LogTo;
use super::proxy::ProxyPass;
use super::stream::{RealIp, StreamPass};
use super::template::Template;
use crate::tls::ServerTerms;

/// One `server {}` block.
#[derive(Debug)]
pub struct VirtualServer {
    /// `server_name`, all of them; the first is `$server_name`.
    pub names: Vec<ServerName>,
    /// Settings that apply before a location is chosen.
    pub limits: HeadLimits,
    /// `h2c_tunnel` (ours): where connections that begin with HTTP/2's preface go; `None` if they
    /// are refused.
    pub h2c: Option<H2cTunnel>,
    /// `ssl_…`, if it listens with `ssl`.
    pub tls: Option<ServerTerms>,
    /// `return` in the block itself: answers every request.
    pub answer: Option<Return>,
    /// Settings outside all locations, and for requests too malformed to have one.
    pub outside: LocationSettings,
    /// All locations, nested ones too. A nested prefix begins with its parent's, so the longest
    /// match is the right one. No two have the same matcher.
    pub locations: Vec<Location>,
}

/// `h2c_tunnel`: connections are relayed unread to the group of the location `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H2cTunnel {
    /// How they are relayed.
    pub pass: StreamPass,
    /// Which groups they are relayed to.
    pub reaches: H2cReach,
}

/// Which groups an `h2c_tunnel` relays connections to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum H2cReach {
    /// `on`: any.
    Any,
    /// `auto`: those of coordinators, where no location has rules that a tunnel would pass by.
    Trinos,
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

/// A limit for a line of a request head, in bytes, that is too low in front of coordinators of Trino.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHeadLine(usize);

impl ShortHeadLine {
    /// This limit, if it is too low.
    pub fn of(limit: usize) -> Option<ShortHeadLine> {
        (limit < TRINO_HEAD_LINE).then_some(ShortHeadLine(limit))
    }
}

impl fmt::Display for ShortHeadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requests with prepared statements beyond {} bytes get 431: write \
             \"large_client_header_buffers 4 2m\" for these coordinators",
            self.0
        )
    }
}

/// The longest line of a head that Trino takes, in bytes: prepared statements are sent in heads.
const TRINO_HEAD_LINE: usize = 2 << 20;

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
    /// Carries out the operator's commands. Only the `control` socket leads here.
    Control,
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
