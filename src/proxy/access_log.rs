//! What an exchange leaves in the access logs.

use super::client::Client;
use super::context::Context;
use super::download::Phase;
use super::exchange::Exchange;
use crate::net::Net;

impl<N: Net> Exchange<N> {
    /// What passed through the tunnel, if there was one; its storage goes back.
    pub(super) fn account_for_tunnel(&mut self, context: &mut Context<N>) {
        let Phase::Tunnel(tunnel) = &mut self.download.phase else { return };
        tunnel.release(&mut context.io);
        self.download.sent += tunnel.down.delivered;
        self.account.body_received += tunnel.up.received;
        if let Some(attempt) = self.account.current() {
            attempt.sent += tunnel.up.delivered;
            attempt.received += tunnel.down.received;
            attempt.length += tunnel.down.received;
        }
    }

    /// Writes the lines.
    pub(super) fn log(&mut self, client: &Client<N>, context: &mut Context<N>) {
        if self.download.status == 0 {
            self.download.status = CLIENT_LEFT;
        }
        for to in &self.settings().access_logs {
            let place = context.servers.log_place(self.generation, to.log);
            let mut journal = std::mem::take(&mut context.journal);
            let scope = self.scope(client, context);
            journal.line(place, context.io.now, |out| {
                scope.write_line(&self.config.log_formats[to.format.0], out);
            });
            context.journal = journal;
        }
    }
}

/// The status in log lines for a client that left before there was one. nginx's number.
const CLIENT_LEFT: u16 = 499;
