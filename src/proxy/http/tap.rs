//! What looks into the body of an answer.

use super::held::{BodyCoding, HELD, Held};
use super::id_tap::{IdTap, Taken};
use crate::http::framing::Framing;
use crate::trino::kept::Statement;
use crate::trino::rows::AnswerScan;

/// What looks into a body.
#[derive(Debug, Default)]
pub(super) enum Tap {
    /// Nothing does.
    #[default]
    None,
    /// It passes meanwhile.
    Passing(Box<IdTap>),
    /// It is kept back.
    Held(Box<Held>),
}

impl Tap {
    /// Looks for a query's id; the statement is kept if there is one.
    pub(super) fn for_id(framing: Framing, statement: Option<Statement>) -> Tap {
        Tap::Passing(Box::new(IdTap::new(framing, statement)))
    }

    /// Keeps an answer back; `before` is what precedes its head.
    pub(super) fn held(framing: Framing, coding: BodyCoding, before: (usize, u64)) -> Tap {
        Tap::Held(Box::new(Held::new(framing, coding, before)))
    }

    /// Sees the next bytes.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        match self {
            Tap::None => {}
            Tap::Passing(tap) => tap.see(bytes),
            Tap::Held(held) => held.see(bytes),
        }
    }

    /// Whether the answer is kept back.
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Tap::Held(_))
    }

    /// Whether an answer of which so many bytes are kept back can be weighed.
    pub(super) fn is_ripe(&self, is_whole: bool, length: usize) -> bool {
        matches!(self, Tap::Held(held) if is_whole || held.is_known() || length >= HELD)
    }

    /// What precedes the head of an answer that is kept back.
    pub(super) fn before(&self) -> Option<(usize, u64)> {
        match self {
            Tap::Held(held) => Some(held.before),
            Tap::None | Tap::Passing(_) => None,
        }
    }

    /// What an answer says that is kept back.
    pub(super) fn scan(&self) -> Option<&AnswerScan> {
        match self {
            Tap::Held(held) => Some(held.scan()),
            Tap::None | Tap::Passing(_) => None,
        }
    }

    /// Takes out what the answer to a statement has shown.
    pub(super) fn take(&mut self) -> Option<Taken> {
        match self {
            Tap::Passing(tap) => tap.take(),
            Tap::None | Tap::Held(_) => None,
        }
    }
}
