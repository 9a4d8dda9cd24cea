//! The directives of one block, and reading their values.

use std::time::Duration;

use crate::config::build::error::BuildError;
use crate::config::diagnostic::Fault;
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;
use crate::config::text::value;

/// The directives of one block. Sound ones are known to be allowed there with the right number of
/// arguments; the others are hidden.
#[derive(Clone, Copy)]
pub(super) struct Block<'t>(pub(super) &'t [Directive]);

impl<'t> Block<'t> {
    /// The contents of a directive that has a block.
    pub(super) fn of(directive: &'t Directive) -> Block<'t> {
        Block(directive.block.as_deref().unwrap_or_default())
    }

    /// All sound directives.
    pub(super) fn all(self) -> impl Iterator<Item = &'t Directive> {
        self.0.iter().filter(|directive| directive.sound)
    }

    /// All directives of that name.
    pub(super) fn many(self, name: &str) -> impl Iterator<Item = &'t Directive> {
        self.all().filter(move |directive| directive.name == name)
    }

    /// Whether no directive was refused, so that a missing one was never there.
    pub(super) fn is_whole(self) -> bool {
        self.0.iter().all(|directive| directive.sound)
    }

    /// The directive of that name.
    pub(super) fn one(self, name: &str) -> Option<&'t Directive> {
        self.many(name).next()
    }

    /// The first argument of the directive of that name.
    pub(super) fn word(self, name: &str) -> Option<&'t Word> {
        self.one(name).map(first)
    }

    pub(super) fn time(self, name: &str) -> Result<Option<Duration>, Fault> {
        self.word(name).map(time).transpose()
    }

    pub(super) fn switch(self, name: &str) -> Result<Option<bool>, Fault> {
        self.word(name).map(switch).transpose()
    }

    pub(super) fn number<T: TryFrom<u64>>(
        self,
        name: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<T>, Fault> {
        self.word(name)
            .map(|word| within(word, value::number(&word.text), name, least, most))
            .transpose()
    }

    pub(super) fn size<T: TryFrom<u64>>(
        self,
        name: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<T>, Fault> {
        self.word(name)
            .map(|word| within(word, value::size(&word.text), name, least, most))
            .transpose()
    }
}

/// The first argument of a directive that must have one.
pub(super) fn first(directive: &Directive) -> &Word {
    directive.args.first().expect("the number of arguments is checked")
}

/// The second argument of a directive that must have two.
pub(super) fn second(directive: &Directive) -> &Word {
    directive.args.get(1).expect("the number of arguments is checked")
}

/// The arguments after the first.
pub(super) fn others(directive: &Directive) -> &[Word] {
    directive.args.get(1..).unwrap_or_default()
}

pub(super) fn time(word: &Word) -> Result<Duration, Fault> {
    value::time(&word.text).map_err(|e| Fault::new(word.at, e))
}

pub(super) fn switch(word: &Word) -> Result<bool, Fault> {
    value::switch(&word.text).map_err(|e| Fault::new(word.at, e))
}

/// A value within a range.
pub(super) fn within<T: TryFrom<u64>>(
    word: &Word,
    value: Result<u64, value::ValueError>,
    name: &'static str,
    least: u64,
    most: u64,
) -> Result<T, Fault> {
    let value = value.map_err(|e| Fault::new(word.at, e))?;
    let out_of_range = || Fault::new(word.at, BuildError::Range { name, least, most });
    if value < least || value > most {
        return Err(out_of_range());
    }
    T::try_from(value).map_err(|_| out_of_range())
}

/// An error located at a word.
pub(super) fn at<T>(word: &Word, error: BuildError) -> Result<T, Fault> {
    Err(Fault::new(word.at, error))
}

/// Something that nginx supports and we do not.
pub(super) fn unsupported<T>(word: &Word, reason: &'static str) -> Result<T, Fault> {
    at(word, BuildError::Unsupported { what: word.text.clone(), reason })
}

/// A name without addresses.
pub(super) fn not_found(word: &Word, what: &'static str, name: &str) -> Fault {
    Fault::new(word.at, BuildError::HostNotFound { what, name: name.into() })
}

/// A field name: RFC 9110, section 5.6.2.
pub(super) fn field_name(word: &Word) -> Result<Box<[u8]>, Fault> {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if word.text.is_empty() || !word.text.bytes().all(is_tchar) {
        return at(word, BuildError::FieldName(word.text.clone()));
    }
    Ok(word.text.as_bytes().into())
}

/// A status within a range.
pub(super) fn status(word: &Word, least: u16, most: u16) -> Result<u16, Fault> {
    match word.text.parse() {
        Ok(code) if (least..=most).contains(&code) && word.text.len() == 3 => Ok(code),
        Ok(_) | Err(_) => at(word, BuildError::Status(word.text.clone())),
    }
}

/// Replaces an inherited value if the level sets one.
pub(super) fn set<T>(inherited: &mut T, here: Option<T>) {
    if let Some(here) = here {
        *inherited = here;
    }
}

/// Why `~` is refused.
pub(super) const NO_REGEX: &str = "there are no regular expressions";
