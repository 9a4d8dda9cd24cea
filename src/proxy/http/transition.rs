//! What follows from what happens to an exchange.
//!
//! Pure: a state and an event in, an act out. That nothing is repeated once a response has begun,
//! and what a pooled connection that turns out dead costs, is decided here and nowhere else.

use crate::http::refusal::Refusal;
use crate::upstream::retry::Failure;

/// What happens to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeEvent {
    /// The server, or the way to it, failed.
    Failed(Failure),
    /// The request cannot be served any further.
    Refused(Refusal),
    /// The last byte of the response is in hand.
    Done,
    /// The client left.
    ClientGone,
    /// The client took nothing for too long.
    ClientStalled,
}

/// How an exchange stands when something happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeState {
    /// The server's side.
    pub link: LinkState,
    /// The request's side.
    pub upload: UploadState,
    /// The response's side.
    pub download: DownloadState,
}

/// The server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// No server is asked.
    None,
    /// The connection is being made.
    Connecting,
    /// It was made for this request.
    Made,
    /// It idled in the pool before.
    FromPool,
}

/// The request's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// The server has got no byte.
    Unsent,
    /// What it has got may be sent again.
    Repeatable,
    /// It may not.
    Spent,
}

/// The response's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadState {
    /// The server has sent no byte.
    Untouched,
    /// It has, but no head of a final response is accepted.
    Awaited,
    /// The body is being passed on.
    Body,
    /// The server has nothing more to say.
    Ended,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// The same server is asked again, on a fresh connection: it may have closed the pooled one as
    /// it was taken, which is not its fault and no try.
    Resend,
    /// The server is blamed, and another one is asked if the rules allow it.
    Retry(Failure),
    /// The failure of a pooled connection becomes the answer; the server is not blamed.
    GiveUp(Failure),
    /// The proxy answers.
    Refuse(Refusal),
    /// The response ends where it is, and the client is shown that it is not whole.
    Cut,
    /// The response is whole.
    Complete,
    /// The exchange ends, unless the server is to finish all the same.
    Leave,
    /// The exchange ends.
    Stall,
}

/// What follows from `event`. The table of all cases is in the tests.
pub fn decide(state: ExchangeState, event: ExchangeEvent) -> Reaction {
    use DownloadState::{Awaited, Body, Ended, Untouched};
    let lost = matches!(event, ExchangeEvent::Failed(Failure::Reset | Failure::Closed));
    match (event, state.download, state.link) {
        (ExchangeEvent::ClientGone, ..) => Reaction::Leave,
        (ExchangeEvent::ClientStalled, ..) => Reaction::Stall,
        (ExchangeEvent::Done, Body, _) => Reaction::Complete,
        (ExchangeEvent::Done, Untouched | Awaited | Ended, _) => Reaction::Ignore,
        // Once a response has begun, nothing is repeated.
        (ExchangeEvent::Failed(_) | ExchangeEvent::Refused(_), Body | Ended, _) => Reaction::Cut,
        (ExchangeEvent::Refused(refusal), Untouched | Awaited, _) => Reaction::Refuse(refusal),
        (ExchangeEvent::Failed(_), Untouched | Awaited, LinkState::None) => Reaction::Ignore,
        (ExchangeEvent::Failed(failure), Untouched, LinkState::FromPool) if lost => {
            match state.upload {
                UploadState::Unsent | UploadState::Repeatable => Reaction::Resend,
                UploadState::Spent => Reaction::GiveUp(failure),
            }
        }
        (ExchangeEvent::Failed(failure), Untouched | Awaited, _) => Reaction::Retry(failure),
    }
}

/// The answer when a failure leaves nothing to try.
pub fn refusal_of(failure: Failure) -> Refusal {
    match failure {
        Failure::Refused | Failure::Unreachable | Failure::NoLocalAddress => Refusal::Unreachable,
        Failure::ConnectTimedOut | Failure::MarkedDown => Refusal::ConnectTimedOut,
        Failure::Reset | Failure::Closed => Refusal::ClosedEarly,
        Failure::SendTimedOut => Refusal::SendTimedOut,
        Failure::ReadTimedOut => Refusal::ReadTimedOut,
        Failure::BadResponse => Refusal::BadResponse,
        Failure::Status(status) => Refusal::ServerFailed(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [LinkState; 4] =
        [LinkState::None, LinkState::Connecting, LinkState::Made, LinkState::FromPool];
    const UPLOADS: [UploadState; 3] =
        [UploadState::Unsent, UploadState::Repeatable, UploadState::Spent];
    const DOWNLOADS: [DownloadState; 4] = [
        DownloadState::Untouched,
        DownloadState::Awaited,
        DownloadState::Body,
        DownloadState::Ended,
    ];
    const REFUSAL: Refusal = Refusal::BodyTooLarge;
    const EVENTS: [ExchangeEvent; 12] = [
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
    ];

    /// One letter a case. Rows are links, and in each the four downloads; columns are the events.
    /// `-` ignore, `s` send again, `r` retry, `g` give up, `a` answer, `x` cut, `c` complete,
    /// `l` leave, `t` stall.
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
        }
    }

    #[test]
    fn every_event_in_every_state() {
        let common = "\
-lta-------- -lta-------- cltxxxxxxxxx -ltxxxxxxxxx \n\
-ltarrrrrrrr -ltarrrrrrrr cltxxxxxxxxx -ltxxxxxxxxx \n\
-ltarrrrrrrr -ltarrrrrrrr cltxxxxxxxxx -ltxxxxxxxxx \n";
        for (upload, from_pool) in UPLOADS.into_iter().zip([
            "-ltarrrssrrr -ltarrrrrrrr cltxxxxxxxxx -ltxxxxxxxxx \n",
            "-ltarrrssrrr -ltarrrrrrrr cltxxxxxxxxx -ltxxxxxxxxx \n",
            "-ltarrrggrrr -ltarrrrrrrr cltxxxxxxxxx -ltxxxxxxxxx \n",
        ]) {
            assert_eq!(table(upload), format!("{common}{from_pool}"), "{upload:?}");
        }
    }
}
