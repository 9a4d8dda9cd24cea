//! Every known directive: its contexts, number of arguments, and whether it may repeat.

/// A set of contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts(u16);

impl Contexts {
    /// Outside all blocks.
    pub const MAIN: Contexts = Contexts(1);
    /// `events {}`.
    pub const EVENTS: Contexts = Contexts(2);
    /// `http {}`.
    pub const HTTP: Contexts = Contexts(4);
    /// `upstream {}`.
    pub const UPSTREAM: Contexts = Contexts(8);
    /// `server {}` of `http {}`.
    pub const SERVER: Contexts = Contexts(16);
    /// `location {}`.
    pub const LOCATION: Contexts = Contexts(32);
    /// `stream {}`.
    pub const STREAM: Contexts = Contexts(64);
    /// `upstream {}` of `stream {}`.
    pub const STREAM_UPSTREAM: Contexts = Contexts(128);
    /// `server {}` of `stream {}`.
    pub const STREAM_SERVER: Contexts = Contexts(256);

    /// The union of both sets.
    pub const fn or(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// Whether both sets have a context in common.
    pub const fn meets(self, other: Contexts) -> bool {
        self.0 & other.0 != 0
    }

    /// The contexts as a message names them to a reader of a block in `around`: `"http {}" or
    /// "server {}"`.
    pub fn names(self, around: Contexts) -> String {
        let is_ambiguous = |context| around.meets(IN_STREAM) && TWOFOLD.meets(context);
        let names: Vec<String> = CONTEXT_NAMES
            .iter()
            .filter(|(context, _)| self.meets(*context))
            .map(|(context, name)| {
                let of_http = if is_ambiguous(*context) { " of \"http {}\"" } else { "" };
                format!("{name}{of_http}")
            })
            .collect();
        names.join(" or ")
    }
}

/// Names of contexts in messages.
const CONTEXT_NAMES: [(Contexts, &str); 9] = [
    (Contexts::MAIN, "the main context"),
    (Contexts::EVENTS, "\"events {}\""),
    (Contexts::HTTP, "\"http {}\""),
    (Contexts::UPSTREAM, "\"upstream {}\""),
    (Contexts::SERVER, "\"server {}\""),
    (Contexts::LOCATION, "\"location {}\""),
    (Contexts::STREAM, "\"stream {}\""),
    (Contexts::STREAM_UPSTREAM, "\"upstream {}\" of \"stream {}\""),
    (Contexts::STREAM_SERVER, "\"server {}\" of \"stream {}\""),
];

/// All contexts of `stream {}`.
pub const IN_STREAM: Contexts =
    Contexts::STREAM.or(Contexts::STREAM_UPSTREAM).or(Contexts::STREAM_SERVER);
/// Blocks of `http {}` whose names also exist in `stream {}`.
const TWOFOLD: Contexts = Contexts::UPSTREAM.or(Contexts::SERVER);

/// A known directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDirective {
    /// Its name.
    pub name: &'static str,
    /// The contexts that allow it.
    pub contexts: Contexts,
    /// The fewest arguments.
    pub least: usize,
    /// The most arguments.
    pub most: usize,
    /// Its form, and any restriction.
    pub kind: Kind,
}

/// The form of a directive, or why it has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ends with `;`, at most once per block.
    Once,
    /// Ends with `;`, any number of times.
    Many,
    /// Has braces, at most once per block.
    Block,
    /// Has braces, any number of times.
    Blocks,
    /// A resource hint with no effect, with or without braces; a notice says so.
    Hint,
    /// Accepted with this argument only, which asks for nothing.
    Only(&'static str),
    /// Has no effect, for this reason: a warning says so unless the argument is `off`.
    Undone(&'static str),
    /// Has no effect in a location that passes requests on, and is refused elsewhere.
    BesideProxyPass,
}

/// The directive with that name that is allowed in one of these contexts.
pub fn find(name: &str, contexts: Contexts) -> Option<&'static KnownDirective> {
    KNOWN.iter().find(|known| known.name == name && known.contexts.meets(contexts))
}

/// Whether a directive of that name has braces in some context.
pub fn is_block(name: &str) -> bool {
    let of_name = |known: &&KnownDirective| known.name == name;
    KNOWN.iter().filter(of_name).any(|known| matches!(known.kind, Kind::Block | Kind::Blocks))
}

/// All contexts that allow a directive with that name. `None` if it is unknown.
pub fn contexts_of(name: &str) -> Option<Contexts> {
    let same = KNOWN.iter().filter(|known| known.name == name);
    same.map(|known| known.contexts).reduce(Contexts::or)
}

const MAIN: Contexts = Contexts::MAIN;
const EVENTS: Contexts = Contexts::EVENTS;
const HTTP: Contexts = Contexts::HTTP;
const UPSTREAM: Contexts = Contexts::UPSTREAM;
const SERVER: Contexts = Contexts::SERVER;
const LOCATION: Contexts = Contexts::LOCATION;
const SERVERS: Contexts = HTTP.or(SERVER);
const LOCATIONS: Contexts = HTTP.or(SERVER).or(LOCATION);
const STREAM: Contexts = Contexts::STREAM;
const STREAM_UPSTREAM: Contexts = Contexts::STREAM_UPSTREAM;
const STREAM_SERVER: Contexts = Contexts::STREAM_SERVER;
const STREAMS: Contexts = STREAM.or(STREAM_SERVER);
/// Contexts in which a proxy's two sides are configured.
const PROXIES: Contexts = LOCATIONS.or(STREAMS);
/// Contexts in which TLS is configured.
const TLS: Contexts = SERVERS.or(STREAMS);
/// Why HTTP/2 is not spoken where it is asked for.
pub const HTTP1: &str = "clients are offered HTTP/1.1";
/// No upper limit on arguments.
const ANY: usize = usize::MAX;

const fn known(
    name: &'static str,
    contexts: Contexts,
    least: usize,
    most: usize,
    kind: Kind,
) -> KnownDirective {
    KnownDirective { name, contexts, least, most, kind }
}

const fn one(name: &'static str, contexts: Contexts) -> KnownDirective {
    known(name, contexts, 1, 1, Kind::Once)
}

const fn hint(name: &'static str, contexts: Contexts) -> KnownDirective {
    known(name, contexts, 0, ANY, Kind::Hint)
}

/// One that acts in a build with TLS. In others it is a hint, as no server listens with `ssl` there.
const fn tls(name: &'static str, most: usize, kind: Kind) -> KnownDirective {
    match cfg!(feature = "tls") {
        true => known(name, TLS, 1, most, kind),
        false => hint(name, TLS),
    }
}

const fn only(name: &'static str, contexts: Contexts, word: &'static str) -> KnownDirective {
    known(name, contexts, 1, ANY, Kind::Only(word))
}

const fn undone(name: &'static str, contexts: Contexts, reason: &'static str) -> KnownDirective {
    known(name, contexts, 1, ANY, Kind::Undone(reason))
}

/// Every known directive. A name may appear twice, with different contexts.
pub const KNOWN: &[KnownDirective] = &[
    known("events", MAIN, 0, 0, Kind::Block),
    known("http", MAIN, 0, 0, Kind::Block),
    known("stream", MAIN, 0, 0, Kind::Block),
    one("pid", MAIN),
    one("control", MAIN),
    one("state", MAIN),
    known("error_log", MAIN.or(PROXIES), 1, 2, Kind::Many),
    one("daemon", MAIN),
    one("splice", MAIN),
    one("master_process", MAIN),
    one("worker_processes", MAIN),
    one("worker_rlimit_nofile", MAIN),
    one("worker_shutdown_timeout", MAIN),
    known("user", MAIN, 1, 2, Kind::Once),
    one("worker_connections", EVENTS),
    one("worker_buffer_memory", EVENTS),
    known("upstream", HTTP.or(STREAM), 1, 1, Kind::Blocks),
    known("server", HTTP.or(STREAM), 0, 0, Kind::Blocks),
    known("log_format", HTTP.or(STREAM), 2, ANY, Kind::Many),
    known("server", UPSTREAM.or(STREAM_UPSTREAM), 1, ANY, Kind::Many),
    one("keepalive", UPSTREAM),
    one("keepalive_requests", UPSTREAM.or(LOCATIONS)),
    one("keepalive_time", UPSTREAM.or(LOCATIONS)),
    one("keepalive_timeout", UPSTREAM),
    one("trino", UPSTREAM),
    one("trino_announcements", UPSTREAM),
    known("trino_resubmit", UPSTREAM, 1, 2, Kind::Once),
    one("trino_statement_memory", UPSTREAM),
    known("health_check", UPSTREAM.or(STREAM_UPSTREAM), 0, ANY, Kind::Once),
    one("failback", UPSTREAM.or(STREAM_UPSTREAM)),
    known("queue", UPSTREAM, 1, 2, Kind::Once),
    known("listen", SERVER.or(STREAM_SERVER), 1, ANY, Kind::Many),
    known("server_name", SERVER, 1, ANY, Kind::Many),
    one("h2c_tunnel", SERVER),
    known("set_real_ip_from", PROXIES, 1, 1, Kind::Many),
    one("real_ip_header", LOCATIONS),
    one("real_ip_recursive", LOCATIONS),
    known("location", SERVER.or(LOCATION), 1, 2, Kind::Blocks),
    known("return", SERVER.or(LOCATION), 1, 2, Kind::Many),
    one("client_header_timeout", SERVERS),
    one("client_header_buffer_size", SERVERS),
    known("large_client_header_buffers", SERVERS, 2, 2, Kind::Once),
    one("underscores_in_headers", SERVERS),
    one("merge_slashes", SERVERS),
    one("client_body_timeout", LOCATIONS),
    one("client_max_body_size", LOCATIONS),
    one("send_timeout", LOCATIONS),
    known("keepalive_timeout", LOCATIONS, 1, 2, Kind::Once),
    one("lingering_close", LOCATIONS),
    one("lingering_time", LOCATIONS),
    one("lingering_timeout", LOCATIONS),
    one("tcp_nodelay", PROXIES),
    known("add_header", LOCATIONS, 2, 3, Kind::Many),
    known("error_page", LOCATIONS, 2, ANY, Kind::Many),
    known("access_log", PROXIES, 1, ANY, Kind::Many),
    one("proxy_pass", LOCATION.or(STREAM_SERVER)),
    one("proxy_http_version", LOCATIONS),
    known("proxy_set_header", LOCATIONS, 2, 2, Kind::Many),
    known("proxy_hide_header", LOCATIONS, 1, 1, Kind::Many),
    known("proxy_pass_header", LOCATIONS, 1, 1, Kind::Many),
    known("proxy_redirect", LOCATIONS, 1, 2, Kind::Many),
    one("proxy_connect_timeout", PROXIES),
    one("proxy_send_timeout", LOCATIONS),
    one("proxy_read_timeout", LOCATIONS),
    known("proxy_next_upstream", LOCATIONS, 1, ANY, Kind::Once),
    one("proxy_next_upstream_tries", PROXIES),
    one("proxy_next_upstream_timeout", PROXIES),
    one("proxy_buffer_size", PROXIES),
    one("proxy_replay_buffer_size", LOCATIONS),
    one("proxy_buffering", LOCATIONS),
    known("proxy_buffers", LOCATIONS, 2, 2, Kind::Once),
    one("proxy_busy_buffers_size", LOCATIONS),
    one("proxy_request_buffering", LOCATIONS),
    one("proxy_ignore_client_abort", LOCATIONS),
    known("proxy_bind", PROXIES, 1, 2, Kind::Once),
    one("proxy_socket_keepalive", PROXIES),
    one("proxy_intercept_errors", LOCATIONS),
    one("proxy_next_upstream", STREAMS),
    one("proxy_timeout", STREAMS),
    one("proxy_half_close", STREAMS),
    one("proxy_protocol", STREAMS),
    one("proxy_protocol_timeout", STREAMS),
    hint("debug_points", MAIN),
    hint("env", MAIN),
    hint("load_module", MAIN),
    hint("lock_file", MAIN),
    hint("pcre_jit", MAIN),
    hint("thread_pool", MAIN),
    hint("timer_resolution", MAIN),
    hint("worker_cpu_affinity", MAIN),
    hint("worker_priority", MAIN),
    hint("worker_rlimit_core", MAIN),
    hint("accept_mutex", EVENTS),
    hint("accept_mutex_delay", EVENTS),
    hint("multi_accept", EVENTS),
    hint("use", EVENTS),
    hint("worker_aio_requests", EVENTS),
    hint("zone", UPSTREAM.or(STREAM_UPSTREAM)),
    hint("aio", LOCATIONS),
    hint("client_body_buffer_size", LOCATIONS),
    hint("client_body_in_single_buffer", LOCATIONS),
    hint("client_body_temp_path", LOCATIONS),
    hint("connection_pool_size", SERVERS),
    hint("default_type", LOCATIONS),
    hint("directio", LOCATIONS),
    hint("gzip_buffers", LOCATIONS),
    hint("gzip_comp_level", LOCATIONS),
    hint("gzip_disable", LOCATIONS),
    hint("gzip_http_version", LOCATIONS),
    hint("gzip_min_length", LOCATIONS),
    hint("gzip_proxied", LOCATIONS),
    hint("gzip_types", LOCATIONS),
    hint("gzip_vary", LOCATIONS),
    hint("index", LOCATIONS),
    hint("log_not_found", LOCATIONS),
    hint("log_subrequest", LOCATIONS),
    hint("open_file_cache", LOCATIONS),
    hint("open_file_cache_errors", LOCATIONS),
    hint("open_file_cache_min_uses", LOCATIONS),
    hint("open_file_cache_valid", LOCATIONS),
    hint("open_log_file_cache", PROXIES),
    hint("output_buffers", LOCATIONS),
    hint("postpone_output", LOCATIONS),
    hint("proxy_headers_hash_bucket_size", LOCATIONS),
    hint("proxy_headers_hash_max_size", LOCATIONS),
    hint("proxy_max_temp_file_size", LOCATIONS),
    hint("proxy_temp_file_write_size", LOCATIONS),
    hint("proxy_temp_path", LOCATIONS),
    hint("read_ahead", LOCATIONS),
    hint("request_pool_size", SERVERS),
    hint("reset_timedout_connection", LOCATIONS),
    hint("root", LOCATIONS),
    hint("send_lowat", LOCATIONS),
    hint("sendfile", LOCATIONS),
    hint("sendfile_max_chunk", LOCATIONS),
    hint("server_names_hash_bucket_size", HTTP.or(STREAM)),
    hint("server_names_hash_max_size", HTTP.or(STREAM)),
    hint("server_tokens", LOCATIONS),
    hint("ssl_alpn", TLS),
    hint("ssl_buffer_size", TLS),
    tls("ssl_certificate", 1, Kind::Many),
    hint("ssl_certificate_cache", TLS),
    hint("ssl_certificate_compression", TLS),
    tls("ssl_certificate_key", 1, Kind::Many),
    tls("ssl_ciphers", 1, Kind::Once),
    tls("ssl_client_certificate", 1, Kind::Once),
    hint("ssl_conf_command", TLS),
    tls("ssl_crl", 1, Kind::Once),
    hint("ssl_dhparam", TLS),
    hint("ssl_early_data", TLS),
    hint("ssl_ecdh_curve", TLS),
    hint("ssl_ech_file", TLS),
    match cfg!(feature = "tls") {
        true => one("ssl_handshake_timeout", STREAMS),
        false => hint("ssl_handshake_timeout", STREAMS),
    },
    hint("ssl_key_log", TLS),
    hint("ssl_ocsp", TLS),
    hint("ssl_ocsp_cache", TLS),
    hint("ssl_ocsp_responder", TLS),
    hint("ssl_password_file", TLS),
    tls("ssl_prefer_server_ciphers", 1, Kind::Once),
    tls("ssl_protocols", ANY, Kind::Once),
    tls("ssl_reject_handshake", 1, Kind::Once),
    tls("ssl_session_cache", 2, Kind::Once),
    hint("ssl_session_ticket_key", TLS),
    tls("ssl_session_tickets", 1, Kind::Once),
    tls("ssl_session_timeout", 1, Kind::Once),
    hint("ssl_stapling", TLS),
    hint("ssl_stapling_file", TLS),
    hint("ssl_stapling_responder", TLS),
    hint("ssl_stapling_verify", TLS),
    tls("ssl_trusted_certificate", 1, Kind::Once),
    tls("ssl_verify_client", 1, Kind::Once),
    tls("ssl_verify_depth", 1, Kind::Once),
    hint("tcp_nopush", LOCATIONS),
    hint("types", LOCATIONS),
    hint("types_hash_bucket_size", LOCATIONS),
    hint("types_hash_max_size", LOCATIONS),
    hint("variables_hash_bucket_size", HTTP.or(STREAM)),
    hint("variables_hash_max_size", HTTP.or(STREAM)),
    undone("gzip", LOCATIONS, "bodies pass through unchanged"),
    undone("gzip_static", LOCATIONS, "files are not served"),
    known("try_files", SERVER.or(LOCATION), 2, ANY, Kind::BesideProxyPass),
    only("allow", PROXIES, "all"),
    only("auth_basic", LOCATIONS, "off"),
    only("autoindex", LOCATIONS, "off"),
    only("charset", LOCATIONS, "off"),
    only("chunked_transfer_encoding", LOCATIONS, "on"),
    only("client_body_in_file_only", LOCATIONS, "off"),
    only("gunzip", LOCATIONS, "off"),
    match cfg!(feature = "tls") {
        true => undone("http2", SERVERS, HTTP1),
        false => only("http2", SERVERS, "off"),
    },
    only("http3", SERVERS, "off"),
    only("ignore_invalid_headers", SERVERS, "on"),
    only("limit_rate", LOCATIONS, "0"),
    only("proxy_cache", LOCATIONS, "off"),
    only("proxy_force_ranges", LOCATIONS, "off"),
    only("proxy_download_rate", STREAMS, "0"),
    only("proxy_limit_rate", LOCATIONS, "0"),
    only("proxy_pass_request_body", LOCATIONS, "on"),
    only("proxy_pass_request_headers", LOCATIONS, "on"),
    only("proxy_requests", STREAMS, "0"),
    only("proxy_responses", STREAMS, "0"),
    #[cfg(not(feature = "tls"))]
    only("proxy_ssl", STREAMS, "off"),
    #[cfg(feature = "tls")]
    one("proxy_ssl", STREAMS),
    #[cfg(feature = "tls")]
    one("proxy_ssl_verify", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_verify_depth", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_trusted_certificate", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_name", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_server_name", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_certificate", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_certificate_key", PROXIES),
    #[cfg(feature = "tls")]
    known("proxy_ssl_protocols", PROXIES, 1, ANY, Kind::Once),
    #[cfg(feature = "tls")]
    one("proxy_ssl_ciphers", PROXIES),
    #[cfg(feature = "tls")]
    one("proxy_ssl_session_reuse", PROXIES),
    only("proxy_store", LOCATIONS, "off"),
    only("proxy_upload_rate", STREAMS, "0"),
    match cfg!(feature = "tls") {
        true => one("ssl_preread", STREAMS),
        false => only("ssl_preread", STREAMS, "off"),
    },
    one("preread_buffer_size", STREAMS),
    one("preread_timeout", STREAMS),
    only("ssi", LOCATIONS, "off"),
];
