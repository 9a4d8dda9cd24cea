//! What follows when something happens to an exchange.
//!
//! A pure function: a state and an event in, a reaction out. Two rules live only here: nothing is
//! repeated once a response has begun, and a dead pooled connection costs no try.

use crate::http::refusal::Refusal;
use crate::upstream::retry::Failure;

/// An event of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEvent {
    /// The server failed, or could not be reached.
    Failed(Failure),
    /// The request cannot be served any longer.
    Refused(Refusal),
    /// The last byte of the response has been read.
    Done,
    /// The client left.
    ClientGone,
    /// The client took no bytes for too long.
    ClientStalled,
    /// A server may take the request that waits for one.
    Woken,
    /// The request has waited for a server as long as it may.
    WaitedTooLong,
}

/// The state of an exchange when an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeState {
    /// The connection to the server.
    pub link: LinkState,
    /// The request.
    pub upload: UploadState,
    /// The response.
    pub download: DownloadState,
}

/// The connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is none.
    None,
    /// The request waits until a server is ready.
    Held,
    /// It is being made.
    Connecting,
    /// It is open, and was made for this request.
    Made,
    /// It is open, and was idle in the pool before.
    FromPool,
}

/// How much of the request the current server has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// No byte.
    Unsent,
    /// Bytes that may be sent again.
    Repeatable,
    /// Bytes that may not be sent again.
    Spent,
}

/// How much of the response the server has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadState {
    /// No byte.
    Untouched,
    /// Bytes, but no final head that was accepted.
    Awaited,
    /// A final head; the body is being passed on.
    Body,
    /// The response is complete or cut, or the proxy answers itself.
    Ended,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// Ask the same server again, on a new connection. It may have closed the pooled one just as it
    /// was taken, which is not its fault and does not count as a try.
    Resend,
    /// Blame the server, and ask another one if the rules allow it.
    Retry(Failure),
    /// Answer with the failure of a pooled connection, without blaming the server.
    GiveUp(Failure),
    /// Answer with this refusal.
    Refuse(Refusal),
    /// End the response here, and show the client that it is incomplete.
    Cut,
    /// Complete the response.
    Complete,
    /// End the exchange, unless the server is to finish anyway.
    Leave,
    /// End the exchange: the client stalled.
    Stall,
    /// Look for a server again.
    Look,
    /// Wait no longer: answer.
    EndWait,
}

/// What follows from `event`. The tests hold the table of all cases.
pub fn decide(state: ExchangeState, event: ExchangeEvent) -> Reaction {
    use DownloadState::{Awaited, Body, Ended, Untouched};
    let lost = matches!(event, ExchangeEvent::Failed(Failure::Reset | Failure::Closed));
    match (event, state.download, state.link) {
        (ExchangeEvent::ClientGone, ..) => Reaction::Leave,
        (ExchangeEvent::ClientStalled, ..) => Reaction::Stall,
        (ExchangeEvent::Woken, Untouched | Awaited, LinkState::Held) => Reaction::Look,
        (ExchangeEvent::WaitedTooLong, Untouched | Awaited, LinkState::Held) => Reaction::EndWait,
        (ExchangeEvent::Woken | ExchangeEvent::WaitedTooLong, ..) => Reaction::Ignore,
        (ExchangeEvent::Done, Body, _) => Reaction::Complete,
        (ExchangeEvent::Done, Untouched | Awaited | Ended, _) => Reaction::Ignore,
        // Nothing is repeated once a response has begun.
        (ExchangeEvent::Failed(_) | ExchangeEvent::Refused(_), Body | Ended, _) => Reaction::Cut,
        (ExchangeEvent::Refused(refusal), Untouched | Awaited, _) => Reaction::Refuse(refusal),
        (ExchangeEvent::Failed(_), Untouched | Awaited, LinkState::None | LinkState::Held) => {
            Reaction::Ignore
        }
        (ExchangeEvent::Failed(failure), Untouched, LinkState::FromPool) if lost => {
            match state.upload {
                UploadState::Unsent | UploadState::Repeatable => Reaction::Resend,
                UploadState::Spent => Reaction::GiveUp(failure),
            }
        }
        (ExchangeEvent::Failed(failure), Untouched | Awaited, _) => Reaction::Retry(failure),
    }
}

/// The answer when no server is left to try after a failure.
pub fn refusal_of(failure: Failure) -> Refusal {
    match failure {
        Failure::Refused
        | Failure::Unreachable
        | Failure::Handshake(_)
        | Failure::NoLocalAddress => Refusal::Unreachable,
        Failure::ConnectTimedOut | Failure::MarkedDown => Refusal::ConnectTimedOut,
        Failure::Reset | Failure::Closed => Refusal::ClosedEarly,
        Failure::SendTimedOut => Refusal::SendTimedOut,
        Failure::ReadTimedOut => Refusal::ReadTimedOut,
        Failure::BadResponse => Refusal::BadResponse,
        Failure::Status(status) | Failure::Turned(status) => Refusal::ServerFailed(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [LinkState; 5] = [
        LinkState::None,
        LinkState::Connecting,
        LinkState::Made,
        LinkState::Held,
        LinkState::FromPool,
    ];
    const UPLOADS: [UploadState; 3] =
        [UploadState::Unsent, UploadState::Repeatable, UploadState::Spent];
    const DOWNLOADS: [DownloadState; 4] = [
        DownloadState::Untouched,
        DownloadState::Awaited,
        DownloadState::Body,
        DownloadState::Ended,
    ];
    const REFUSAL: Refusal = Refusal::BodyTooLarge;
    const EVENTS: [ExchangeEvent; 14] = [
        ExchangeEvent::Done,
        ExchangeEvent::ClientGone,
        ExchangeEvent::ClientStalled,
        ExchangeEvent::Refused(REFUSAL),
        ExchangeEvent::Failed(Failure::Refused),
        ExchangeEvent::Failed(Failure::ConnectTimedOut),
        ExchangeEvent::Failed(Failure::MarkedDown),
        ExchangeEvent::Failed(Failure::Reset),
        ExchangeEvent::Failed(Failure::Closed),
        ExchangeEvent::Failed(Failure::SendTimedOut),
        ExchangeEvent::Failed(Failure::ReadTimedOut),
        ExchangeEvent::Failed(Failure::BadResponse),
        ExchangeEvent::Woken,
        ExchangeEvent::WaitedTooLong,
    ];

    /// One letter per case. Each line is a link with the four downloads; each column is an event.
    /// `-` ignore, `s` send again, `r` retry, `g` give up, `a` answer, `x` cut, `c` complete, `l`
    /// leave, `t` stall, `w` look again, `e` end the wait.
    fn table(upload: UploadState) -> String {
        let mut table = String::new();
        for link in LINKS {
            for download in DOWNLOADS {
                let state = ExchangeState { link, upload, download };
                table.extend(EVENTS.map(|event| letter(event, decide(state, event))));
                table.push(' ');
            }
            table.push('\n');
        }
        table
    }

    fn letter(event: ExchangeEvent, act: Reaction) -> char {
        match act {
            Reaction::Ignore => '-',
            Reaction::Resend => 's',
            Reaction::Retry(failure) if event == ExchangeEvent::Failed(failure) => 'r',
            Reaction::GiveUp(failure) if event == ExchangeEvent::Failed(failure) => 'g',
            Reaction::Refuse(refusal) if refusal == REFUSAL => 'a',
            Reaction::Retry(_) | Reaction::GiveUp(_) | Reaction::Refuse(_) => '?',
            Reaction::Cut => 'x',
            Reaction::Complete => 'c',
            Reaction::Leave => 'l',
            Reaction::Stall => 't',
            Reaction::Look => 'w',
            Reaction::EndWait => 'e',
        }
    }

    #[test]
    fn every_event_in_every_state() {
        let common = "\
-lta---------- -lta---------- cltxxxxxxxxx-- -ltxxxxxxxxx-- \n\
-ltarrrrrrrr-- -ltarrrrrrrr-- cltxxxxxxxxx-- -ltxxxxxxxxx-- \n\
-ltarrrrrrrr-- -ltarrrrrrrr-- cltxxxxxxxxx-- -ltxxxxxxxxx-- \n\
-lta--------we -lta--------we cltxxxxxxxxx-- -ltxxxxxxxxx-- \n";
        for (upload, from_pool) in UPLOADS.into_iter().zip([
            "-ltarrrssrrr-- -ltarrrrrrrr-- cltxxxxxxxxx-- -ltxxxxxxxxx-- \n",
            "-ltarrrssrrr-- -ltarrrrrrrr-- cltxxxxxxxxx-- -ltxxxxxxxxx-- \n",
            "-ltarrrggrrr-- -ltarrrrrrrr-- cltxxxxxxxxx-- -ltxxxxxxxxx-- \n",
        ]) {
            assert_eq!(table(upload), format!("{common}{from_pool}"), "{upload:?}");
        }
    }
}
