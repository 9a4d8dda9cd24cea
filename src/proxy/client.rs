//! The client's side of a session.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::net::Net;
use crate::time::Time;
use crate::tls::{Handshake, Preread};
use crate::transport::proxy_protocol::ProxiedFrom;
use crate::transport::socket::Socket;

/// A client's connection and the bytes read from it.
pub struct Client<N: Net> {
    /// The socket.
    pub socket: Socket<N>,
    /// Bytes read that are not yet part of a request, or that belong to a body being relayed.
    pub input: Buffer,
    /// What is known about it.
    pub facts: Facts,
}

/// What is known about a client.
#[derive(Debug)]
pub struct Facts {
    /// The key of its session.
    pub session: u32,
    /// `$connection`: its number since the worker started.
    pub number: u64,
    /// Its address.
    pub peer: Address,
    /// The local address of the connection, which most clients of a listener have in common.
    pub local: Arc<Address>,
    /// What came before its protocol, if anything did.
    pub preamble: Option<Box<Preamble>>,
    /// The listener that accepted it.
    pub listener: u32,
    /// When it was accepted.
    pub accepted: Time,
    /// `$connection_requests`: requests so far, the current one included.
    pub requests: u64,
}

/// What comes before the protocol on a connection.
#[derive(Debug, Default)]
pub struct Preamble {
    /// The addresses in its PROXY header.
    pub proxied: Option<ProxiedFrom>,
    /// How its handshake ended, where TLS is expected.
    pub tls: Option<Handshake>,
    /// What its handshake with the server says, where `ssl_preread` is on.
    pub preread: Option<Preread>,
}

impl Facts {
    /// The addresses in its PROXY header, if there was one.
    pub fn proxied(&self) -> Option<&ProxiedFrom> {
        self.preamble.as_ref()?.proxied.as_ref()
    }

    /// How its handshake ended, where TLS is expected.
    pub fn tls(&self) -> Option<&Handshake> {
        self.preamble.as_ref()?.tls.as_ref()
    }

    /// What its handshake with the server says, where `ssl_preread` is on.
    pub fn preread(&self) -> Option<&Preread> {
        self.preamble.as_ref()?.preread.as_ref()
    }

    /// What came before its protocol, to be added to.
    pub fn preamble_mut(&mut self) -> &mut Preamble {
        self.preamble.get_or_insert_default()
    }

    /// `$request_id`, as a number.
    pub fn request_id(&self, keys: &RandomState) -> u128 {
        let half = |part: u8| keys.hash_one((part, self.number, self.requests));
        u128::from(half(0)) << 64 | u128::from(half(1))
    }
}
