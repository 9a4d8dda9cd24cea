//! What an exchange does next: each of its transitions says what follows from it.

use super::ending::Ending;
use super::own_answer::OwnAnswer;
use super::page::Replaced;
use super::step::Step;
use super::transition::ExchangeEvent;
use crate::http::refusal::Refusal;
use crate::upstream::group::Pick;

/// How an exchange is over.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The request is answered, or cannot be.
    Ended(Ending),
    /// Bytes pass unread from now on: [`super::relay::Upgraded`].
    Upgraded,
}

/// What an exchange does next.
pub enum Turn {
    /// Nothing but moving bytes.
    Rest,
    /// What the location says.
    Serve,
    /// An attempt at this server.
    Try(Pick),
    /// What [`super::transition::decide`] says.
    Event(ExchangeEvent),
    /// The response head of this length is read.
    Judge(usize),
    /// An answer instead of a server's: the `error_page` for its status, if there is one.
    Answer(OwnAnswer),
    /// This answer, whatever `error_page` says.
    Write(OwnAnswer),
    /// The `error_page` for a status.
    Replace(Replaced),
    /// Nothing any more.
    End(Over),
}

impl Turn {
    /// The proxy cannot serve the request.
    pub fn refused(refusal: Refusal) -> Turn {
        Turn::Event(ExchangeEvent::Refused(refusal))
    }

    /// What a step calls for.
    pub fn of(step: Step) -> Turn {
        match step {
            Step::Idle | Step::Moved => Turn::Rest,
            Step::Head(length) => Turn::Judge(length),
            Step::Done => Turn::Event(ExchangeEvent::Done),
            Step::Failed(failure) => Turn::Event(ExchangeEvent::Failed(failure)),
            Step::Refused(refusal) => Turn::refused(refusal),
            Step::ClientGone => Turn::Event(ExchangeEvent::ClientGone),
        }
    }
}
