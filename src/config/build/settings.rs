//! Settings that `http {}`, `server {}` and `location {}` share, and how each level inherits them.

use std::time::Duration;

use crate::config::build::block::{
    Block, at, field_name, first, others, second, set, status, time, unsupported, within,
};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::logs::Logs;
use crate::config::build::proxy::ProxyLevel;
use crate::config::build::tls::TlsLevel;
use crate::config::build::{real_ip, vain};
use crate::config::diagnostic::Fault;
use crate::config::model::{
    AddHeader, ErrorPage, ErrorPageStatus, HeadLimits, Lingering, LocationSettings, RealIp,
    RealIpSource,
};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;
use crate::config::text::value;

/// Everything that a level hands down to the levels inside it.
#[derive(Clone)]
pub(super) struct HttpLevel {
    pub(super) limits: HeadLimits,
    pub(super) settings: LocationSettings,
    pub(super) proxy: ProxyLevel,
    pub(super) tls: TlsLevel,
}

impl HttpLevel {
    /// Applies the request head limits of `http {}` or `server {}`.
    pub(super) fn apply_head_limits(&mut self, builder: &mut Builder, block: Block<'_>) {
        builder.set(&mut self.limits.header_timeout, block.time("client_header_timeout"));
        let size = block.size("client_header_buffer_size", 1, HEAD_LIMIT);
        builder.set(&mut self.limits.header_buffer, size);
        if let Some(directive) = block.one("large_client_header_buffers") {
            let (count, size) = (first(directive), second(directive));
            let name = "large_client_header_buffers";
            let count = within(count, value::number(&count.text), name, 1, 1024);
            builder.set(&mut self.limits.large_buffers, count.map(Some));
            let size = within(size, value::size(&size.text), name, 1, HEAD_LIMIT);
            builder.set(&mut self.limits.large_buffer_size, size.map(Some));
        }
        builder.set(&mut self.limits.underscores, block.switch("underscores_in_headers"));
        builder.set(&mut self.limits.merge_slashes, block.switch("merge_slashes"));
    }

    /// Applies the settings that all three levels may have.
    pub(super) fn apply(&mut self, builder: &mut Builder, logs: &mut Logs, block: Block<'_>) {
        let settings = &mut self.settings;
        let max_body = block.size::<u64>("client_max_body_size", 0, u64::MAX);
        let limited = |bytes: Option<u64>| bytes.map(|bytes| (bytes > 0).then_some(bytes));
        builder.set(&mut settings.max_body, max_body.map(limited));
        builder.set(&mut settings.body_timeout, block.time("client_body_timeout"));
        builder.set(&mut settings.send_timeout, block.time("send_timeout"));
        if let Some(directive) = block.one("keepalive_timeout") {
            let lasting = |time: Duration| (time > Duration::ZERO).then_some(time);
            let idle = time(first(directive));
            builder.set(&mut settings.keepalive_timeout, idle.map(|idle| Some(lasting(idle))));
            let told = others(directive).first().map(time).transpose();
            let told = told.map(|told| Some(told.and_then(lasting)));
            builder.set(&mut settings.keepalive_header, told);
        }
        let requests = block.number("keepalive_requests", 0, u64::MAX);
        builder.set(&mut settings.keepalive_requests, requests);
        builder.set(&mut settings.keepalive_time, block.time("keepalive_time"));
        let close = block.word("lingering_close").map(lingering).transpose();
        builder.set(&mut settings.lingering_close, close);
        builder.set(&mut settings.lingering_time, block.time("lingering_time"));
        builder.set(&mut settings.lingering_timeout, block.time("lingering_timeout"));
        builder.set(&mut settings.tcp_nodelay, block.switch("tcp_nodelay"));
        real_ip::apply(builder, block, &mut settings.real_ip);
        set(&mut settings.add_headers, builder.list(block, "add_header", add_header));
        set(&mut settings.error_pages, builder.list(block, "error_page", error_page));
        set(&mut settings.access_logs, logs.access_logs(builder, block));
        self.proxy.apply(builder, block);
        vain::remark_on_fields(builder, block);
    }
}

fn add_header(builder: &Builder, directive: &Directive) -> Result<AddHeader, Fault> {
    let always = match directive.args.get(2) {
        None => false,
        Some(word) if word.text == "always" => true,
        Some(word) => return at(word, BuildError::UnknownParameter(word.text.clone())),
    };
    let name = field_name(first(directive))?;
    Ok(AddHeader { name, value: builder.template(second(directive))?, always })
}

fn error_page(builder: &Builder, directive: &Directive) -> Result<ErrorPage, Fault> {
    let (uri, codes) = directive.args.split_last().expect("the number of arguments is checked");
    let (tells, codes) = match codes.split_last() {
        Some((word, codes)) if word.text.starts_with('=') => (page_status(word)?, codes),
        Some(_) | None => (ErrorPageStatus::Original, codes),
    };
    if codes.is_empty() {
        return at(
            uri,
            BuildError::Arguments { name: "error_page".into(), least: 2, most: usize::MAX },
        );
    }
    if uri.text.starts_with('@') {
        return unsupported(uri, "locations have no names");
    }
    if !uri.text.starts_with(['/', '$', 'h']) {
        return at(uri, BuildError::ErrorPageUri(uri.text.clone()));
    }
    let statuses = codes.iter().map(|word| status(word, 300, 599)).collect::<Result<_, _>>()?;
    Ok(ErrorPage { statuses, tells, uri: builder.template(uri)? })
}

/// `=` or `=CODE` of `error_page`.
fn page_status(word: &Word) -> Result<ErrorPageStatus, Fault> {
    let mut code = word.clone();
    code.text.remove(0);
    if code.text.is_empty() {
        return Ok(ErrorPageStatus::OfPage);
    }
    status(&code, 200, 599).map(ErrorPageStatus::Fixed)
}

fn lingering(word: &Word) -> Result<Lingering, Fault> {
    match word.text.as_str() {
        "off" => Ok(Lingering::Off),
        "on" => Ok(Lingering::On),
        "always" => Ok(Lingering::Always),
        other => at(word, BuildError::Choice { found: other.into(), allowed: "off, on, always" }),
    }
}

impl Default for HttpLevel {
    /// nginx's defaults, and ours where they differ on purpose.
    fn default() -> HttpLevel {
        let minute = Duration::from_secs(60);
        let limits = HeadLimits {
            header_timeout: minute,
            header_buffer: 1 << 10,
            large_buffers: 4,
            large_buffer_size: 8 << 10,
            underscores: false,
            merge_slashes: true,
        };
        let settings = LocationSettings {
            // nginx: 1m. Trino's bodies have no useful limit.
            max_body: None,
            body_timeout: minute,
            send_timeout: minute,
            keepalive_timeout: Some(Duration::from_secs(75)),
            keepalive_header: None,
            keepalive_requests: 1000,
            keepalive_time: Duration::from_secs(3600),
            lingering_close: Lingering::On,
            lingering_time: Duration::from_secs(30),
            // nginx: 5s. A client that is still reading needs far less.
            lingering_timeout: Duration::from_secs(1),
            tcp_nodelay: true,
            real_ip: RealIp {
                trusted: Vec::new(),
                source: RealIpSource::Field("x-real-ip".into()),
                recursive: false,
            },
            add_headers: Vec::new(),
            error_pages: Vec::new(),
            // nginx: logs/access.log.
            access_logs: Vec::new(),
        };
        HttpLevel { limits, settings, proxy: ProxyLevel::default(), tls: TlsLevel::default() }
    }
}

/// The largest request head buffer: Trino's heads reach 2 MB.
const HEAD_LIMIT: u64 = 2 << 20;
