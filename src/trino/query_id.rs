//! Ids of queries, and of the coordinators that run them.
//!
//! `20211202_151305_00000_3cki7`: day, time, a number within the day, and five characters that a
//! coordinator chooses when its process starts. Trino's `QueryIdGenerator`, 364 to 483.

use std::fmt;

/// The id of a query.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId([u8; LENGTH]);

impl QueryId {
    /// Reads an id: nothing may stand before or behind it.
    pub fn parse(text: &[u8]) -> Option<QueryId> {
        let id: [u8; LENGTH] = text.try_into().ok()?;
        let fits = |(byte, form): (&u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            b'a' => is_coordinator_byte(*byte),
            between => byte == between,
        };
        // All are looked at, whatever the first ones are: without a branch that is faster.
        id.iter().zip(FORM).fold(true, |all, pair| all & fits(pair)).then_some(QueryId(id))
    }

    /// Reads the id at the front of `text`, and returns what follows it.
    pub fn parse_front(text: &[u8]) -> Option<(QueryId, &[u8])> {
        let (id, behind) = text.split_at_checked(LENGTH)?;
        Some((QueryId::parse(id)?, behind))
    }

    /// An id of our own: day and time as ids have them, a number within the day, and what stands for
    /// a coordinator.
    pub fn made_up(stamp: &[u8; 15], number: u32, own: CoordinatorId) -> QueryId {
        let mut id = *FORM;
        id[..15].copy_from_slice(stamp);
        let mut rest = number;
        for digit in id[16..21].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        id[22..].copy_from_slice(own.as_bytes());
        QueryId(id)
    }

    /// The id as Trino writes it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The coordinator whose process gave the id.
    pub fn coordinator(&self) -> CoordinatorId {
        let [.., a, b, c, d, e] = self.0;
        CoordinatorId([a, b, c, d, e])
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ascii(&self.0, f)
    }
}

impl fmt::Debug for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ascii(&self.0, f)
    }
}

/// What the ids of one coordinator process end with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CoordinatorId([u8; COORDINATOR]);

impl CoordinatorId {
    /// Reads five characters of Trino's base 32, which has no `l`, `o`, `0` or `1`.
    pub fn parse(text: &[u8]) -> Option<CoordinatorId> {
        let id: [u8; COORDINATOR] = text.try_into().ok()?;
        id.iter().all(|byte| is_coordinator_byte(*byte)).then_some(CoordinatorId(id))
    }

    /// One that a number stands for: its lowest 25 bits.
    pub fn of_number(number: u64) -> CoordinatorId {
        let mut rest = number;
        CoordinatorId([0; COORDINATOR].map(|_: u8| {
            let digit = DIGITS[(rest % 32) as usize];
            rest /= 32;
            digit
        }))
    }

    /// The id as Trino writes it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ascii(&self.0, f)
    }
}

impl fmt::Debug for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ascii(&self.0, f)
    }
}

fn write_ascii(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(std::str::from_utf8(bytes).expect("an id is ASCII"))
}

fn is_coordinator_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'k' | b'm' | b'n' | b'p'..=b'z' | b'2'..=b'9')
}

/// Trino's base 32.
const DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Digits and a coordinator's characters. The number has five digits: after 99999 Trino waits for
/// the next second and counts from zero.
const FORM: &[u8; LENGTH] = b"00000000_000000_00000_aaaaa";
/// Bytes of a query's id.
const LENGTH: usize = 27;
/// Bytes of a coordinator's id.
const COORDINATOR: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        let id = QueryId::parse(b"20211202_151305_00000_3cki7").unwrap();
        assert_eq!(id.to_string(), "20211202_151305_00000_3cki7");
        assert_eq!(id.as_bytes(), b"20211202_151305_00000_3cki7");
        assert_eq!(id.coordinator(), CoordinatorId::parse(b"3cki7").unwrap());
        assert_eq!(format!("{:?}", id.coordinator()), "3cki7");
        for text in [
            "",
            "20211202_151305_00000_3cki",
            "20211202_151305_00000_3cki77",
            "20211202_151305_100000_3cki7",
            "20211202_151305_0000_33cki7",
            "20211202-151305-00000-3cki7",
            "2021120a_151305_00000_3cki7",
            "20211202_151305_00000_3CKI7",
            "20211202_151305_00000_3ck%37",
            " 0211202_151305_00000_3cki7",
        ] {
            assert_eq!(QueryId::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_coordinator_has_five_characters_that_are_not_mistaken_for_others() {
        for byte in 0..=u8::MAX {
            let known = byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let expected = known && !b"lo01".contains(&byte);
            let text = [b'a', b'b', byte, b'c', b'2'];
            assert_eq!(CoordinatorId::parse(&text).is_some(), expected, "{byte}");
            assert_eq!(CoordinatorId::parse(&text[..4]), None);
        }
    }

    #[test]
    fn an_id_at_the_front_leaves_what_follows() {
        let id = QueryId::parse(b"20211202_151305_00000_3cki7").unwrap();
        let found = QueryId::parse_front(b"20211202_151305_00000_3cki7.0.1");
        assert_eq!(found, Some((id, &b".0.1"[..])));
        assert_eq!(QueryId::parse_front(b"20211202_151305"), None);
    }

    #[test]
    fn an_id_of_our_own_has_the_form_of_others() {
        let own = CoordinatorId::of_number(u64::MAX);
        assert_eq!(CoordinatorId::parse(own.as_bytes()), Some(own));
        assert_ne!(own, CoordinatorId::of_number(1));
        for (number, expected) in [(0, "00000"), (42, "00042"), (123_456, "23456")] {
            let id = QueryId::made_up(b"20261130_103000", number, own);
            assert_eq!(id.to_string(), format!("20261130_103000_{expected}_99999"));
            assert_eq!(QueryId::parse(id.as_bytes()), Some(id));
        }
    }
}
