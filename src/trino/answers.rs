//! Answers in Trino's own form, for queries that wait or are lost.
//!
//! The members and their order are those of 483's queued and failed answers, which clients from 364
//! on read too. Clients need an absolute `nextUri`.

use super::query_id::QueryId;

/// What a client is told of its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// It waits: ask again.
    Waiting {
        /// Where to ask again: an absolute URI.
        next_uri: &'a [u8],
        /// The state that the query is in, as far as is known.
        state: State,
    },
    /// It has ended well.
    Finished,
    /// It is lost.
    Lost {
        /// What happened, and what to do.
        message: &'a str,
    },
}

/// The state of a query that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was polled at `/v1/statement/queued/…`.
    Queued,
    /// It was polled at `/v1/statement/executing/…`.
    Running,
}

/// Appends the answer to a poll of `id`; `origin` is the scheme and authority that the client used.
pub fn write(id: QueryId, origin: &[u8], told: Told<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\",\"infoUri\":");
    string(&[origin, b"/ui/query.html?", id.as_bytes()], out);
    let state = match told {
        Told::Waiting { next_uri, state } => {
            out.extend_from_slice(b",\"nextUri\":");
            string(&[next_uri], out);
            match state {
                State::Queued => "QUEUED",
                State::Running => "RUNNING",
            }
        }
        Told::Finished => "FINISHED",
        Told::Lost { .. } => "FAILED",
    };
    out.extend_from_slice(b",\"stats\":{\"state\":\"");
    out.extend_from_slice(state.as_bytes());
    out.extend_from_slice(b"\",\"queued\":");
    out.extend_from_slice(if state == "QUEUED" { b"true" } else { b"false" });
    let is_scheduled = told == Told::Finished;
    out.extend_from_slice(b",\"scheduled\":");
    out.extend_from_slice(if is_scheduled { b"true" } else { b"false" });
    for name in COUNTERS {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":0");
    }
    out.push(b'}');
    if let Told::Lost { message } = told {
        out.extend_from_slice(b",\"error\":{\"message\":");
        string(&[message.as_bytes()], out);
        out.extend_from_slice(REMOTE_HOST_GONE.as_bytes());
    }
    out.extend_from_slice(b",\"warnings\":[]}");
}

/// Appends a JSON string of these parts.
fn string(parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in parts.iter().copied().flatten() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            // URIs and our own words are ASCII; anything else is replaced.
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

/// The counters of `stats`, all zero.
const COUNTERS: [&str; 14] = [
    "nodes",
    "totalSplits",
    "queuedSplits",
    "runningSplits",
    "completedSplits",
    "cpuTimeMillis",
    "wallTimeMillis",
    "queuedTimeMillis",
    "elapsedTimeMillis",
    "processedRows",
    "processedBytes",
    "physicalInputBytes",
    "peakMemoryBytes",
    "spilledBytes",
];

/// The rest of the error of a query whose coordinator is gone: Trino's `StandardErrorCode`.
const REMOTE_HOST_GONE: &str = ",\"errorCode\":65558,\"errorName\":\"REMOTE_HOST_GONE\",\
    \"errorType\":\"INTERNAL_ERROR\",\"failureInfo\":{\"type\":\"io.trino.spi.TrinoException\",\
    \"message\":\"the coordinator is gone\",\"suppressed\":[],\"stack\":[]}}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trino::json::{JsonReader, JsonToken};

    const ID: &[u8] = b"20261124_103000_00042_abcde";

    fn answer(told: Told<'_>) -> String {
        let mut out = Vec::new();
        write(QueryId::parse(ID).unwrap(), b"http://proxy:8080", told, &mut out);
        let (mut json, mut rest) = (JsonReader::default(), &out[..]);
        while json.next(&mut rest).expect("it is JSON") != JsonToken::End {}
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_query_that_waits_says_where_to_ask_again() {
        let next_uri = b"http://proxy:8080/v1/statement/queued/x/1";
        let text = answer(Told::Waiting { next_uri, state: State::Queued });
        let begins = "{\"id\":\"20261124_103000_00042_abcde\",\
            \"infoUri\":\"http://proxy:8080/ui/query.html?20261124_103000_00042_abcde\",\
            \"nextUri\":\"http://proxy:8080/v1/statement/queued/x/1\",\
            \"stats\":{\"state\":\"QUEUED\",\"queued\":true,\"scheduled\":false,\"nodes\":0,";
        assert!(text.starts_with(begins), "{text}");
        assert!(text.ends_with("\"spilledBytes\":0},\"warnings\":[]}"), "{text}");
        let running = answer(Told::Waiting { next_uri, state: State::Running });
        assert!(running.contains("\"state\":\"RUNNING\",\"queued\":false"), "{running}");
    }

    #[test]
    fn a_lost_query_has_an_error_and_nowhere_to_ask() {
        let text = answer(Told::Lost { message: "it \"went\" \\ away\n" });
        assert!(!text.contains("nextUri"), "{text}");
        assert!(text.contains("\"state\":\"FAILED\""), "{text}");
        let error = "\"error\":{\"message\":\"it \\\"went\\\" \\\\ away?\",\"errorCode\":65558,";
        assert!(text.contains(error), "{text}");
    }
}
