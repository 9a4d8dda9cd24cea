//! What an exchange leaves in the access logs.

use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::download::Phase;
use crate::proxy::http::exchange::Exchange;

impl<N: Net> Exchange<N> {
    /// What passed through the tunnel, if there was one; its storage goes back.
    pub(in crate::proxy) fn account_for_tunnel(&mut self, context: &mut Context<N>) {
        let Phase::Tunnel(tunnel) = &mut self.download.phase else { return };
        tunnel.release(&mut context.io);
        self.download.sent += tunnel.down.delivered;
        self.attempts.body_received += tunnel.up.received;
        if let Some(attempt) = self.attempts.current() {
            attempt.sent += tunnel.up.delivered;
            attempt.received += tunnel.down.received;
            attempt.length += tunnel.down.received;
        }
    }

    /// Writes the lines.
    pub(in crate::proxy) fn log(&mut self, client: &Client<N>, context: &mut Context<N>) {
        if self.download.status == 0 {
            self.download.status = CLIENT_LEFT;
        }
        for to in &self.settings().access_logs {
            let place = context.servers.log_place(self.generation, to.log);
            let mut access_lines = std::mem::take(&mut context.access_lines);
            let scope = self.scope(client, context);
            access_lines.line(place, context.io.now, |out| {
                scope.write_line(&self.config.log_formats[to.format.0], out);
            });
            context.access_lines = access_lines;
        }
    }
}

/// The status in log lines for a client that left before there was one. nginx's number.
const CLIENT_LEFT: u16 = 499;
