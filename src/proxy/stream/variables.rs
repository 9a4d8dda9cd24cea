//! Access log lines of connections that pass unread, and the variables in them.

use std::sync::Arc;
use std::time::Duration;

use super::passthrough::{Carried, Passed, Passthrough};
use crate::address::Address;
use crate::buffer::Buffer;
use crate::config::model::template::Variable;
use crate::config::model::{Config, VirtualServerId};
use crate::http::h2_preface::LINE;
use crate::net::Net;
use crate::proxy::client::{Client, Facts};
use crate::proxy::context::Context;
use crate::proxy::http::asked::Asked;
use crate::proxy::http::errand::Errand;
use crate::proxy::http::query::Direction;
use crate::proxy::http::request::Request;
use crate::proxy::http::route::Site;
use crate::proxy::http::variables::Answered;
use crate::proxy::log::attempt_log::{AttemptLog, each, server_of};
use crate::proxy::log::format::{ip, number, seconds, show, time_iso8601, time_local, write_line};
use crate::proxy::log::of_tls::of_tls;
use crate::time::{Time, WallTime};

impl<N: Net> Passthrough<N> {
    /// Writes the access log lines of the connection.
    pub(super) fn log(&self, client: &Client<N>, context: &mut Context<N>) {
        let server = match &self.carried {
            Carried::Stream(server) => &self.config.stream_servers[server.0],
            Carried::H2c(server) => return self.log_as_request(*server, client, context),
            Carried::Upgraded(of) => {
                let (asked, download) = &**of;
                return asked.log(client, &self.attempts.log, download.answered(), context);
            }
        };
        let scope = StreamScope {
            config: &self.config,
            client: &client.facts,
            remote: self.remote.as_ref().unwrap_or(&client.facts.peer),
            attempts: &self.attempts.log,
            status: self.status,
            passed: self.passed,
            now: context.io.now,
            wall: context.io.net.wall(context.io.now),
        };
        for to in &server.access_logs {
            let format = &self.config.log_formats[to.format.0];
            context.log(self.generation, to.log, |out| {
                write_line(format, out, |variable, out| scope.value(variable, out));
            });
        }
    }

    /// Writes them for an HTTP/2 connection, as the one request that its preface looks like.
    fn log_as_request(
        &self,
        server: VirtualServerId,
        client: &Client<N>,
        context: &mut Context<N>,
    ) {
        if self.config.virtual_servers[server.0].outside.access_logs.is_empty() {
            return;
        }
        let mut head = Buffer::default();
        context.io.buffers.append(&mut head, LINE);
        let mut asked = Asked {
            config: Arc::clone(&self.config),
            generation: self.generation,
            site: Site { server, location: None },
            request: Request::unread(head),
            started: self.began,
            remote: self.remote.clone(),
            page: None,
            errand: Errand::Plain,
            direction: Direction::default(),
        };
        let answer = Answered {
            status: self.status,
            sent: self.passed.sent,
            body: self.passed.sent,
            ..Answered::default()
        };
        asked.log(client, &self.attempts.log, answer, context);
        asked.release(context);
    }
}

/// Everything that a variable may read.
struct StreamScope<'a> {
    config: &'a Config,
    client: &'a Facts,
    remote: &'a Address,
    attempts: &'a AttemptLog,
    status: u16,
    passed: Passed,
    now: Time,
    wall: WallTime,
}

impl StreamScope<'_> {
    /// Appends a variable's value; `None` if it has none.
    fn value(&self, variable: &Variable, out: &mut Vec<u8>) -> Option<()> {
        let proxied = self.client.proxied();
        match variable {
            Variable::RemoteAddr => ip(self.remote, out),
            Variable::RemotePort => number(self.remote.port()?, out),
            Variable::RealipRemoteAddr => ip(&self.client.peer, out),
            Variable::RealipRemotePort => number(self.client.peer.port()?, out),
            Variable::ProxyProtocolAddr => show(proxied?.source.ip(), out),
            Variable::ProxyProtocolPort => number(proxied?.source.port(), out),
            Variable::ProxyProtocolServerAddr => show(proxied?.destination.ip(), out),
            Variable::ProxyProtocolServerPort => number(proxied?.destination.port(), out),
            Variable::ServerAddr => ip(&self.client.local, out),
            Variable::ServerPort => number(self.client.local.port()?, out),
            Variable::Protocol => out.extend_from_slice(b"TCP"),
            Variable::Status => number(self.status, out),
            Variable::BytesReceived => number(self.passed.received, out),
            Variable::BytesSent => number(self.passed.sent, out),
            Variable::SessionTime => seconds(self.now - self.client.accepted, out),
            Variable::TimeLocal => time_local(self.wall, out),
            Variable::TimeIso8601 => time_iso8601(self.wall, out),
            Variable::Msec => seconds(Duration::from_nanos(self.wall.0), out),
            Variable::Pid => number(std::process::id(), out),
            Variable::Connection => number(self.client.number, out),
            Variable::UpstreamAddr => {
                each(self.attempts, out, Some, |of, out| server_of(self.config, of, out))?
            }
            Variable::UpstreamConnectTime => each(self.attempts, out, |of| of.connect, seconds)?,
            Variable::UpstreamFirstByteTime => each(self.attempts, out, |of| of.header, seconds)?,
            Variable::UpstreamSessionTime => each(self.attempts, out, |of| of.response, seconds)?,
            Variable::UpstreamBytesSent => each(self.attempts, out, |of| Some(of.sent), number)?,
            Variable::UpstreamBytesReceived => {
                each(self.attempts, out, |of| Some(of.received), number)?
            }
            Variable::Tls(of) => of_tls(*of, self.client.tls(), out)?,
            Variable::PrereadServerName => {
                let name = self.client.preread()?.server_name.as_deref()?;
                out.extend_from_slice(name.as_bytes());
            }
            Variable::PrereadProtocols => {
                out.extend_from_slice(&self.client.preread()?.protocols);
            }
            // Only for `http {}`: loading refuses them here.
            Variable::Host
            | Variable::Http(_)
            | Variable::ProxyHost
            | Variable::ProxyPort
            | Variable::ProxyAddXForwardedFor
            | Variable::RemoteUser
            | Variable::ServerName
            | Variable::Scheme
            | Variable::Request
            | Variable::RequestMethod
            | Variable::RequestUri
            | Variable::Uri
            | Variable::Args
            | Variable::Arg(_)
            | Variable::IsArgs
            | Variable::ServerProtocol
            | Variable::BodyBytesSent
            | Variable::RequestLength
            | Variable::RequestTime
            | Variable::RequestId
            | Variable::ConnectionRequests
            | Variable::SentHttp(_)
            | Variable::UpstreamStatus
            | Variable::UpstreamHeaderTime
            | Variable::UpstreamResponseTime
            | Variable::UpstreamResponseLength
            | Variable::UpstreamHttp(_) => return None,
        }
        Some(())
    }
}
