//! nginx's directives that are refused, each with a reason: never ignored, never "unknown".

/// Why a directive with that name is refused. `None` if nginx has no such directive.
pub(in crate::config) fn reason(name: &str) -> Option<&'static str> {
    let listed = GROUPS.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason);
    let family = || FAMILIES.iter().find(|(p, _)| name.starts_with(p)).map(|(_, reason)| *reason);
    listed.or_else(family)
}

/// Why a directive with that name is refused in `stream {}`, if nginx supports it there and we
/// support it only elsewhere or refuse it elsewhere for another reason.
pub(in crate::config) fn reason_in_stream(name: &str) -> Option<&'static str> {
    match name {
        "return" => Some("connections are passed on, never answered"),
        "server_name" => Some("connections are not read, so no name is known"),
        "set" => Some(VARIABLES),
        "pass" => Some("connections go to servers, not to other listeners"),
        "limit_conn" | "limit_conn_zone" | "limit_conn_dry_run" | "limit_conn_log_level" => {
            Some("connections are not limited")
        }
        _ => None,
    }
}

const BALANCING: &str = "servers are chosen by weighted round robin, primaries before backups";
const REWRITING: &str = "requests are not rewritten or tested; use locations and \"return\"";
const FILES: &str = "files are not served";
const ACCESS: &str = "access is not controlled here";
const LIMITS: &str = "requests are not rate limited";
const TLS: &str = "this build has no TLS";
const CACHE: &str = "responses are not cached";
const CONTENT: &str = "bodies pass through unchanged";
const VARIABLES: &str = "variables cannot be defined";
const OTHERS: &str = "only HTTP servers can be asked";
const MISSING: &str = "it is not implemented";

/// Names, and the reason that they share.
const GROUPS: &[(&[&str], &str)] = &[
    (&["ip_hash", "least_conn", "least_time", "hash", "random", "sticky"], BALANCING),
    (
        &["ntlm", "state", "resolver", "resolver_timeout"],
        "names are resolved when the file is loaded",
    ),
    (
        &[
            "if",
            "rewrite",
            "set",
            "break",
            "rewrite_log",
            "uninitialized_variable_warn",
            "internal",
            "recursive_error_pages",
            "post_action",
            "mirror",
            "mirror_request_body",
        ],
        REWRITING,
    ),
    (
        &[
            "alias",
            "disable_symlinks",
            "dav_methods",
            "dav_access",
            "create_full_put_path",
            "min_delete_depth",
            "expires",
            "etag",
            "if_modified_since",
            "max_ranges",
            "random_index",
            "empty_gif",
            "flv",
            "mp4",
            "autoindex_exact_size",
            "autoindex_format",
            "autoindex_localtime",
            "directio_alignment",
            "limit_rate_after",
        ],
        FILES,
    ),
    (
        &[
            "allow",
            "deny",
            "satisfy",
            "auth_basic_user_file",
            "auth_delay",
            "auth_request",
            "auth_request_set",
            "limit_except",
            "valid_referers",
            "referer_hash_bucket_size",
            "referer_hash_max_size",
        ],
        ACCESS,
    ),
    (&["mail"], "only \"http {}\" and \"stream {}\" are supported"),
    (&["proxy_upload_rate", "proxy_download_rate"], LIMITS),
    (&["proxy_requests", "proxy_responses"], "UDP is not passed on"),
    (
        &["map", "geo", "geoip_country", "geoip_city", "split_clients", "map_hash_max_size"],
        VARIABLES,
    ),
    (&["map_hash_bucket_size", "variables_hash", "perl", "perl_set", "js_import"], VARIABLES),
    (
        &[
            "addition_types",
            "add_before_body",
            "add_after_body",
            "charset_map",
            "charset_types",
            "override_charset",
            "source_charset",
            "slice",
            "image_filter",
            "xml_entities",
            "xslt_stylesheet",
            "add_trailer",
        ],
        CONTENT,
    ),
    (
        &[
            "working_directory",
            "ssl_engine",
            "google_perftools_profiles",
            "debug_connection",
            "stub_status",
            "status_zone",
            "absolute_redirect",
            "port_in_redirect",
            "server_name_in_redirect",
            "keepalive_disable",
            "keepalive_min_timeout",
            "max_headers",
            "msie_padding",
            "msie_refresh",
            "subrequest_output_buffer_size",
            "auth_http",
            "early_hints",
            "add_header_inherit",
            "add_trailer_inherit",
            "override",
            "userid",
            "quic_retry",
        ],
        MISSING,
    ),
];

/// Prefixes of names, and the reason that they share.
const FAMILIES: &[(&str, &str)] = &[
    ("ssl", TLS),
    ("proxy_ssl", TLS),
    ("http2_", TLS),
    ("http3_", TLS),
    ("quic_", TLS),
    ("proxy_cache", CACHE),
    ("proxy_no_cache", CACHE),
    ("proxy_cookie_", "cookies pass through unchanged"),
    ("proxy_store", CACHE),
    ("proxy_headers_hash", MISSING),
    ("proxy_ignore_headers", MISSING),
    ("proxy_limit_rate", LIMITS),
    ("proxy_method", MISSING),
    ("proxy_set_body", CONTENT),
    ("proxy_send_lowat", MISSING),
    ("proxy_allow_upstream", MISSING),
    ("proxy_request_dynamic", MISSING),
    ("proxy_session_drop", MISSING),
    ("proxy_pass_trailers", MISSING),
    ("limit_req", LIMITS),
    ("limit_conn", LIMITS),
    ("limit_rate", LIMITS),
    ("gunzip", CONTENT),
    ("sub_filter", CONTENT),
    ("ssi", CONTENT),
    ("image_filter_", CONTENT),
    ("xslt_", CONTENT),
    ("fastcgi_", OTHERS),
    ("scgi_", OTHERS),
    ("uwsgi_", OTHERS),
    ("grpc_", OTHERS),
    ("memcached_", OTHERS),
    ("perl_", VARIABLES),
    ("js_", VARIABLES),
    ("geoip_", VARIABLES),
    ("userid_", MISSING),
    ("secure_link", ACCESS),
    ("auth_jwt", ACCESS),
    ("mp4_", FILES),
    ("open_file_cache_events", MISSING),
];
