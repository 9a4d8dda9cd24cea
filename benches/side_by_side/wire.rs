//! What the clients' bytes go over.

use std::io::{self, Read, Write};

use mio::net::TcpStream;

#[cfg(feature = "tls")]
use crate::tls::{Handshake, Session};

/// Where a proxy is asked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    Http,
    Stream,
    #[cfg(feature = "tls")]
    Tls(Handshake),
}

/// What clients bring to each of their connections.
pub(crate) enum Offer {
    Nothing,
    #[cfg(feature = "tls")]
    Tls(std::sync::Arc<rustls::ClientConfig>),
}

/// One connection.
pub(crate) enum Wire {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<Session>),
}

impl Offer {
    pub(crate) fn of(through: Through) -> Offer {
        match through {
            Through::Http | Through::Stream => Offer::Nothing,
            #[cfg(feature = "tls")]
            Through::Tls(handshake) => Offer::Tls(handshake.offer()),
        }
    }

    pub(crate) fn over(&self, stream: TcpStream) -> Wire {
        match self {
            Offer::Nothing => Wire::Plain(stream),
            #[cfg(feature = "tls")]
            Offer::Tls(offer) => Wire::Tls(Box::new(Session::new(stream, offer))),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(into),
            #[cfg(feature = "tls")]
            Wire::Tls(session) => session.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(from),
            #[cfg(feature = "tls")]
            Wire::Tls(session) => session.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
