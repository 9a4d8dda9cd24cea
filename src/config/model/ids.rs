//! Indices into the vectors of a `Config`: its parts point at each other with them.

/// Index into `Config::groups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupId(pub usize);

/// Index into `Config::virtual_servers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VirtualServerId(pub usize);

/// Index into `Config::stream_servers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamServerId(pub usize);

/// Index into `Config::access_logs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub usize);

/// Index into `Config::log_formats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FormatId(pub usize);
