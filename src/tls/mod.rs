//! TLS: who presents which certificate, and connections that turn records into bytes and back.
//!
//! All that is known of the library stands here. A build without the feature `tls` has the same
//! types, but no values of them.

mod agreed;
mod error;
mod failure;
mod identity;
mod preread;
mod rules;

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(not(feature = "tls"))]
mod absent_terms;
#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod server;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod timed;

#[cfg(not(feature = "tls"))]
pub use absent::Session;
#[cfg(not(feature = "tls"))]
pub use absent_terms::{ClientCertificate, ClientTerms, ServerTerms};
pub use agreed::{Agreed, Handshake, Shaken};
#[cfg(feature = "tls")]
pub use certificate::ClientCertificate;
#[cfg(feature = "tls")]
pub use client::ClientTerms;
pub use error::TlsError;
pub use failure::TlsFailure;
pub use identity::Identity;
pub use preread::Preread;
pub use rules::{CIPHERS, ClientCheck, ClientRules, Clients, ServerRules, Version};
#[cfg(feature = "tls")]
pub use server::ServerTerms;
#[cfg(feature = "tls")]
pub use session::Session;
