//! Whole texts, from bytes to a model or a diagnostic.

mod article;
mod broken;
mod contexts;
mod health;
mod inheritance;
mod lints;
mod several;
mod sources;
mod stream;

use crate::config::model::Action;
use crate::config::model::{Config, Location, ProxyPass};
use crate::config::{Loaded, parse_text};

/// Parses a text.
#[track_caller]
fn loaded(text: &str) -> Loaded {
    match parse_text("a.conf", text.as_bytes()) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// The model of a text.
#[track_caller]
fn config(text: &str) -> Config {
    loaded(text).config
}

/// The remarks about a text, one per line.
#[track_caller]
fn notices(text: &str) -> String {
    let lines: Vec<String> = loaded(text).notices.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The `proxy_pass` of a location.
#[track_caller]
fn proxy(location: &Location) -> &ProxyPass {
    match &location.action {
        Action::Proxy(pass) => pass,
        Action::Return(_) | Action::Control | Action::NotFound => {
            panic!("not proxied: {location:?}")
        }
    }
}
