//! Promotions and drains as the state file keeps them for the next start.
//!
//! One line for each: upstream, layer, address and what was done, percent-encoded and separated by
//! spaces. Servers are known by address: a name may have several.

use std::fmt;

use super::percent::{decode, encode};
use crate::config::model::Layer;

/// A server that was promoted or drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The name of its group.
    pub upstream: String,
    /// Whether the group takes requests or connections.
    pub layer: Layer,
    /// Its address.
    pub address: String,
    /// What was done with it.
    pub deed: Deed,
}

/// What an operator did with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// `promote`.
    Promoted,
    /// `drain`.
    Drained,
}

/// A line that is not one of the state file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenLine {
    /// Its number, counted from 1.
    pub number: usize,
}

impl Kept {
    fn read(line: &str) -> Option<Kept> {
        let mut words = line.split(' ');
        let upstream = decode(words.next()?.as_bytes())?;
        let layer = match words.next()? {
            "http" => Layer::Http,
            "stream" => Layer::Stream,
            _ => return None,
        };
        let address = decode(words.next()?.as_bytes())?;
        let deed = match words.next()? {
            "promoted" => Deed::Promoted,
            "drained" => Deed::Drained,
            _ => return None,
        };
        let is_whole = words.next().is_none() && !upstream.is_empty() && !address.is_empty();
        is_whole.then_some(Kept { upstream, layer, address, deed })
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = match self.deed {
            Deed::Promoted => "promoted",
            Deed::Drained => "drained",
        };
        let (upstream, address) = (encode(&self.upstream), encode(&self.address));
        write!(f, "{upstream} {} {address} {deed}", self.layer.name())
    }
}

/// Reads a state file.
///
/// # Errors
/// The first line that is broken.
pub fn read(text: &str) -> Result<Vec<Kept>, BrokenLine> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    lines.map(|(index, line)| Kept::read(line).ok_or(BrokenLine { number: index + 1 })).collect()
}

/// Writes a state file.
pub fn write(all: &[Kept]) -> String {
    let lines: String = all.iter().map(|kept| format!("{kept}\n")).collect();
    format!("{HEADING}\n{lines}")
}

const HEADING: &str = "# Servers promoted and drained by command; switchover rewrites this file.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let kept = |upstream: &str, layer, address: &str, deed| Kept {
            upstream: upstream.into(),
            layer,
            address: address.into(),
            deed,
        };
        let all = vec![
            kept("trino", Layer::Http, "10.0.0.1:8080", Deed::Promoted),
            kept("a b\n%", Layer::Stream, "unix:/x y", Deed::Drained),
        ];
        let text = write(&all);
        assert_eq!(text.lines().nth(1), Some("trino http 10.0.0.1:8080 promoted"));
        assert_eq!(read(&text), Ok(all));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn a_broken_line_is_named() {
        for broken in ["", "trino", "t http a:1 raised", "t tcp a:1 drained", "t http a drained x"]
        {
            let text = format!("# x\nt http a:1 drained\n{broken}\n");
            assert_eq!(read(&text), Err(BrokenLine { number: 3 }), "{broken:?}");
        }
    }
}
