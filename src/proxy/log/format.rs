//! The formats of values in log lines and fields: addresses, durations, dates, and escaping.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::address::Address;
use crate::config::model::template::{Part, Variable};
use crate::config::model::{Escape, LogFormat};
use crate::http::rewrite::decimal;
use crate::time::WallTime;

/// Appends a log line, with `value` appending each variable's value.
pub fn write_line(
    format: &LogFormat,
    out: &mut Vec<u8>,
    value: impl Fn(&Variable, &mut Vec<u8>) -> Option<()>,
) {
    for part in &format.line.parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Variable(variable) => {
                let start = out.len();
                let found = value(variable, out).is_some();
                match format.escape {
                    Escape::Default if !found => out.push(b'-'),
                    Escape::Default => escape(start, out, escape_default),
                    Escape::Json => escape(start, out, escape_json),
                    Escape::None => {}
                }
            }
        }
    }
}

/// Appends a value as text.
pub fn show(value: impl Display, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{value}");
}

/// Appends a number.
pub fn number(value: impl Into<u64>, out: &mut Vec<u8>) {
    decimal(out, value.into());
}

/// Appends a duration in seconds with milliseconds.
pub fn seconds(duration: Duration, out: &mut Vec<u8>) {
    number(duration.as_secs(), out);
    let millis = duration.subsec_millis();
    out.extend([b'.', digit(millis / 100), digit(millis / 10), digit(millis)]);
}

fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

/// Appends an address without its port.
pub fn ip(address: &Address, out: &mut Vec<u8>) {
    match address {
        Address::Inet(SocketAddr::V4(at)) => ipv4(at.ip().octets(), out),
        Address::Inet(SocketAddr::V6(at)) => show(at.ip(), out),
        Address::Unix(_) => out.extend_from_slice(b"unix:"),
    }
}

fn ipv4(octets: [u8; 4], out: &mut Vec<u8>) {
    for (place, octet) in octets.into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(digit(u32::from(octet) / 100));
        }
        if octet >= 10 {
            out.push(digit(u32::from(octet) / 10));
        }
        out.push(digit(octet.into()));
    }
}

/// Appends `$time_local`: `22/Nov/2026:20:05:23 +0000`.
pub fn time_local(at: WallTime, out: &mut Vec<u8>) {
    show_date(local(at), LOCAL, out);
}

/// Appends `$time_iso8601`: `2026-11-22T20:05:23+00:00`.
pub fn time_iso8601(at: WallTime, out: &mut Vec<u8>) {
    show_date(local(at), ISO8601, out);
}

/// Appends the value of a `Date` field. RFC 9110, section 5.6.7.
pub fn http_date(at: WallTime, out: &mut Vec<u8>) {
    show_date(utc(at), HTTP_DATE, out);
}

/// Writes a time as Trino's ids begin with it: day and time, in UTC.
pub fn id_stamp(at: WallTime, out: &mut [u8; 15]) {
    // It is as long as this, and has every component of the format.
    let _ = utc(at).format_into(&mut &mut out[..], ID_STAMP);
}

fn utc(at: WallTime) -> OffsetDateTime {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0));
    moment.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn local(at: WallTime) -> OffsetDateTime {
    let moment = utc(at);
    UtcOffset::local_offset_at(moment).map_or(moment, |offset| moment.to_offset(offset))
}

fn show_date(moment: OffsetDateTime, format: &[BorrowedFormatItem<'_>], out: &mut Vec<u8>) {
    // Writing to memory does not fail, and the moment has every component of the formats.
    let _ = moment.format_into(out, format);
}

/// Escapes everything from `start` on; usually nothing needs it.
fn escape(start: usize, out: &mut Vec<u8>, one: fn(u8, &mut Vec<u8>)) {
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\') && (b' '..0x7f).contains(byte);
    if !out[start..].iter().all(is_plain) {
        let value = out.split_off(start);
        value.into_iter().for_each(|byte| one(byte, out));
    }
}

fn escape_default(byte: u8, out: &mut Vec<u8>) {
    if matches!(byte, b'"' | b'\\') || !(b' '..0x7f).contains(&byte) {
        let _ = write!(out, "\\x{byte:02X}");
    } else {
        out.push(byte);
    }
}

fn escape_json(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0c => out.extend_from_slice(b"\\f"),
        0..=31 => {
            let _ = write!(out, "\\u{byte:04X}");
        }
        _ => out.push(byte),
    }
}

const LOCAL: &[BorrowedFormatItem<'_>] = format_description!(
    "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);
const ISO8601: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]"
);
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);
const ID_STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]_[hour][minute][second]");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_that_http_wants() {
        let mut out = Vec::new();
        http_date(WallTime(784_111_777_000_000_000), &mut out);
        assert_eq!(out, b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn log_values_cannot_break_their_line() {
        let mut out = b"\"".to_vec();
        out.extend_from_slice(b"a\"b\\c\n\xff");
        escape(1, &mut out, escape_default);
        assert_eq!(out, b"\"a\\x22b\\x5Cc\\x0A\\xFF");
        out.clear();
        out.extend_from_slice(b"a\"\\\n\x01");
        escape(0, &mut out, escape_json);
        assert_eq!(out, b"a\\\"\\\\\\n\\u0001");
    }

    #[test]
    fn addresses_are_written_without_needless_zeros() {
        for text in ["0.10.100.255", "9.99.199.200", "127.0.0.1"] {
            let address: std::net::Ipv4Addr = text.parse().unwrap();
            let mut out = Vec::new();
            ipv4(address.octets(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn durations_are_seconds_with_milliseconds() {
        let mut out = Vec::new();
        seconds(Duration::from_millis(12_045), &mut out);
        assert_eq!(out, b"12.045");
    }
}
