//! How a location asks servers: `proxy_pass` and what goes with it.

use std::net::SocketAddr;
use std::time::Duration;

use super::GroupId;
use crate::config::template::Template;

/// `proxy_pass` and everything `proxy_*`.
#[derive(Debug)]
pub struct ProxyPass {
    /// Whom to ask.
    pub group: GroupId,
    /// `$proxy_host`: the URL's authority, without the default port.
    pub host: Box<str>,
    /// `$proxy_port`.
    pub port: Box<str>,
    /// The URL's URI part: replaces the location's prefix. None: the client's target is kept.
    pub uri: Option<Box<[u8]>>,
    /// `proxy_http_version`.
    pub version: ProxyVersion,
    /// `proxy_set_header`, and `Host $proxy_host` unless one of them sets `Host`.
    /// An empty value removes the field.
    pub set_headers: Vec<SetHeader>,
    /// `proxy_hide_header` less `proxy_pass_header`: lowercase names removed from answers.
    /// (nginx hides `Date`, `Server`, `X-Pad` and `X-Accel-…` by default; here only `X-Accel-…` and `X-Pad`.)
    pub hide_headers: Vec<Box<[u8]>>,
    /// `proxy_redirect`: the first prefix that fits is replaced. Empty: off.
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
    /// `proxy_replay_buffer_size` (ours): body bytes kept so that a request can move, in bytes.
    pub replay_limit: usize,
    /// `proxy_ignore_client_abort`.
    pub ignore_client_abort: bool,
    /// `proxy_bind`: the local address to connect from; its port is 0 where none was given.
    pub bind: Option<SocketAddr>,
    /// `proxy_socket_keepalive`.
    pub socket_keepalive: bool,
    /// `proxy_intercept_errors`.
    pub intercept_errors: bool,
}

/// `proxy_http_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// `1.0`: one request a connection.
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
    /// The prefix looked for.
    pub from: Template,
    /// What it becomes.
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
    /// `http_500`, `http_403` …: listed statuses.
    pub statuses: NextStatuses,
    /// `non_idempotent`: POST and its like may be repeated too.
    pub non_idempotent: bool,
    /// `proxy_next_upstream_tries`; 0: no cap.
    pub tries: u32,
    /// `proxy_next_upstream_timeout`, looked at between attempts; none: no limit.
    pub timeout_after: Option<Duration>,
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
