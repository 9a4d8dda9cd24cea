//! Long bodies: as much as the framing lets pass unread goes through a pipe.

use super::client::Client;
use super::context::Context;
use super::download::{Coding, Phase};
use super::exchange::{Exchange, Link};
use super::stop::{Ending, Stop};
use super::upload::{Replay, Taker};
use crate::net::Net;
use crate::transport::socket::Moved;

impl<N: Net> Exchange<N> {
    /// Moves bytes of the response's body into a pipe, if so many are still to come that it is
    /// worth it. Whether anything moved; none: they are to be copied.
    pub(super) fn receive_bulk(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<Option<bool>, Stop> {
        let download = &mut self.download;
        let Phase::Body { body, coding: Coding::AsIs, .. } = &mut download.phase else {
            return Ok(None);
        };
        if download.piped.as_ref().is_some_and(|piped| piped.held() > 0) {
            return Ok(Some(false));
        }
        let Link::Open { connection, .. } = &mut self.link else { return Ok(None) };
        let copied = !download.out.is_empty() || !download.raw.is_empty();
        let expected = body.unread();
        if copied || self.unheard || expected < context.io.tuning.splice_from {
            download.drop_pipe(&mut context.io);
            return Ok(None);
        }
        if download.piped.is_none() {
            download.piped = context.io.pipes.take(&mut context.io.net);
        }
        let Some(piped) = &mut download.piped else { return Ok(None) };
        let moved = piped.fill(&mut connection.socket, expected);
        if let Moved::Bytes(count) = moved {
            let count = count as u64;
            body.pass_unread(count);
            let done = body.is_done();
            download.since = context.io.now;
            if let Some(attempt) = self.account.current() {
                attempt.received += count;
                attempt.length += count;
            }
            if done {
                self.response_complete(context);
            }
            return Ok(Some(true));
        }
        download.drop_pipe(&mut context.io);
        match moved {
            Moved::Wait => return Ok(Some(false)),
            Moved::End => self.server_ended(client, context)?,
            Moved::Failed(_) | Moved::Bytes(_) => return Err(self.cut(context)),
        }
        Ok(Some(true))
    }

    /// Moves what is in the pipe to the client. Whether anything moved.
    pub(super) fn deliver_bulk(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        let download = &mut self.download;
        if self.unheard {
            download.drop_pipe(&mut context.io);
            return Ok(true);
        }
        let Some(piped) = &mut download.piped else { return Ok(false) };
        match piped.drain(&mut client.socket) {
            Moved::Bytes(count) => {
                download.sent += count as u64;
                download.since = context.io.now;
                Ok(true)
            }
            Moved::Wait => Ok(false),
            Moved::End | Moved::Failed(_) => self.client_left().map(|()| true),
        }
    }

    /// Moves bytes of the request's body into a pipe, if so many are still to come that it is
    /// worth it, and none has to be kept. Whether anything moved; none: they are to be copied.
    pub(super) fn take_bulk(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<Option<bool>, Stop> {
        let upload = &mut self.upload;
        if upload.is_piping() {
            return Ok(Some(false));
        }
        let expected = upload.body.unread();
        let kept = matches!(upload.replay, Replay::Whole { .. });
        let copied = !client.input.is_empty() || upload.is_pending();
        if copied || kept || expected < context.io.tuning.splice_from {
            upload.drop_pipe(&mut context.io);
            return Ok(None);
        }
        if upload.piped.is_none() {
            upload.piped = context.io.pipes.take(&mut context.io.net);
        }
        let Some(piped) = &mut upload.piped else { return Ok(None) };
        let moved = piped.fill(&mut client.socket, expected);
        if let Moved::Bytes(count) = moved {
            upload.body.pass_unread(count as u64);
            upload.since = context.io.now;
            self.count_body(count as u64, client, context)?;
            return Ok(Some(true));
        }
        upload.drop_pipe(&mut context.io);
        match moved {
            Moved::Wait => Ok(Some(false)),
            Moved::End | Moved::Failed(_) | Moved::Bytes(_) => Err(Ending::ClientLeft.into()),
        }
    }

    /// Moves what is in the pipe to the server. Whether anything moved.
    pub(super) fn send_bulk(&mut self, context: &mut Context<N>) -> bool {
        let upload = &mut self.upload;
        let Link::Open { connection, .. } = &mut self.link else { return false };
        let Some(piped) = &mut upload.piped else { return false };
        match piped.drain(&mut connection.socket) {
            Moved::Bytes(count) => {
                upload.sent = true;
                upload.since = context.io.now;
                if let Some(attempt) = self.account.current() {
                    attempt.sent += count as u64;
                }
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                // The server may have answered before it closed: reading tells.
                upload.taker = Taker::Broken;
                upload.drop_pipe(&mut context.io);
                true
            }
        }
    }
}
