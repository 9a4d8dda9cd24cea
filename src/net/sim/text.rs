//! Bodies in which every piece identifies its message.

/// The body of one request, or of one answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// The request's id.
    pub id: u32,
    /// The server that wrote it; [`Text::CLIENT`] for a request's body.
    pub by: u32,
    /// Index of the request among those that this server received.
    pub attempt: u32,
}

impl Text {
    /// Written by a client.
    pub const CLIENT: u32 = 99;

    /// The bytes between two offsets.
    pub fn slice(self, from: usize, to: usize) -> Vec<u8> {
        let first = from / RECORD;
        let mut bytes = Vec::with_capacity(to - from + 2 * RECORD);
        for index in first..to.div_ceil(RECORD) {
            self.record(index, &mut bytes);
        }
        bytes.drain(..from - first * RECORD);
        bytes.truncate(to - from);
        bytes
    }

    /// Whether these are the bytes at that offset.
    pub fn has(self, offset: usize, bytes: &[u8]) -> bool {
        self.slice(offset, offset + bytes.len()) == bytes
    }

    /// Appends one record. Formatted by hand, because it dominates the time of a run.
    fn record(self, index: usize, into: &mut Vec<u8>) {
        let parts = [(self.id as usize, 6), (self.by as usize, 2), (self.attempt as usize, 4)];
        for (number, width) in parts.into_iter().chain([(index, 16)]) {
            let from = into.len();
            into.resize(from + width, b'0');
            let mut rest = number;
            for digit in into[from..].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            into.push(b'/');
        }
        if let Some(last) = into.last_mut() {
            *last = b'\n';
        }
    }
}

/// Bytes of one record.
const RECORD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slice_fits_and_only_at_its_own_place() {
        let text = Text { id: 7, by: 1, attempt: 12 };
        let whole = text.slice(0, 200);
        for from in 0..200 {
            for to in from..200 {
                assert_eq!(text.slice(from, to), whole[from..to]);
            }
        }
        assert!(text.has(50, &whole[50..90]));
        assert!(!text.has(51, &whole[50..90]));
        assert!(!Text { id: 8, ..text }.has(50, &whole[50..90]));
    }
}
