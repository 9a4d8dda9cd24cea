//! What a configuration means: plain data, with every default and inheritance already applied.
//!
//! Nothing here knows its place in a file or changes once built. Indices (`GroupId`, `LogId` …)
//! point into the vectors of the same [`Config`].

mod asks;
mod group;
mod health;
mod http;
mod ids;
pub(super) mod layer;
mod listen;
mod logs;
mod process;
mod proxy;
mod stream;
pub mod template;

pub use group::{GROUP_LIMIT, Group, Server};
pub use health::{
    Announcements, Asks, CheckRules, Failback, HealthCheck, INFO, Queue, RESUBMIT, Resubmit,
    STATEMENT_MEMORY, Trino,
};
pub use http::{
    Action, AddHeader, ErrorPage, ErrorPageStatus, H2cReach, H2cTunnel, HeadLimits, Lingering,
    Location, LocationSettings, Matcher, Return, ServerName, ShortHeadLine, VirtualServer,
};
pub use ids::{FormatId, GroupId, LogId, StreamServerId, VirtualServerId};
pub use layer::Layer;
pub use listen::{Listen, Purpose, Serves, TcpKeepalive};
pub use logs::{AccessLog, ErrorLog, Escape, LogFormat, LogSink, LogTo};
pub use process::{Control, PidFile, Process, StateFile, User};
pub use proxy::{NextStatuses, NextUpstream, ProxyPass, ProxyVersion, Redirect, SetHeader};
pub use stream::{
    Follows, HalfClose, PrereadLimits, ProxyProtocol, RealIp, RealIpSource, StreamPass,
    StreamServer, Trusted,
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
