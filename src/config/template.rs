//! Values with variables, compiled once at load: `"$host:$server_port"` becomes parts.

use std::fmt;

use super::nearest;

/// A value as a sequence of parts; empty for an empty value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Joined in order.
    pub parts: Vec<Part>,
}

impl Template {
    /// A value without variables.
    pub fn text(text: &str) -> Template {
        let mut template = Template::default();
        template.push_text(text);
        template
    }

    /// Compiles a value: `$name` and `${name}` become variables, or text where the variable never
    /// changes.
    ///
    /// # Errors
    /// A `$` without a name, a variable nobody knows, or one that nginx knows and we lack.
    pub fn compile(value: &str, constants: &Constants) -> Result<Template, TemplateError> {
        let mut template = Template::default();
        let mut rest = value;
        while let Some((text, behind)) = rest.split_once('$') {
            template.push_text(text);
            let (name, behind) = leading_name(behind)?;
            match constants.lookup(&name) {
                Some(text) => template.push_text(&text),
                None => template.parts.push(Part::Variable(variable(&name)?)),
            }
            rest = behind;
        }
        template.push_text(rest);
        Ok(template)
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

/// The name that stands behind a `$`, in lowercase, and what follows it.
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

/// Variables that never change while the process runs.
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

fn variable(name: &str) -> Result<Variable, TemplateError> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        return Ok(variable.clone());
    }
    for (prefix, family) in FAMILIES {
        match name.strip_prefix(prefix) {
            Some(field) if !field.is_empty() => return Ok(family(field.into())),
            Some(_) | None => {}
        }
    }
    let is_capture = name.bytes().all(|b| b.is_ascii_digit());
    let lacks = |prefix: &&str| name.starts_with(*prefix);
    if is_capture || LACKING.contains(&name) || LACKING_FAMILIES.iter().any(lacks) {
        return Err(TemplateError::Unsupported(name.into()));
    }
    let constants = ["hostname", "nginx_version"];
    let known = VARIABLES.iter().map(|(known, _)| *known).chain(constants);
    Err(TemplateError::Unknown { name: name.into(), nearest: nearest(name, known) })
}

/// Makes a variable of the free part of its name.
type Family = fn(Box<str>) -> Variable;

/// Variables of which a part is free, by what they begin with.
const FAMILIES: [(&str, Family); 4] = [
    ("http_", Variable::Http),
    ("arg_", Variable::Arg),
    ("sent_http_", Variable::SentHttp),
    ("upstream_http_", Variable::UpstreamHttp),
];

/// Variables without a part of their name that is free.
const VARIABLES: [(&str, Variable); 39] = [
    ("host", Variable::Host),
    ("proxy_host", Variable::ProxyHost),
    ("pid", Variable::Pid),
    ("proxy_port", Variable::ProxyPort),
    ("proxy_add_x_forwarded_for", Variable::ProxyAddXForwardedFor),
    ("remote_addr", Variable::RemoteAddr),
    ("remote_port", Variable::RemotePort),
    ("remote_user", Variable::RemoteUser),
    ("server_addr", Variable::ServerAddr),
    ("server_port", Variable::ServerPort),
    ("server_name", Variable::ServerName),
    ("scheme", Variable::Scheme),
    ("request", Variable::Request),
    ("request_method", Variable::RequestMethod),
    ("request_uri", Variable::RequestUri),
    ("uri", Variable::Uri),
    ("args", Variable::Args),
    ("query_string", Variable::Args),
    ("is_args", Variable::IsArgs),
    ("server_protocol", Variable::ServerProtocol),
    ("status", Variable::Status),
    ("body_bytes_sent", Variable::BodyBytesSent),
    ("bytes_sent", Variable::BytesSent),
    ("request_length", Variable::RequestLength),
    ("request_time", Variable::RequestTime),
    ("request_id", Variable::RequestId),
    ("time_local", Variable::TimeLocal),
    ("time_iso8601", Variable::TimeIso8601),
    ("msec", Variable::Msec),
    ("connection", Variable::Connection),
    ("connection_requests", Variable::ConnectionRequests),
    ("upstream_addr", Variable::UpstreamAddr),
    ("upstream_status", Variable::UpstreamStatus),
    ("upstream_connect_time", Variable::UpstreamConnectTime),
    ("upstream_header_time", Variable::UpstreamHeaderTime),
    ("upstream_response_time", Variable::UpstreamResponseTime),
    ("upstream_response_length", Variable::UpstreamResponseLength),
    ("upstream_bytes_sent", Variable::UpstreamBytesSent),
    ("upstream_bytes_received", Variable::UpstreamBytesReceived),
];

/// Variables that nginx has and we do not.
const LACKING: [&str; 34] = [
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
    "uid_set",
    "upstream_cache_status",
];

/// What such variables begin with.
const LACKING_FAMILIES: [&str; 13] = [
    "cookie_",
    "date_",
    "fastcgi_",
    "geoip_",
    "memcached_",
    "proxy_protocol_",
    "realip_",
    "secure_link",
    "sent_trailer_",
    "ssl_",
    "tcpinfo_",
    "upstream_cookie_",
    "upstream_trailer_",
];

/// Why a value cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `$` without a name behind it.
    NoName,
    /// `${` without `}`.
    OpenBrace,
    /// A variable that nobody knows.
    Unknown {
        /// Without the `$`.
        name: String,
        /// A known one that looks like it.
        nearest: Option<&'static str>,
    },
    /// A variable that nginx has and we do not.
    Unsupported(String),
}

impl TemplateError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            TemplateError::NoName => Some("nginx knows no way to write a \"$\" either".into()),
            TemplateError::OpenBrace => Some("write ${name}".into()),
            TemplateError::Unknown { nearest, .. } => {
                nearest.map(|name| format!("did you mean \"${name}\"?"))
            }
            TemplateError::Unsupported(_) => None,
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::NoName => f.write_str("a \"$\" must be followed by a variable's name"),
            TemplateError::OpenBrace => f.write_str("the \"${\" of a variable is never closed"),
            TemplateError::Unknown { name, .. } => write!(f, "unknown variable \"${name}\""),
            TemplateError::Unsupported(name) => {
                write!(f, "variable \"${name}\" is not supported by switchover")
            }
        }
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Copied as it is.
    Text(Box<[u8]>),
    /// Replaced by the variable's value at that moment.
    Variable(Variable),
}

/// What a `$name` in a value stands for. Meanings are nginx's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `$host`.
    Host,
    /// `$http_NAME`: lowercase, with underscores where the field has dashes (`$http_host` too).
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(value: &str) -> Result<Template, TemplateError> {
        Template::compile(value, &Constants { hostname: "box".into() })
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
        assert_eq!(compile("$ssl_cipher"), Err(TemplateError::Unsupported("ssl_cipher".into())));
        assert_eq!(compile("$cookie_a"), Err(TemplateError::Unsupported("cookie_a".into())));
    }
}
