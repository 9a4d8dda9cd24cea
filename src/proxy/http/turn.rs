//! What an exchange does next: each transition returns the next one.

use super::ending::Ending;
use super::own_answer::OwnAnswer;
use super::page::Replaced;
use super::step::Step;
use super::transition::ExchangeEvent;
use crate::http::refusal::Refusal;
use crate::upstream::group::Pick;

/// Why an exchange is over.
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
    /// Only move bytes.
    Rest,
    /// Do what the location says.
    Serve,
    /// The same in the newest configuration.
    Look,
    /// Choose the server of the first attempt.
    Choose,
    /// Start an attempt at this server.
    Try(Pick),
    /// React to an event, as [`decide`](super::transition::decide) says.
    Event(ExchangeEvent),
    /// Judge the response head of this length.
    Judge(usize),
    /// Weigh an answer that is kept back.
    Weigh,
    /// Answer in place of a server, unless an `error_page` replaces the answer.
    Answer(OwnAnswer),
    /// Write this answer, whatever `error_page` says.
    Write(OwnAnswer),
    /// Request the `error_page` in place of an answer.
    Replace(Replaced),
    /// End the exchange.
    End(Over),
}

impl Turn {
    /// The turn for a request that cannot be served.
    pub fn refused(refusal: Refusal) -> Turn {
        Turn::Event(ExchangeEvent::Refused(refusal))
    }

    /// The turn that a step leads to.
    pub fn of(step: Step) -> Turn {
        match step {
            Step::Idle | Step::Moved => Turn::Rest,
            Step::Collected => Turn::Choose,
            Step::Head(length) => Turn::Judge(length),
            Step::Held => Turn::Weigh,
            Step::Done => Turn::Event(ExchangeEvent::Done),
            Step::Failed(failure) => Turn::Event(ExchangeEvent::Failed(failure)),
            Step::Refused(refusal) => Turn::refused(refusal),
            Step::ClientGone => Turn::Event(ExchangeEvent::ClientGone),
        }
    }
}
