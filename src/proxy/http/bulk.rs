//! Long bodies: as much as the framing lets pass unread goes through a pipe.

use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::http::download::{Coding, Download, Phase};
use crate::proxy::http::step::Step;
use crate::proxy::http::upload::{Replay, Taker, Upload, count_body};
use crate::proxy::log::attempt_log::AttemptLog;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};

impl<N: Net> Download<N> {
    /// Moves bytes of the response's body into a pipe, if so many are still to come that it is
    /// worth it. `None`: they are to be copied.
    pub(in crate::proxy) fn receive_bulk(
        &mut self,
        taker: Taker,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Option<Step> {
        let Phase::Body { body, coding: Coding::AsIs, .. } = &mut self.phase else { return None };
        if self.piped.as_ref().is_some_and(|piped| piped.held() > 0) {
            return Some(Step::Idle);
        }
        let copied = !self.out.is_empty() || !self.raw.is_empty();
        let expected = body.unread();
        if copied || self.client_gone || expected < io.tuning.splice_from {
            self.drop_pipe(io);
            return None;
        }
        if self.piped.is_none() {
            self.piped = io.pipes.take(&mut io.net);
        }
        let piped = self.piped.as_mut()?;
        let moved = piped.fill(server, expected);
        if let Moved::Bytes(count) = moved {
            body.pass_unread(count as u64);
            let done = body.is_done();
            self.since = io.now;
            attempts.received(count);
            attempts.of_body(count);
            return Some(if done { Step::Done } else { Step::Moved });
        }
        self.drop_pipe(io);
        Some(match moved {
            Moved::Wait if server.is_readable() => return None,
            Moved::Wait => Step::Idle,
            Moved::End => self.server_ended(taker, server, io),
            Moved::Failed(_) | Moved::Bytes(_) => Step::Cut,
        })
    }

    /// Moves what is in the pipe to the client.
    pub(in crate::proxy) fn deliver_bulk(
        &mut self,
        client: &mut Client<N>,
        io: &mut Io<N>,
    ) -> Step {
        if self.client_gone {
            self.drop_pipe(io);
            return Step::Moved;
        }
        let Some(piped) = &mut self.piped else { return Step::Idle };
        match piped.drain(&mut client.socket) {
            Moved::Bytes(count) => {
                self.sent += count as u64;
                self.since = io.now;
                Step::Moved
            }
            Moved::Wait => Step::Idle,
            Moved::End | Moved::Failed(_) => Step::ClientGone,
        }
    }
}

impl<N: Net> Upload<N> {
    /// Moves bytes of the request's body into a pipe, if so many are still to come that it is
    /// worth it, and none has to be kept. Whether anything moved; `None`: they are to be copied.
    pub(in crate::proxy) fn take_bulk(
        &mut self,
        most: Option<u64>,
        client: &mut Client<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Result<Option<bool>, Step> {
        if self.is_piping() {
            return Ok(Some(false));
        }
        let expected = self.body.unread();
        let kept = matches!(self.replay, Replay::Whole { .. });
        let copied = !client.input.is_empty() || self.is_pending();
        if copied || kept || expected < io.tuning.splice_from {
            self.drop_pipe(io);
            return Ok(None);
        }
        if self.piped.is_none() {
            self.piped = io.pipes.take(&mut io.net);
        }
        let Some(piped) = &mut self.piped else { return Ok(None) };
        let moved = piped.fill(&mut client.socket, expected);
        if let Moved::Bytes(count) = moved {
            self.body.pass_unread(count as u64);
            self.since = io.now;
            count_body(count as u64, most, attempts)?;
            return Ok(Some(true));
        }
        self.drop_pipe(io);
        match moved {
            Moved::Wait if client.socket.is_readable() => Ok(None),
            Moved::Wait => Ok(Some(false)),
            Moved::End | Moved::Failed(_) | Moved::Bytes(_) => Err(Step::ClientGone),
        }
    }

    /// Moves what is in the pipe to the server. Whether anything moved.
    pub(in crate::proxy) fn send_bulk(
        &mut self,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> bool {
        let Some(piped) = &mut self.piped else { return false };
        match piped.drain(server) {
            Moved::Bytes(count) => {
                self.sent = true;
                self.since = io.now;
                attempts.sent(count);
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                // The server may have answered before it closed: reading tells.
                self.taker = Taker::Broken;
                self.drop_pipe(io);
                true
            }
        }
    }
}
