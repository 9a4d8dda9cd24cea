//! Remarks on fields that the file sets, hides or passes without effect: the proxy writes them
//! itself, because they describe one hop or the end of a body.
//!
//! `tests/routing.rs` checks the names against what leaves the proxy.

use crate::config::build::block::{Block, first, second};
use crate::config::build::builder::Builder;
use crate::config::build::remark::Remark;
use crate::config::text::lexer::Word;

/// How a proxy treats a field, whatever the file says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// Delimits the body: written anew for each message.
    Framing,
    /// Applies to one hop: not passed on.
    Hop,
    /// `Connection`: some of its options are understood in requests.
    Connection,
    /// `Upgrade`: passed on if `Connection` names it.
    Upgrade,
}

/// Fields that are never passed on unchanged, in lowercase.
const OWN: [(&str, Own); 8] = [
    ("connection", Own::Connection),
    ("content-length", Own::Framing),
    ("http2-settings", Own::Hop),
    ("keep-alive", Own::Hop),
    ("proxy-connection", Own::Hop),
    ("te", Own::Hop),
    ("transfer-encoding", Own::Framing),
    ("upgrade", Own::Upgrade),
];

/// Why a directive about a field has no effect.
const FRAMING: &str = "switchover frames each body itself";
const HOP: &str = "this field is for one hop, and switchover writes its own";
const OPTIONS: &str = "only \"close\", \"keep-alive\" and \"upgrade\" are understood";
const NO_UPGRADE: &str = "it needs \"Upgrade $http_upgrade\" beside it";
const NO_CONNECTION: &str = "it needs \"Connection upgrade\" beside it";

/// Adds a remark for each directive of a level that sets, hides or passes such a field.
pub(super) fn remark_on_fields(builder: &mut Builder, block: Block<'_>) {
    for directive in block.many("proxy_set_header") {
        let (name, value) = (first(directive), second(directive));
        vain(builder, "proxy_set_header", name, why_not_set(block, name, &value.text));
    }
    for directive in block.many("add_header") {
        let name = first(directive);
        let reason = if second(directive).text.is_empty() { None } else { own(name) };
        vain(builder, "add_header", name, reason.map(reason_of));
    }
    for directive in block.many("proxy_hide_header") {
        // The other fields are hidden anyway.
        let name = first(directive);
        let framing = own(name).filter(|own| *own == Own::Framing);
        vain(builder, "proxy_hide_header", name, framing.map(reason_of));
    }
    for directive in block.many("proxy_pass_header") {
        let name = first(directive);
        vain(builder, "proxy_pass_header", name, own(name).map(reason_of));
    }
}

fn vain(builder: &mut Builder, directive: &'static str, name: &Word, reason: Option<&'static str>) {
    if let Some(reason) = reason {
        builder.remark(name.at, Remark::Vain { directive, field: name.text.clone(), reason });
    }
}

fn own(name: &Word) -> Option<Own> {
    let known = OWN.iter().find(|(known, _)| name.text.eq_ignore_ascii_case(known));
    known.map(|(_, own)| *own)
}

fn reason_of(own: Own) -> &'static str {
    match own {
        Own::Framing => FRAMING,
        Own::Hop | Own::Connection | Own::Upgrade => HOP,
    }
}

/// Why a `proxy_set_header` has no effect. `None` if it has one.
fn why_not_set(block: Block<'_>, name: &Word, value: &str) -> Option<&'static str> {
    match own(name)? {
        // The field never leaves as it came. The body's framing stays even if the file removes the
        // field.
        Own::Framing if value.is_empty() && name.text.eq_ignore_ascii_case("transfer-encoding") => {
            None
        }
        Own::Framing => Some(FRAMING),
        // A removed field would not have been passed on anyway.
        Own::Hop | Own::Connection | Own::Upgrade if value.is_empty() => None,
        Own::Hop => Some(HOP),
        // The value of a variable is known only per request.
        Own::Connection if value.contains('$') => None,
        Own::Connection => {
            let understood = ["", "close", "keep-alive", "upgrade"];
            if !options(value).all(|option| understood.contains(&option.as_str())) {
                return Some(OPTIONS);
            }
            let upgrade = options(value).any(|option| option == "upgrade");
            (upgrade && !sets(block, Own::Upgrade, |value| !value.is_empty())).then_some(NO_UPGRADE)
        }
        Own::Upgrade => {
            let asks = |value: &str| {
                value.contains('$') || options(value).any(|option| option == "upgrade")
            };
            (!sets(block, Own::Connection, asks)).then_some(NO_CONNECTION)
        }
    }
}

/// Whether a `proxy_set_header` of the level gives such a field a value that `fits` accepts.
fn sets(block: Block<'_>, wanted: Own, fits: impl Fn(&str) -> bool) -> bool {
    let mut lines = block.many("proxy_set_header");
    lines.any(|line| own(first(line)) == Some(wanted) && fits(&second(line).text))
}

/// The options of a `Connection` field, in lowercase.
fn options(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(|option| option.trim().to_ascii_lowercase())
}
