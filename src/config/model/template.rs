//! Values with variables, compiled once at load: `"$host:$server_port"` becomes parts.

use std::fmt;

use crate::config::known::nearest::nearest;
use crate::config::model::layer::Layer;

/// A value as a sequence of parts; empty for an empty value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Concatenated in this order.
    pub parts: Vec<Part>,
}

impl Template {
    /// A template without variables.
    pub fn text(text: &str) -> Template {
        let mut template = Template::default();
        template.push_text(text);
        template
    }

    /// Compiles a value: `$name` and `${name}` become variables, or text if the variable is
    /// constant.
    ///
    /// # Errors
    /// A `$` without a name, an unknown variable, or one that nginx has and we do not.
    pub fn compile(
        value: &str,
        layer: Layer,
        constants: &Constants,
    ) -> Result<Template, TemplateError> {
        let mut template = Template::default();
        let mut rest = value;
        while let Some((text, behind)) = rest.split_once('$') {
            template.push_text(text);
            let (name, behind) = leading_name(behind)?;
            match constants.lookup(&name) {
                Some(text) => template.push_text(&text),
                None => template.parts.push(Part::Variable(variable(&name, layer)?)),
            }
            rest = behind;
        }
        template.push_text(rest);
        Ok(template)
    }

    /// Whether it reads fields of a response.
    pub fn reads_response_head(&self) -> bool {
        let reads = |part: &Part| {
            matches!(part, Part::Variable(Variable::SentHttp(_) | Variable::UpstreamHttp(_)))
        };
        self.parts.iter().any(reads)
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Part::Text(last)) = self.parts.last_mut() {
            *last = [&**last, text.as_bytes()].concat().into();
        } else {
            self.parts.push(Part::Text(text.as_bytes().into()));
        }
    }
}

/// The name after a `$`, in lowercase, and the rest of the text.
fn leading_name(text: &str) -> Result<(String, &str), TemplateError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, behind) = match text.strip_prefix('{') {
        Some(inner) => inner.split_once('}').ok_or(TemplateError::OpenBrace)?,
        None => text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len())),
    };
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(TemplateError::NoName);
    }
    Ok((name.to_ascii_lowercase(), behind))
}

/// Values of variables that are constant while the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constants {
    /// `$hostname`.
    pub hostname: String,
}

impl Constants {
    fn lookup(&self, name: &str) -> Option<String> {
        match name {
            "hostname" => Some(self.hostname.clone()),
            "nginx_version" => Some(env!("CARGO_PKG_VERSION").into()),
            _ => None,
        }
    }
}

fn variable(name: &str, layer: Layer) -> Result<Variable, TemplateError> {
    let elsewhere = || Err(TemplateError::Elsewhere { name: name.into(), layer });
    if let Some((_, variable, layers)) = VARIABLES.iter().find(|(known, ..)| *known == name) {
        return if layers.contains(&layer) { Ok(variable.clone()) } else { elsewhere() };
    }
    for (prefix, family) in FAMILIES {
        match name.strip_prefix(prefix) {
            Some(field) if !field.is_empty() && layer == Layer::Http => {
                return Ok(family(field.into()));
            }
            Some(_) if layer == Layer::Http => {
                return Err(TemplateError::NoField { family: prefix });
            }
            Some(_) => return elsewhere(),
            None => {}
        }
    }
    let is_capture = name.bytes().all(|b| b.is_ascii_digit());
    let lacks = |prefix: &&str| name.starts_with(*prefix);
    if is_capture || LACKING.contains(&name) || LACKING_FAMILIES.iter().any(lacks) {
        return Err(TemplateError::Unsupported(name.into()));
    }
    let constants = ["hostname", "nginx_version"];
    let known = VARIABLES.iter().filter(|(.., layers)| layers.contains(&layer));
    let known = known.map(|(known, ..)| *known).chain(constants);
    Err(TemplateError::Unknown { name: name.into(), nearest: nearest(name, known) })
}

/// Makes a variable from the variable part of its name.
type MakeVariable = fn(Box<str>) -> Variable;

/// Variables whose names end in a free part, by their prefixes.
const FAMILIES: [(&str, MakeVariable); 4] = [
    ("http_", Variable::Http),
    ("arg_", Variable::Arg),
    ("sent_http_", Variable::SentHttp),
    ("upstream_http_", Variable::UpstreamHttp),
];

/// Variables with fixed names, and the layers in which each has a value.
const VARIABLES: [(&str, Variable, &[Layer]); 63] = [
    ("host", Variable::Host, HTTP),
    ("proxy_host", Variable::ProxyHost, HTTP),
    ("pid", Variable::Pid, BOTH),
    ("proxy_port", Variable::ProxyPort, HTTP),
    ("proxy_add_x_forwarded_for", Variable::ProxyAddXForwardedFor, HTTP),
    ("remote_addr", Variable::RemoteAddr, BOTH),
    ("remote_port", Variable::RemotePort, BOTH),
    ("remote_user", Variable::RemoteUser, HTTP),
    ("server_addr", Variable::ServerAddr, BOTH),
    ("server_port", Variable::ServerPort, BOTH),
    ("server_name", Variable::ServerName, HTTP),
    ("scheme", Variable::Scheme, HTTP),
    ("https", Variable::Tls(TlsVariable::Https), HTTP),
    ("ssl_protocol", Variable::Tls(TlsVariable::Protocol), BOTH),
    ("ssl_cipher", Variable::Tls(TlsVariable::Cipher), BOTH),
    ("ssl_server_name", Variable::Tls(TlsVariable::ServerName), BOTH),
    ("ssl_session_reused", Variable::Tls(TlsVariable::SessionReused), BOTH),
    ("ssl_client_verify", Variable::Tls(TlsVariable::ClientVerify), BOTH),
    ("ssl_client_s_dn", Variable::Tls(TlsVariable::ClientSubject), BOTH),
    ("ssl_client_i_dn", Variable::Tls(TlsVariable::ClientIssuer), BOTH),
    ("ssl_client_serial", Variable::Tls(TlsVariable::ClientSerial), BOTH),
    ("ssl_client_fingerprint", Variable::Tls(TlsVariable::ClientFingerprint), BOTH),
    ("ssl_client_escaped_cert", Variable::Tls(TlsVariable::ClientEscapedCertificate), BOTH),
    ("request", Variable::Request, HTTP),
    ("request_method", Variable::RequestMethod, HTTP),
    ("request_uri", Variable::RequestUri, HTTP),
    ("uri", Variable::Uri, HTTP),
    ("args", Variable::Args, HTTP),
    ("query_string", Variable::Args, HTTP),
    ("is_args", Variable::IsArgs, HTTP),
    ("server_protocol", Variable::ServerProtocol, HTTP),
    ("status", Variable::Status, BOTH),
    ("body_bytes_sent", Variable::BodyBytesSent, HTTP),
    ("bytes_sent", Variable::BytesSent, BOTH),
    ("request_length", Variable::RequestLength, HTTP),
    ("request_time", Variable::RequestTime, HTTP),
    ("request_id", Variable::RequestId, HTTP),
    ("time_local", Variable::TimeLocal, BOTH),
    ("time_iso8601", Variable::TimeIso8601, BOTH),
    ("msec", Variable::Msec, BOTH),
    ("connection", Variable::Connection, BOTH),
    ("connection_requests", Variable::ConnectionRequests, HTTP),
    ("upstream_addr", Variable::UpstreamAddr, BOTH),
    ("upstream_status", Variable::UpstreamStatus, HTTP),
    ("upstream_connect_time", Variable::UpstreamConnectTime, BOTH),
    ("upstream_header_time", Variable::UpstreamHeaderTime, HTTP),
    ("upstream_response_time", Variable::UpstreamResponseTime, HTTP),
    ("upstream_response_length", Variable::UpstreamResponseLength, HTTP),
    ("upstream_bytes_sent", Variable::UpstreamBytesSent, BOTH),
    ("upstream_bytes_received", Variable::UpstreamBytesReceived, BOTH),
    ("proxy_protocol_addr", Variable::ProxyProtocolAddr, BOTH),
    ("proxy_protocol_port", Variable::ProxyProtocolPort, BOTH),
    ("proxy_protocol_server_addr", Variable::ProxyProtocolServerAddr, BOTH),
    ("proxy_protocol_server_port", Variable::ProxyProtocolServerPort, BOTH),
    ("realip_remote_addr", Variable::RealipRemoteAddr, BOTH),
    ("realip_remote_port", Variable::RealipRemotePort, BOTH),
    ("ssl_preread_server_name", Variable::PrereadServerName, STREAM),
    ("ssl_preread_alpn_protocols", Variable::PrereadProtocols, STREAM),
    ("protocol", Variable::Protocol, STREAM),
    ("bytes_received", Variable::BytesReceived, STREAM),
    ("session_time", Variable::SessionTime, STREAM),
    ("upstream_first_byte_time", Variable::UpstreamFirstByteTime, STREAM),
    ("upstream_session_time", Variable::UpstreamSessionTime, STREAM),
];

const BOTH: &[Layer] = &[Layer::Http, Layer::Stream];
const HTTP: &[Layer] = &[Layer::Http];
const STREAM: &[Layer] = &[Layer::Stream];

/// Variables that nginx has and we do not.
const LACKING: [&str; 36] = [
    "ancient_browser",
    "binary_remote_addr",
    "connection_time",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "content_length",
    "content_type",
    "document_root",
    "document_uri",
    "gzip_ratio",
    "https",
    "http2",
    "http3",
    "invalid_referer",
    "is_request_port",
    "limit_conn_status",
    "limit_rate",
    "limit_req_status",
    "modern_browser",
    "msie",
    "pipe",
    "proxy_internal_body_length",
    "realpath_root",
    "request_body",
    "request_body_file",
    "request_completion",
    "request_filename",
    "request_port",
    "slice_range",
    "uid_got",
    "uid_reset",
    "uid_set",
    "upstream_last_server_name",
    "upstream_queue_time",
];

/// Prefixes of such variables.
const LACKING_FAMILIES: [&str; 14] = [
    "cookie_",
    "date_",
    "fastcgi_",
    "geoip_",
    "memcached_",
    "jwt_",
    "proxy_protocol_tlv_",
    "secure_link",
    "sent_trailer_",
    "ssl_",
    "tcpinfo_",
    "upstream_cache_",
    "upstream_cookie_",
    "upstream_trailer_",
];

/// Why a value cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `$` without a name after it.
    NoName,
    /// `${` without `}`.
    OpenBrace,
    /// An unknown variable.
    Unknown {
        /// The name without the `$`.
        name: String,
        /// The known variable closest to it.
        nearest: Option<&'static str>,
    },
    /// A variable's name ends after its prefix.
    NoField {
        /// The prefix, for example `http_`.
        family: &'static str,
    },
    /// A variable that nginx has and we do not.
    Unsupported(String),
    /// A variable that has no value in this layer.
    Elsewhere {
        /// The name without the `$`.
        name: String,
        /// The layer of this template.
        layer: Layer,
    },
}

impl TemplateError {
    /// What to do about the error.
    pub fn help(&self) -> Option<String> {
        match self {
            TemplateError::NoName => {
                Some("a value cannot hold a literal \"$\", as in nginx".into())
            }
            TemplateError::OpenBrace => Some("write ${name}".into()),
            TemplateError::Unknown { nearest, .. } => {
                nearest.map(|name| format!("did you mean \"${name}\"?"))
            }
            TemplateError::NoField { family: family @ "arg_" } => {
                Some(format!("write \"${family}NAME\", where NAME is an argument of the query"))
            }
            TemplateError::NoField { family } => Some(format!(
                "write \"${family}NAME\", where NAME is a field's: ${family}content_type for Content-Type"
            )),
            TemplateError::Unsupported(_) => None,
            TemplateError::Elsewhere { layer: Layer::Stream, .. } => {
                Some("requests are not read in \"stream {}\"".into())
            }
            TemplateError::Elsewhere { layer: Layer::Http, .. } => {
                Some("it belongs to \"stream {}\"".into())
            }
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::NoName => f.write_str("a \"$\" must be followed by a variable's name"),
            TemplateError::OpenBrace => f.write_str("the \"${\" of a variable is never closed"),
            TemplateError::Unknown { name, .. } => write!(f, "unknown variable \"${name}\""),
            TemplateError::NoField { family } => {
                write!(f, "variable \"${family}\" lacks the rest of its name")
            }
            TemplateError::Unsupported(name) => {
                write!(f, "variable \"${name}\" is not supported by switchover")
            }
            TemplateError::Elsewhere { name, .. } => {
                write!(f, "variable \"${name}\" has no value here")
            }
        }
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Copied unchanged.
    Text(Box<[u8]>),
    /// Replaced by the variable's current value.
    Variable(Variable),
}

/// What a `$name` in a value stands for. Meanings are nginx's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `$host`.
    Host,
    /// `$http_NAME`: lowercase, with underscores for the field's dashes (`$http_host` too).
    Http(Box<str>),
    /// `$proxy_host`.
    ProxyHost,
    /// `$proxy_port`.
    ProxyPort,
    /// `$proxy_add_x_forwarded_for`.
    ProxyAddXForwardedFor,
    /// `$remote_addr`.
    RemoteAddr,
    /// `$remote_port`.
    RemotePort,
    /// `$remote_user`: the name in `Authorization: Basic`.
    RemoteUser,
    /// `$server_addr`.
    ServerAddr,
    /// `$server_port`.
    ServerPort,
    /// `$server_name`.
    ServerName,
    /// `$scheme`.
    Scheme,
    /// `$https`, `$ssl_…`.
    Tls(TlsVariable),
    /// `$ssl_preread_server_name`.
    PrereadServerName,
    /// `$ssl_preread_alpn_protocols`.
    PrereadProtocols,
    /// `$request`: the request line.
    Request,
    /// `$request_method`.
    RequestMethod,
    /// `$request_uri`: the target as received.
    RequestUri,
    /// `$uri`: the decoded, normalised path.
    Uri,
    /// `$args`, also written `$query_string`.
    Args,
    /// `$arg_NAME`.
    Arg(Box<str>),
    /// `$is_args`: `?` or nothing.
    IsArgs,
    /// `$server_protocol`.
    ServerProtocol,
    /// `$status`.
    Status,
    /// `$body_bytes_sent`.
    BodyBytesSent,
    /// `$bytes_sent`.
    BytesSent,
    /// `$request_length`.
    RequestLength,
    /// `$request_time`, in seconds with milliseconds.
    RequestTime,
    /// `$request_id`: 32 hexadecimal digits.
    RequestId,
    /// `$time_local`.
    TimeLocal,
    /// `$time_iso8601`.
    TimeIso8601,
    /// `$msec`.
    Msec,
    /// `$pid`.
    Pid,
    /// `$connection`.
    Connection,
    /// `$connection_requests`.
    ConnectionRequests,
    /// `$sent_http_NAME`.
    SentHttp(Box<str>),
    /// `$upstream_addr`.
    UpstreamAddr,
    /// `$upstream_status`.
    UpstreamStatus,
    /// `$upstream_connect_time`.
    UpstreamConnectTime,
    /// `$upstream_header_time`.
    UpstreamHeaderTime,
    /// `$upstream_response_time`.
    UpstreamResponseTime,
    /// `$upstream_response_length`.
    UpstreamResponseLength,
    /// `$upstream_bytes_sent`.
    UpstreamBytesSent,
    /// `$upstream_bytes_received`.
    UpstreamBytesReceived,
    /// `$upstream_http_NAME`.
    UpstreamHttp(Box<str>),
    /// `$proxy_protocol_addr`: the client's address in the PROXY header.
    ProxyProtocolAddr,
    /// `$proxy_protocol_port`.
    ProxyProtocolPort,
    /// `$proxy_protocol_server_addr`: the address that the client connected to.
    ProxyProtocolServerAddr,
    /// `$proxy_protocol_server_port`.
    ProxyProtocolServerPort,
    /// `$realip_remote_addr`: the address of the peer itself.
    RealipRemoteAddr,
    /// `$realip_remote_port`.
    RealipRemotePort,
    /// `$protocol`: `TCP`.
    Protocol,
    /// `$bytes_received`: from the client.
    BytesReceived,
    /// `$session_time`.
    SessionTime,
    /// `$upstream_first_byte_time`.
    UpstreamFirstByteTime,
    /// `$upstream_session_time`.
    UpstreamSessionTime,
}

/// What was agreed upon with a client over TLS. Empty for any other client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVariable {
    /// `$https`: `on`.
    Https,
    /// `$ssl_protocol`.
    Protocol,
    /// `$ssl_cipher`.
    Cipher,
    /// `$ssl_server_name`.
    ServerName,
    /// `$ssl_session_reused`: `r`, or `.`.
    SessionReused,
    /// `$ssl_client_verify`: `SUCCESS`, or `NONE`; others come to no request.
    ClientVerify,
    /// `$ssl_client_s_dn`.
    ClientSubject,
    /// `$ssl_client_i_dn`.
    ClientIssuer,
    /// `$ssl_client_serial`.
    ClientSerial,
    /// `$ssl_client_fingerprint`.
    ClientFingerprint,
    /// `$ssl_client_escaped_cert`: as PEM, percent-encoded.
    ClientEscapedCertificate,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(value: &str) -> Result<Template, TemplateError> {
        Template::compile(value, Layer::Http, &Constants { hostname: "box".into() })
    }

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().into())
    }

    #[test]
    fn text_and_variables_become_parts_in_order() {
        let host = || Part::Variable(Variable::Host);
        assert_eq!(compile("").unwrap().parts, []);
        assert_eq!(compile("a b").unwrap().parts, [text("a b")]);
        assert_eq!(compile("$host").unwrap().parts, [host()]);
        assert_eq!(
            compile("a${host}b$host.c").unwrap().parts,
            [text("a"), host(), text("b"), host(), text(".c")]
        );
    }

    #[test]
    fn names_are_known_in_any_case_and_families_keep_their_field() {
        let part = |value| compile(value).unwrap().parts.remove(0);
        assert_eq!(part("$HOST"), Part::Variable(Variable::Host));
        assert_eq!(part("$http_X_Id"), Part::Variable(Variable::Http("x_id".into())));
        assert_eq!(part("$arg_a"), Part::Variable(Variable::Arg("a".into())));
        assert_eq!(part("$sent_http_a"), Part::Variable(Variable::SentHttp("a".into())));
        assert_eq!(part("$upstream_http_a"), Part::Variable(Variable::UpstreamHttp("a".into())));
        assert_eq!(part("$query_string"), Part::Variable(Variable::Args));
    }

    #[test]
    fn what_never_changes_is_text() {
        assert_eq!(compile("$hostname:1").unwrap().parts, [text("box:1")]);
        assert_eq!(compile("$nginx_version").unwrap().parts, [text(env!("CARGO_PKG_VERSION"))]);
    }

    #[test]
    fn names_that_say_nothing_are_errors() {
        let nearest = |nearest| TemplateError::Unknown { name: "hots".into(), nearest };
        assert_eq!(compile("$hots"), Err(nearest(Some("host"))));
        assert_eq!(compile("a$"), Err(TemplateError::NoName));
        assert_eq!(compile("$-"), Err(TemplateError::NoName));
        assert_eq!(compile("${host"), Err(TemplateError::OpenBrace));
        assert_eq!(compile("${}"), Err(TemplateError::NoName));
        assert_eq!(compile("$1"), Err(TemplateError::Unsupported("1".into())));
        assert_eq!(compile("$ssl_curve"), Err(TemplateError::Unsupported("ssl_curve".into())));
        for family in ["arg_", "http_", "sent_http_", "upstream_http_"] {
            let error = compile(&format!("a${family}")).unwrap_err();
            assert_eq!(error, TemplateError::NoField { family });
            assert_eq!(
                error.to_string(),
                format!("variable \"${family}\" lacks the rest of its name")
            );
            assert!(error.help().unwrap().starts_with(&format!("write \"${family}NAME\"")));
        }
        let elsewhere = TemplateError::Elsewhere { name: "protocol".into(), layer: Layer::Http };
        assert_eq!(compile("$protocol"), Err(elsewhere));
        assert_eq!(compile("$cookie_a"), Err(TemplateError::Unsupported("cookie_a".into())));
    }
}
