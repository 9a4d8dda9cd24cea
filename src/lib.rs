//! switchover: a failover proxy in front of a primary and its backups.
//!
//! # The map
//!
//! ```text
//! process      arguments, logs, signals, the loop around the worker
//!   worker     one thread's listeners, sessions, timers; one turn after another
//!     proxy    sessions: what is read, decided and passed on for one client
//!       proxy::http    requests, one exchange after another
//!       proxy::stream  connections whose bytes pass unread
//!       proxy::log     what both leave in the logs
//!       http      heads, framing, chunks: bytes in, meaning out
//!       trino     queries, coordinators, workers: what bytes mean to Trino
//!       transport sockets, dials, flows, pools, tunnels: bytes without meaning
//!         admin     what the operator asks and is told, as data and words
//!         upstream  which server is picked, which is out, what may be repeated
//!         net       the network that a worker runs on: mio, or a simulation
//! config       text → known directives → model
//! time, address, buffer, recycle
//! ```
//!
//! Dependencies point downwards, and no files use each other in a circle; `tests/tidy.rs` keeps
//! both so. `http`, `trino`, `upstream`, `admin` and `config` hold no I/O, no clock and no logging
//! (`config` reads its files and resolves names, once, at load). Sockets are touched through one
//! parameter, `N: Net`.
//!
//! # One request
//!
//! 1. [`worker::Worker`] accepts a connection and makes a [`proxy::session::Session`] of it, which
//!    begins to speak HTTP ([`proxy::http::session`]) once a PROXY header, if there has to be one,
//!    is read.
//! 2. It reads until [`http::head::HeadScan`] finds the end of a head; [`proxy::http::request`]
//!    checks what it says and [`http::framing`] where its body ends. What is not certain is refused.
//! 3. [`proxy::http::asked`] finds the virtual server, and [`proxy::http::route`] the location. An
//!    [`proxy::http::exchange::Exchange`] begins.
//! 4. [`upstream::plan::Plan`] chooses a server of the location's group; a pooled connection is
//!    reused or [`transport::dial`] makes one. The head is written ([`proxy::http::request_head`])
//!    for each attempt from the client's own bytes, which are kept.
//! 5. [`proxy::http::relay`] moves the body as it arrives; what was sent is kept in the replay
//!    buffer as long as the request could be repeated. What its pumps meet,
//!    [`proxy::http::transition`] judges: another server may be asked, or the client is answered.
//! 6. Once a response head is whole and accepted ([`proxy::http::judge`]), nothing is retried any
//!    more. The body passes; a cut is made visible. After a 101 the exchange becomes a
//!    [`proxy::stream::passthrough`].
//! 7. The server's connection goes to the pool if nothing is left on it; the client's next request
//!    follows.
//!
//! # One query of Trino
//!
//! A statement is read whole, and goes to the active coordinator. Its head and body are kept
//! ([`trino::ledger`]) as long as no row was delivered: answers to polls are kept back until that is
//! known ([`trino::rows`]). [`proxy::http::query`] sends each poll to the coordinator that runs the
//! query. If that is lost, the statement is submitted again ([`trino::statement`] says whether it may
//! be, [`proxy::submissions`] does it), and the poll gets the answer. While no coordinator is ready,
//! [`proxy::http::queue`] answers in its place.
//!
//! # What always holds
//!
//! - Every event is a hint: it may be stale, doubled or early. The truth is in the session.
//! - No byte reaches a client before the head it belongs to is whole and accepted.
//! - A request that must not be repeated is never sent to a second server once a byte of it was written.
//! - Whatever a peer sends, what is held for it is bounded, and a waiting session holds no buffer
//!   that is empty.

#![forbid(unsafe_code)]

pub mod address;
pub mod admin;
pub mod buffer;
pub mod config;
pub mod http;
pub mod net;
pub mod process;
pub mod proxy;
pub mod recycle;
pub mod time;
pub mod tls;
pub mod transport;
pub mod trino;
pub mod upstream;
pub mod worker;
