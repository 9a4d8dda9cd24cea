//! How a connection that speaks HTTP/2 with prior knowledge begins: RFC 9113, section 3.4.

/// How much of the preface a connection's first bytes contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// Something else.
    No,
    /// A part of it, and nothing else so far.
    Part,
    /// All of it.
    Whole,
}

/// Looks for the preface at the start of `bytes`.
pub fn look(bytes: &[u8]) -> Preface {
    if bytes.iter().zip(PREFACE).any(|(byte, expected)| byte != expected) {
        Preface::No
    } else if bytes.len() < PREFACE.len() {
        Preface::Part
    } else {
        Preface::Whole
    }
}

/// The whole preface.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Its first line, as the request line of a log entry without a tunnel.
pub const LINE: &[u8] = b"PRI * HTTP/2.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_part_of_itself_up_to_its_end() {
        for length in 0..PREFACE.len() {
            assert_eq!(look(&PREFACE[..length]), Preface::Part, "{length}");
            let mut other = PREFACE.to_vec();
            other[length] ^= 1;
            assert_eq!(look(&other), Preface::No, "{length}");
        }
        assert_eq!(look(&[PREFACE, b"more"].concat()), Preface::Whole);
    }
}
