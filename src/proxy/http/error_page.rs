//! `error_page`: finds the request that replaces one that was refused or failed.
//!
//! Expands a template into a target. Only the template starts the query: no value can end the
//! target, leave the path's tree or add an argument to the query.

use super::asked::Asked;
use super::own_answer::OwnAnswer;
use super::variables::RequestScope;
use crate::config::model::template::{Part, Template, Variable};
use crate::config::model::{ErrorPage, ErrorPageStatus};
use crate::http::answer::is_redirect;
use crate::http::target::{escape, escape_argument, escape_query, normalise};

/// The target of an `error_page`.
#[derive(Debug, PartialEq, Eq)]
pub enum Leads {
    /// A page of the same virtual server.
    To {
        /// Its decoded path.
        path: Vec<u8>,
        /// Its query, without the `?`.
        query: Option<Vec<u8>>,
        /// The status that the client gets.
        tells: ErrorPageStatus,
    },
    /// No page: the client gets this answer.
    Elsewhere(OwnAnswer),
}

/// Expands the `error_page` for a status with the current values.
pub fn leads(asked: &Asked, status: u16, scope: &RequestScope<'_>) -> Leads {
    let plainly = || Leads::Elsewhere(OwnAnswer::page(status, ""));
    let Some(ErrorPage { uri, tells, .. }) = asked.error_page(status) else { return plainly() };
    let mut whole = Vec::new();
    scope.write(uri, &mut whole);
    if whole.first() != Some(&b'/') {
        let status = match *tells {
            ErrorPageStatus::Fixed(fixed) if is_redirect(fixed) => fixed,
            ErrorPageStatus::Fixed(_) | ErrorPageStatus::Original | ErrorPageStatus::OfPage => 302,
        };
        return Leads::Elsewhere(OwnAnswer::redirect(status, &whole, scope));
    }
    let (path, query) = assemble(uri, |variable, out| scope.value(variable, out));
    // Values may contain dot segments: normalise the path, as for choosing a location.
    let (mut escaped, mut normal) = (Vec::new(), Vec::new());
    escape(&path, &mut escaped);
    match normalise(&escaped, false, &mut normal) {
        Ok(()) => Leads::To { path: normal, query, tells: *tells },
        // The path leads above the root, or contains a NUL.
        Err(_) => plainly(),
    }
}

/// The decoded path, and the query as it is sent.
fn assemble(
    template: &Template,
    value: impl Fn(&Variable, &mut Vec<u8>) -> Option<()>,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut path = Vec::new();
    let mut query: Option<Vec<u8>> = None;
    for part in &template.parts {
        match (part, &mut query) {
            (Part::Text(text), None) => match memchr::memchr(b'?', text) {
                Some(at) => {
                    path.extend_from_slice(&text[..at]);
                    let mut begun = Vec::new();
                    escape_query(&text[at + 1..], &mut begun);
                    query = Some(begun);
                }
                None => path.extend_from_slice(text),
            },
            (Part::Text(text), Some(query)) => escape_query(text, query),
            // `/page$is_args$args`: `$is_args` starts the query if it is not empty.
            (Part::Variable(Variable::IsArgs), None) => {
                let mut mark = Vec::new();
                let _ = value(&Variable::IsArgs, &mut mark);
                query = (!mark.is_empty()).then(Vec::new);
            }
            (Part::Variable(variable), None) => drop(value(variable, &mut path)),
            // The client's own query is already escaped, and holds no other bytes.
            (Part::Variable(Variable::Args), Some(query)) => drop(value(&Variable::Args, query)),
            // So is an argument of it, except for `;`, at which some servers split arguments.
            (Part::Variable(variable @ Variable::Arg(_)), Some(query)) => {
                let mut argument = Vec::new();
                let _ = value(variable, &mut argument);
                for part in argument.split_inclusive(|&byte| byte == b';') {
                    query.extend_from_slice(part.strip_suffix(b";").unwrap_or(part));
                    if part.ends_with(b";") {
                        query.extend_from_slice(b"%3B");
                    }
                }
            }
            (Part::Variable(variable), Some(query)) => {
                let mut plain = Vec::new();
                let _ = value(variable, &mut plain);
                escape_argument(&plain, query);
            }
        }
    }
    (path, query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Layer;
    use crate::config::model::template::Constants;

    /// Checks the path and query of a template in which every variable has this value.
    fn check(template: &str, value: &str, path: &str, query: Option<&str>) {
        let constants = Constants { hostname: "h".into() };
        let template = Template::compile(template, Layer::Http, &constants).unwrap();
        let (got, got_query) = assemble(&template, |_, out| {
            out.extend_from_slice(value.as_bytes());
            Some(())
        });
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!((text(got), got_query.map(text)), (path.into(), query.map(Into::into)));
    }

    #[test]
    fn the_template_alone_begins_the_query() {
        check("/f", "", "/f", None);
        check("/f$uri", "/a?b", "/f/a?b", None);
        check("/f$uri?c", "/a?b", "/f/a?b", Some("c"));
        check("/f?a=b?c", "", "/f", Some("a=b?c"));
        check("/f?", "", "/f", Some(""));
        check("/f$is_args", "?", "/f", Some(""));
        check("/f$is_args", "", "/f", None);
    }

    #[test]
    fn a_value_in_a_query_is_one_argument() {
        let split = "/a HTTP/1.1\r\nHost: x\r\n\r\nGET /b&c=d#e%20";
        let escaped = "/a%20HTTP/1.1%0D%0AHost:%20x%0D%0A%0D%0AGET%20/b%26c=d%23e%2520";
        for variable in ["uri", "remote_user", "request_uri", "http_x", "host"] {
            let query = format!("u={escaped}&v");
            check(&format!("/f?u=${variable}&v"), split, "/f", Some(&query));
        }
        for byte in 1..=255 {
            let mut query = Vec::new();
            escape_argument(&[byte], &mut query);
            assert!(query.iter().all(|&byte| crate::http::head::is_target_byte(byte)));
            assert!(!query.contains(&b'&'), "{byte}");
        }
        check("/f?$args&b=$arg_b", "c=%20;d", "/f", Some("c=%20;d&b=c=%20%3Bd"));
        check("/f?a b\u{e4}#&c", "", "/f", Some("a%20b\u{e4}%23&c"));
    }
}
