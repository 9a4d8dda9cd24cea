//! How a location passes requests to servers: `proxy_pass` and its companions.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::model::ids::GroupId;
use crate::config::model::template::Template;

/// `proxy_pass` and all `proxy_*` settings.
#[derive(Debug)]
pub struct ProxyPass {
    /// The group to ask.
    pub group: GroupId,
    /// `$proxy_host`: the URL's authority, without the default port.
    pub host: Box<str>,
    /// `$proxy_port`.
    pub port: Box<str>,
    /// The URL's URI part, which replaces the location's prefix; `None` to keep the client's
    /// target.
    pub uri: Option<Box<[u8]>>,
    /// `proxy_http_version`.
    pub version: ProxyVersion,
    /// `proxy_set_header`, and `Host $proxy_host` unless one of them sets `Host`.
    /// An empty value removes the field.
    pub set_headers: Vec<SetHeader>,
    /// `proxy_hide_header` less `proxy_pass_header`: lowercase names removed from responses. (The
    /// default hides `X-Pad` and `X-Accel-…`, but unlike nginx's not `Date`, `Server` and
    /// `X-Accel-Redirect`.)
    pub hide_headers: Vec<Box<[u8]>>,
    /// `proxy_redirect`: the first matching prefix is replaced. Empty if off.
    pub redirects: Vec<Redirect>,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy_send_timeout`: between two writes.
    pub send_timeout: Duration,
    /// `proxy_read_timeout`: between two reads, once the request is sent.
    pub read_timeout: Duration,
    /// `proxy_next_upstream`.
    pub next: NextUpstream,
    /// `proxy_buffer_size`: the longest response head, in bytes.
    pub head_limit: usize,
    /// `proxy_replay_buffer_size` (ours): body bytes kept so that a request can move to another
    /// server.
    pub replay_limit: usize,
    /// `proxy_ignore_client_abort`.
    pub ignore_client_abort: bool,
    /// `proxy_bind`: the local address to connect from; its port is 0 if none is given.
    pub bind: Option<SocketAddr>,
    /// `proxy_socket_keepalive`.
    pub socket_keepalive: bool,
    /// `proxy_intercept_errors`.
    pub intercept_errors: bool,
}

/// `proxy_http_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// `1.0`: one request per connection.
    Http10,
    /// `1.1`.
    Http11,
}

/// `proxy_set_header NAME VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHeader {
    /// The field's name, as written.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Template,
}

/// One pair of `proxy_redirect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The prefix to match.
    pub from: Template,
    /// Its replacement.
    pub to: Template,
}

/// `proxy_next_upstream`, `_tries` and `_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextUpstream {
    /// `error`: refused, reset or closed before the response head.
    pub error: bool,
    /// `timeout`.
    pub timeout: bool,
    /// `invalid_header`: a malformed response head.
    pub invalid_header: bool,
    /// `http_500`, `http_403` …: the listed statuses.
    pub statuses: NextStatuses,
    /// `non_idempotent`: POST and other non-idempotent methods may be repeated too.
    pub non_idempotent: bool,
    /// `proxy_next_upstream_tries`; 0 for no limit.
    pub tries: u32,
    /// `proxy_next_upstream_timeout`, checked between attempts; `None` for no limit.
    pub timeout_after: Option<Duration>,
}

impl NextUpstream {
    /// `proxy_next_upstream off`.
    pub const NEVER: NextUpstream = NextUpstream {
        error: false,
        timeout: false,
        invalid_header: false,
        statuses: NextStatuses {
            s500: false,
            s502: false,
            s503: false,
            s504: false,
            s403: false,
            s404: false,
            s429: false,
        },
        non_idempotent: false,
        tries: 0,
        timeout_after: None,
    };
}

/// The statuses that `proxy_next_upstream` can list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextStatuses {
    /// `http_500`.
    pub s500: bool,
    /// `http_502`.
    pub s502: bool,
    /// `http_503`.
    pub s503: bool,
    /// `http_504`.
    pub s504: bool,
    /// `http_403`.
    pub s403: bool,
    /// `http_404`.
    pub s404: bool,
    /// `http_429`.
    pub s429: bool,
}

impl NextStatuses {
    /// Whether `status` is listed.
    pub fn lists(&self, status: u16) -> bool {
        match status {
            500 => self.s500,
            502 => self.s502,
            503 => self.s503,
            504 => self.s504,
            403 => self.s403,
            404 => self.s404,
            429 => self.s429,
            0..=u16::MAX => false,
        }
    }
}
