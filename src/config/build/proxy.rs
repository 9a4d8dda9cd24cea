//! `proxy_pass` and all directives that begin with `proxy_`.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::build::block::{
    Block, NO_REGEX, at, field_name, first, others, second, set, unsupported, within,
};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::pass_target::{PassTarget, Scheme};
use crate::config::build::proxy_tls::ProxyTls;
use crate::config::build::remark::Remark;
use crate::config::build::upstream::Groups;
use crate::config::diagnostic::Fault;
use crate::config::model::template::{Part, Template, Variable};
use crate::config::model::{Matcher, NextUpstream, ProxyPass, ProxyVersion, Redirect, SetHeader};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;
use crate::config::text::value::{self, Host, UnresolvedAddress};

/// A level's proxy settings, whether or not the level itself has a `proxy_pass`.
#[derive(Clone)]
pub(super) struct ProxyLevel {
    version: ProxyVersion,
    set_headers: Vec<SetHeader>,
    hide_headers: Vec<Box<[u8]>>,
    pass_headers: Vec<Box<[u8]>>,
    redirects: Vec<Rule>,
    connect_timeout: Duration,
    send_timeout: Duration,
    read_timeout: Duration,
    next: NextUpstream,
    head_limit: usize,
    replay_limit: usize,
    ignore_client_abort: bool,
    bind: Option<SocketAddr>,
    socket_keepalive: bool,
    intercept_errors: bool,
    tls: ProxyTls,
}

/// One `proxy_redirect`.
#[derive(Clone)]
enum Rule {
    Off,
    /// Derived from the location's own `proxy_pass`.
    Default,
    Pair(Redirect),
}

impl ProxyLevel {
    /// Applies the settings of a block.
    pub(super) fn apply(&mut self, builder: &mut Builder, block: Block<'_>) {
        builder.set(&mut self.version, block.word("proxy_http_version").map(version).transpose());
        set(&mut self.set_headers, builder.list(block, "proxy_set_header", set_header));
        set(&mut self.hide_headers, lower_names(builder, block, "proxy_hide_header"));
        set(&mut self.pass_headers, lower_names(builder, block, "proxy_pass_header"));
        set(&mut self.redirects, builder.list(block, "proxy_redirect", redirect_rule));
        builder.set(&mut self.connect_timeout, block.time("proxy_connect_timeout"));
        builder.set(&mut self.send_timeout, block.time("proxy_send_timeout"));
        builder.set(&mut self.read_timeout, block.time("proxy_read_timeout"));
        next_upstream(builder, block, &mut self.next);
        builder.set(&mut self.head_limit, block.size("proxy_buffer_size", 1, HEAD_LIMIT));
        let replay_limit = block.size("proxy_replay_buffer_size", 0, REPLAY_LIMIT);
        builder.set(&mut self.replay_limit, replay_limit);
        builder.set(&mut self.ignore_client_abort, block.switch("proxy_ignore_client_abort"));
        builder.set(&mut self.bind, block.one("proxy_bind").map(bind).transpose());
        builder.set(&mut self.socket_keepalive, block.switch("proxy_socket_keepalive"));
        builder.set(&mut self.intercept_errors, block.switch("proxy_intercept_errors"));
        self.tls.apply(builder, block);
        check_buffering(builder, block);
    }

    /// The `proxy_pass` of a location with all the settings of its level.
    pub(super) fn pass(
        &self,
        builder: &mut Builder,
        groups: &mut Groups,
        url: &Word,
        matcher: &Matcher,
    ) -> Result<ProxyPass, Fault> {
        let target = PassTarget::of_url(url)?;
        let group = groups.group_of(builder, &target)?;
        groups.used(group, self.connect_timeout);
        let tls = (target.scheme == Scheme::Tls).then_some(&self.tls);
        groups.spoken_to(builder, group, &target, tls)?;
        let mut set_headers = self.set_headers.clone();
        if !set_headers.iter().any(|header| header.name.eq_ignore_ascii_case(b"host")) {
            let value = Template { parts: vec![Part::Variable(Variable::ProxyHost)] };
            set_headers.insert(0, SetHeader { name: (*b"Host").into(), value });
        }
        Ok(ProxyPass {
            group,
            host: target.host_header().into(),
            port: target.port_text().into(),
            redirects: redirects(&self.redirects, &target, matcher),
            uri: target.uri.map(|uri| uri.as_bytes().into()),
            version: self.version,
            set_headers,
            hide_headers: hidden(self),
            connect_timeout: self.connect_timeout,
            send_timeout: self.send_timeout,
            read_timeout: self.read_timeout,
            next: self.next,
            head_limit: self.head_limit,
            replay_limit: self.replay_limit,
            ignore_client_abort: self.ignore_client_abort,
            bind: self.bind,
            socket_keepalive: self.socket_keepalive,
            intercept_errors: self.intercept_errors,
        })
    }
}

/// Checks the values of directives that have no effect here.
fn check_buffering(builder: &mut Builder, block: Block<'_>) {
    // Bodies always stream through buffers of fixed size, so a client sees no difference.
    builder.keep(block.switch("proxy_buffering"));
    builder.keep(block.size::<u64>("proxy_busy_buffers_size", 0, u64::MAX));
    if let Some(directive) = block.one("proxy_buffers") {
        let (count, size) = (first(directive), second(directive));
        let name = "proxy_buffers";
        builder.keep(within::<u64>(count, value::number(&count.text), name, 2, u64::MAX));
        builder.keep(within::<u64>(size, value::size(&size.text), name, 1, u64::MAX));
    }
    let on = builder.keep(block.switch("proxy_request_buffering")).flatten();
    if let (Some(true), Some(directive)) = (on, block.one("proxy_request_buffering")) {
        let name = "proxy_request_buffering";
        let reason = "request bodies are always streamed";
        builder.remark(directive.at, Remark::Undone { name, reason });
    }
}

fn set_header(builder: &Builder, directive: &Directive) -> Result<SetHeader, Fault> {
    let name = field_name(first(directive))?;
    Ok(SetHeader { name, value: builder.template(second(directive))? })
}

/// The fields that directives of a name list, in lowercase.
fn lower_names(builder: &mut Builder, block: Block<'_>, name: &str) -> Option<Vec<Box<[u8]>>> {
    builder.list(block, name, |_, directive| {
        field_name(first(directive)).map(|name| name.to_ascii_lowercase().into())
    })
}

fn redirect_rule(builder: &Builder, directive: &Directive) -> Result<Rule, Fault> {
    let from = first(directive);
    match others(directive).first() {
        None if from.text == "off" => Ok(Rule::Off),
        None if from.text == "default" => Ok(Rule::Default),
        None => {
            let allowed = "off, default, PREFIX REPLACEMENT";
            at(from, BuildError::Choice { found: from.text.clone(), allowed })
        }
        Some(_) if from.text.starts_with('~') => unsupported(from, NO_REGEX),
        Some(to) => {
            Ok(Rule::Pair(Redirect { from: builder.template(from)?, to: builder.template(to)? }))
        }
    }
}

fn next_upstream(builder: &mut Builder, block: Block<'_>, next: &mut NextUpstream) {
    let cases = block.one("proxy_next_upstream").map(|directive| next_cases(directive, *next));
    builder.set(next, cases.transpose());
    limits_of_next(builder, block, next);
}

/// `proxy_next_upstream_tries` and `_timeout`.
pub(super) fn limits_of_next(builder: &mut Builder, block: Block<'_>, next: &mut NextUpstream) {
    let tries = block.number("proxy_next_upstream_tries", 0, u32::MAX.into());
    builder.set(&mut next.tries, tries);
    let limit = block.time("proxy_next_upstream_timeout");
    let limit = limit.map(|time| time.map(|time| (time > Duration::ZERO).then_some(time)));
    builder.set(&mut next.timeout_after, limit);
}

/// What `proxy_redirect default` means for this location.
fn default_redirect(target: &PassTarget<'_>, matcher: &Matcher) -> Redirect {
    let (Matcher::Exact(path) | Matcher::Prefix(path)) = matcher;
    match target.uri {
        None => Redirect {
            from: Template::text(&format!("{}/", target.word.text)),
            to: Template::text("/"),
        },
        Some(_) => Redirect {
            from: Template::text(&target.word.text),
            to: Template::text(&String::from_utf8_lossy(path)),
        },
    }
}

fn redirects(rules: &[Rule], target: &PassTarget<'_>, matcher: &Matcher) -> Vec<Redirect> {
    let mut pairs = Vec::new();
    for rule in rules {
        match rule {
            // nginx: one `off` cancels all other rules of the level.
            Rule::Off => return Vec::new(),
            Rule::Default => pairs.push(default_redirect(target, matcher)),
            Rule::Pair(pair) => pairs.push(pair.clone()),
        }
    }
    pairs
}

/// Fields removed from responses: those hidden by default and by the file, less those passed.
fn hidden(level: &ProxyLevel) -> Vec<Box<[u8]>> {
    let mut hidden: Vec<Box<[u8]>> = Vec::new();
    let by_default = HIDDEN.iter().map(|name| Box::from(name.as_bytes()));
    for name in by_default.chain(level.hide_headers.iter().cloned()) {
        if !hidden.contains(&name) && !level.pass_headers.contains(&name) {
            hidden.push(name);
        }
    }
    hidden
}

fn version(word: &Word) -> Result<ProxyVersion, Fault> {
    match word.text.as_str() {
        "1.0" => Ok(ProxyVersion::Http10),
        "1.1" => Ok(ProxyVersion::Http11),
        "2" | "2.0" => unsupported(word, "servers are asked over HTTP/1.1"),
        other => at(word, BuildError::Choice { found: other.into(), allowed: "1.0, 1.1" }),
    }
}

/// `proxy_next_upstream` of `http {}`; tries and timeout stay as they are.
fn next_cases(directive: &Directive, limits: NextUpstream) -> Result<NextUpstream, Fault> {
    let never = NextUpstream {
        tries: limits.tries,
        timeout_after: limits.timeout_after,
        ..NextUpstream::NEVER
    };
    let mut next = never;
    for word in &directive.args {
        next_case(word, &mut next)?;
    }
    let off = directive.args.iter().any(|word| word.text == "off");
    Ok(if off { never } else { next })
}

fn next_case(word: &Word, next: &mut NextUpstream) -> Result<(), Fault> {
    let flag = match word.text.as_str() {
        "off" => return Ok(()),
        "error" => &mut next.error,
        "timeout" => &mut next.timeout,
        "invalid_header" => &mut next.invalid_header,
        "http_500" => &mut next.statuses.s500,
        "http_502" => &mut next.statuses.s502,
        "http_503" => &mut next.statuses.s503,
        "http_504" => &mut next.statuses.s504,
        "http_403" => &mut next.statuses.s403,
        "http_404" => &mut next.statuses.s404,
        "http_429" => &mut next.statuses.s429,
        "non_idempotent" => &mut next.non_idempotent,
        other => {
            let allowed = "error, timeout, invalid_header, http_500, http_502, http_503, http_504, \
                           http_403, http_404, http_429, non_idempotent, off";
            return at(word, BuildError::Choice { found: other.into(), allowed });
        }
    };
    *flag = true;
    Ok(())
}

pub(super) fn bind(directive: &Directive) -> Result<Option<SocketAddr>, Fault> {
    let word = first(directive);
    if let Some(more) = others(directive).first() {
        return unsupported(more, "only the proxy's own addresses can be bound");
    }
    if word.text.contains('$') {
        return unsupported(word, "the address must be known when the file is loaded");
    }
    if let Ok(ip) = word.text.parse() {
        return Ok(Some(SocketAddr::new(ip, 0)));
    }
    match value::place(&word.text) {
        Ok(UnresolvedAddress::Inet(Host::Ip(ip), port)) => {
            Ok(Some(SocketAddr::new(ip, port.unwrap_or(0))))
        }
        Ok(UnresolvedAddress::Inet(Host::Name(name), None)) if name == "off" => Ok(None),
        Ok(UnresolvedAddress::Inet(Host::Any | Host::Name(_), _) | UnresolvedAddress::Unix(_))
        | Err(_) => {
            let found = word.text.clone();
            at(word, BuildError::Choice { found, allowed: "IP, IP:PORT, off" })
        }
    }
}

impl Default for ProxyLevel {
    /// nginx's defaults, and ours where they differ on purpose.
    fn default() -> ProxyLevel {
        let minute = Duration::from_secs(60);
        ProxyLevel {
            tls: ProxyTls::default(),
            version: ProxyVersion::Http11,
            set_headers: Vec::new(),
            hide_headers: Vec::new(),
            pass_headers: Vec::new(),
            redirects: vec![Rule::Default],
            connect_timeout: minute,
            send_timeout: minute,
            read_timeout: minute,
            next: NextUpstream { error: true, timeout: true, ..NextUpstream::NEVER },
            // nginx: one page. Here it is only a limit, and Trino's heads are long.
            head_limit: 2 << 20,
            replay_limit: 256 << 10,
            ignore_client_abort: false,
            bind: None,
            socket_keepalive: false,
            intercept_errors: false,
        }
    }
}

/// Fields that address nginx itself. `Date` and `Server` pass: nginx hides them to send its own. So
/// does `X-Accel-Redirect`: nginx follows it, and without it the response would look empty.
const HIDDEN: [&str; 5] =
    ["x-pad", "x-accel-expires", "x-accel-limit-rate", "x-accel-buffering", "x-accel-charset"];
/// The largest response head that may be configured, in bytes.
const HEAD_LIMIT: u64 = 64 << 20;
/// The largest replay buffer that may be configured, in bytes per request.
const REPLAY_LIMIT: u64 = 1 << 30;
