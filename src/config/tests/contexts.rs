//! Every directive, in every context.

use crate::config::known::directives::{Contexts, KNOWN, Kind};
use crate::config::tests::{loaded, notices};
use crate::config::{BuildError, Problem, parse_text};

const ALL: [(Contexts, &str, &str); 9] = [
    (Contexts::MAIN, "", "\nhttp { }"),
    (Contexts::EVENTS, "events { ", " }"),
    (Contexts::HTTP, "http { ", " }"),
    (Contexts::UPSTREAM, "http { upstream u { server 127.0.0.1; ", " } }"),
    (Contexts::SERVER, "http { server { ", " } }"),
    (Contexts::LOCATION, "http { server { location / { ", " } } }"),
    (Contexts::STREAM, "stream { ", " }"),
    (Contexts::STREAM_UPSTREAM, "stream { upstream u { server 127.0.0.1:1; ", " } }"),
    (Contexts::STREAM_SERVER, "stream { server { listen 1; ", " proxy_pass 127.0.0.1:1; } }"),
];

/// Arguments that differ in `stream {}`.
const OF_STREAM: &[(&str, &str, &str)] = &[
    ("log_format", "a '$remote_addr $session_time'", "a '$host'"),
    ("access_log", "off", "a.log"),
    ("listen", "127.0.0.1:80", "127.0.0.1:80 default_server"),
    ("proxy_next_upstream", "off", "error"),
];

/// The arguments of a directive in a context, and the text around it.
fn arguments(
    name: &str,
    context: Contexts,
    after: &'static str,
) -> (&'static str, &'static str, &'static str) {
    let of_stream = Contexts::STREAM.or(Contexts::STREAM_SERVER).or(Contexts::STREAM_UPSTREAM);
    if name == "proxy_pass" && context == Contexts::STREAM_SERVER {
        // The `listen` that is already there makes way.
        return ("127.0.0.1:8080", "127.0.0.1", " } }");
    }
    let others = OF_STREAM.iter().filter(|_| of_stream.meets(context));
    let (_, right, wrong) =
        others.chain(ARGUMENTS).find(|(known, ..)| *known == name).expect("it is in the table");
    (right, wrong, after)
}

/// Valid arguments, and invalid ones where any exist.
const ARGUMENTS: &[(&str, &str, &str)] = &[
    ("pid", "a.pid", ""),
    ("control", "unix:a.sock", "127.0.0.1:80"),
    ("state", "a.state", ""),
    ("error_log", "stderr info", "stderr loud"),
    ("daemon", "off", "maybe"),
    ("splice", "off", "maybe"),
    ("master_process", "on", "maybe"),
    ("worker_processes", "4", "many"),
    ("worker_rlimit_nofile", "1024", "many"),
    ("worker_shutdown_timeout", "5s", "soon"),
    ("user", "nobody nogroup", ""),
    ("worker_connections", "1024", "many"),
    ("worker_buffer_memory", "64m", "much"),
    ("log_format", "a '$host'", "a $nothing"),
    ("ssl_certificate", "a.pem", ""),
    ("ssl_certificate_key", "a.key", ""),
    ("ssl_protocols", "TLSv1 TLSv1.3", "TLSv1.4"),
    ("ssl_ciphers", "HIGH:!aNULL:!MD5", "RC4"),
    ("ssl_prefer_server_ciphers", "on", "maybe"),
    ("ssl_session_cache", "shared:SSL:10m", "shared:SSL"),
    ("ssl_session_tickets", "off", "maybe"),
    ("ssl_session_timeout", "10m", "soon"),
    ("ssl_preread", "off", "maybe"),
    ("preread_buffer_size", "16k", "much"),
    ("preread_timeout", "30s", "soon"),
    ("ssl_handshake_timeout", "5s", "soon"),
    ("server", "127.0.0.2:8080 weight=2", "127.0.0.2:http"),
    ("keepalive", "8", "many"),
    ("keepalive_requests", "8", "many"),
    ("keepalive_time", "8s", "long"),
    ("keepalive_timeout", "8s", "long"),
    ("trino", "on", "maybe"),
    ("trino_announcements", "active", "some"),
    ("trino_resubmit", "on doubt=5s", "maybe"),
    ("trino_statement_memory", "1m", "much"),
    ("health_check", "interval=2s fails=3 uri=/", "interval=soon"),
    ("failback", "after=5s", "after=long"),
    ("queue", "8 timeout=2s", "many"),
    ("listen", "127.0.0.1:80 default_server", "127.0.0.1:http"),
    ("server_name", "a *.b", "a.*.b"),
    ("return", "200 ok", "20 ok"),
    ("client_header_timeout", "8s", "long"),
    ("client_header_buffer_size", "2k", "large"),
    ("large_client_header_buffers", "4 2m", "4 large"),
    ("underscores_in_headers", "on", "maybe"),
    ("merge_slashes", "off", "maybe"),
    ("client_body_timeout", "8s", "long"),
    ("client_max_body_size", "2g", "large"),
    ("send_timeout", "8s", "long"),
    ("lingering_close", "always", "maybe"),
    ("lingering_time", "8s", "long"),
    ("lingering_timeout", "8s", "long"),
    ("tcp_nodelay", "off", "maybe"),
    ("add_header", "A b always", "A b never"),
    ("error_page", "502 =200 /a", "20 /a"),
    ("access_log", "a.log combined buffer=8k flush=1s", "a.log nothing"),
    ("proxy_pass", "http://127.0.0.1:8080/a", "ftp://127.0.0.1"),
    ("proxy_http_version", "1.0", "1.2"),
    ("proxy_set_header", "A $host", "A $nothing"),
    ("proxy_hide_header", "A", "'A B'"),
    ("proxy_pass_header", "A", "'A B'"),
    ("proxy_redirect", "http://a/ /", "~a /"),
    ("proxy_connect_timeout", "8s", "long"),
    ("proxy_send_timeout", "8s", "long"),
    ("proxy_read_timeout", "8s", "long"),
    ("proxy_next_upstream", "error http_503 non_idempotent", "sometimes"),
    ("proxy_next_upstream_tries", "2", "many"),
    ("proxy_next_upstream_timeout", "8s", "long"),
    ("proxy_buffer_size", "8k", "large"),
    ("proxy_replay_buffer_size", "8k", "large"),
    ("proxy_buffering", "off", "maybe"),
    ("proxy_buffers", "8 8k", "8 large"),
    ("proxy_busy_buffers_size", "8k", "large"),
    ("proxy_request_buffering", "off", "maybe"),
    ("proxy_ignore_client_abort", "on", "maybe"),
    ("proxy_bind", "127.0.0.1", "nowhere"),
    ("proxy_socket_keepalive", "on", "maybe"),
    ("proxy_intercept_errors", "on", "maybe"),
    ("proxy_timeout", "8s", "long"),
    ("ssl_verify_client", "optional", "maybe"),
    ("ssl_verify_depth", "2", "deep"),
    ("ssl_client_certificate", "a.pem", ""),
    ("ssl_trusted_certificate", "a.pem", ""),
    ("ssl_crl", "a.pem", ""),
    ("ssl_reject_handshake", "on", "maybe"),
    ("proxy_ssl", "on", "maybe"),
    ("proxy_ssl_verify", "on", "maybe"),
    ("proxy_ssl_verify_depth", "2", "deep"),
    ("proxy_ssl_trusted_certificate", "a.pem", ""),
    ("proxy_ssl_name", "a.example.org", ""),
    ("proxy_ssl_server_name", "on", "maybe"),
    ("proxy_ssl_certificate", "a.pem", ""),
    ("proxy_ssl_certificate_key", "a.key", ""),
    ("proxy_ssl_protocols", "TLSv1.2", "TLSv1.4"),
    ("proxy_ssl_ciphers", "DEFAULT", "RC4"),
    ("proxy_ssl_session_reuse", "off", "maybe"),
    ("proxy_half_close", "off", "maybe"),
    ("proxy_protocol", "v2", "v3"),
    ("proxy_protocol_timeout", "8s", "long"),
    ("h2c_tunnel", "auto", "maybe"),
    ("set_real_ip_from", "10.0.0.0/8", "everywhere"),
    ("real_ip_header", "X-Forwarded-For", "'A B'"),
    ("real_ip_recursive", "on", "maybe"),
];

#[test]
fn each_directive_is_read_in_its_contexts_and_wrong_values_are_refused_there() {
    for known in KNOWN.iter().filter(|known| matches!(known.kind, Kind::Once | Kind::Many)) {
        for (context, before, after) in ALL {
            if !known.contexts.meets(context) {
                continue;
            }
            let (right, wrong, after) = arguments(known.name, context, after);
            loaded(&format!("{before}{} {right};{after}", known.name));
            let text = format!("{before}{} {wrong};{after}", known.name);
            let refused = parse_text("a.conf", text.as_bytes()).is_err();
            assert!(refused || wrong.is_empty(), "accepted: {text}");
        }
    }
}

#[test]
fn each_directive_is_misplaced_everywhere_else() {
    for known in KNOWN {
        for (context, before, after) in ALL {
            if crate::config::known::directives::find(known.name, context).is_some() {
                continue;
            }
            let text = format!("{before}{} a;{after}", known.name);
            let error = parse_text("a.conf", text.as_bytes()).expect_err(&text);
            let misplaced = matches!(
                error.problem(),
                Problem::Build(BuildError::Misplaced { .. } | BuildError::NotInStream { .. })
            );
            assert!(misplaced, "{error}");
        }
    }
}

#[test]
fn each_directive_that_may_stand_once_is_refused_twice() {
    for known in KNOWN.iter().filter(|known| matches!(known.kind, Kind::Once)) {
        for (context, before, after) in ALL {
            if known.contexts.meets(context) {
                let (right, _, after) = arguments(known.name, context, after);
                let text = format!("{before}{0} {right};{0} {right};{after}", known.name);
                let error = parse_text("a.conf", text.as_bytes()).expect_err(&text);
                assert!(error.to_string().contains("is given twice"), "{error}");
            }
        }
    }
}

#[test]
fn hints_are_accepted_with_a_notice_that_shows_their_place() {
    assert_eq!(
        notices("server {\n sendfile on;\n types { text/html html; }\n}"),
        "\"sendfile\" has no meaning for switchover in a.conf:2\n\
         \"types\" has no meaning for switchover in a.conf:3"
    );
}

#[test]
fn what_is_asked_for_and_never_done_is_a_warning() {
    assert_eq!(
        notices(
            "load_module a.so;\nload_module b.so;\ngzip on;\ngzip_types a/b;\nssl_stapling on;
             server {\n ssl_dhparam a;\n gzip on;\n location / { proxy_pass http://127.0.0.1;
             try_files $uri @a;\n proxy_request_buffering on; }\n location /a { gzip off; allow all; }\n}"
        ),
        "\"load_module\" has no meaning for switchover in a.conf:1\n\
         \"gzip\" has no effect: bodies pass through unchanged in a.conf:3\n\
         \"gzip_types\" has no meaning for switchover in a.conf:4\n\
         \"ssl_stapling\" has no meaning for switchover in a.conf:5\n\
         \"ssl_dhparam\" has no meaning for switchover in a.conf:7\n\
         \"try_files\" has no effect: every request is passed on, files are not looked for in a.conf:10\n\
         \"proxy_request_buffering\" has no effect: request bodies are always streamed in a.conf:11"
    );
}

#[test]
fn a_field_that_is_set_in_vain_is_a_warning_that_says_why() {
    let framing = "switchover frames each body itself";
    let hop = "this field is for one hop, and switchover writes its own";
    for (directive, reason) in [
        ("proxy_set_header Content-Length 5", framing),
        ("proxy_set_header content-length ''", framing),
        ("proxy_set_header Transfer-Encoding chunked", framing),
        ("proxy_set_header TE $http_te", hop),
        ("proxy_set_header Keep-Alive 5", hop),
        ("proxy_set_header Proxy-Connection a", hop),
        ("proxy_set_header HTTP2-Settings a", hop),
        (
            "proxy_set_header Connection X-Mine",
            "only \"close\", \"keep-alive\" and \"upgrade\" are understood",
        ),
        ("proxy_set_header Connection Upgrade", "it needs \"Upgrade $http_upgrade\" beside it"),
        ("proxy_set_header Upgrade $http_upgrade", "it needs \"Connection upgrade\" beside it"),
        ("add_header Content-Length 5", framing),
        ("add_header Transfer-Encoding chunked always", framing),
        ("add_header Connection close", hop),
        ("add_header Keep-Alive timeout=5", hop),
        ("add_header Upgrade h2c", hop),
        ("proxy_hide_header Content-Length", framing),
        ("proxy_pass_header Connection", hop),
    ] {
        let field: Vec<&str> = directive.split(' ').take(2).collect();
        let expected = format!("\"{}\" has no effect: {reason} in a.conf:2", field.join(" "));
        assert_eq!(notices(&format!("server {{\n{directive}; }}")), expected, "{directive}");
        let level = loaded(&format!("server {{ {directive}; }}")).notices[0].level;
        assert_eq!(level, log::Level::Warn);
    }
    for directives in [
        "proxy_set_header Connection ''; proxy_set_header Upgrade ''",
        "proxy_set_header Connection 'Keep-Alive, close'",
        "proxy_set_header Connection $http_connection",
        "proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade",
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_upgrade",
        "proxy_set_header TE ''; proxy_set_header Transfer-Encoding ''",
        "proxy_set_header Expect ''; proxy_set_header Host a; add_header Date a",
        "add_header Connection ''; proxy_hide_header Connection; proxy_pass_header Server",
    ] {
        assert_eq!(notices(&format!("server {{ {directives}; }}")), "");
    }
}

#[test]
fn main_directives_may_stand_beside_servers_where_there_is_no_http_block() {
    let loaded = loaded("daemon on; events { worker_connections 99; } server { listen 81; }");
    assert!(loaded.config.process.daemon);
    assert_eq!(loaded.config.process.worker_connections, 99);
    assert_eq!(loaded.config.virtual_servers.len(), 1);
}

#[test]
fn a_file_without_servers_is_worth_a_warning() {
    assert_eq!(notices("daemon off;"), "the configuration has no \"server {}\"");
}
