//! Values with variables, compiled once at load: `"$host:$server_port"` becomes parts.

/// A value as a sequence of parts; empty for an empty value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Joined in order.
    pub parts: Vec<Part>,
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
