//! Whatever a client sends in place of a handshake, and however it arrives, a session neither
//! panics nor spins nor takes more than a handshake may be long. From a client that does what it
//! should, the same plain bytes come, and go back, wherever records are split; with one byte
//! damaged, no wrong ones do.

#![no_main]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, version};
use switchover::tls::{
    Identity, Preread, ServerRules, ServerTerms, Session, Shaken, Version,
};

#[derive(Arbitrary, Debug)]
enum Input {
    /// A client that sends these bytes, over and over.
    Stranger { bytes: Vec<u8>, early: u8, pace: Pace },
    /// A client that shakes hands and sends these words.
    Client { words: Vec<u8>, early: u8, is_newest: bool, pace: Pace, damage: Option<(u16, u8)> },
}

/// How many bytes each read and each write moves, over and over; see [`Wire::allowed`].
#[derive(Arbitrary, Debug)]
struct Pace {
    reads: Vec<u8>,
    writes: Vec<u8>,
}

fuzz_target!(|input: Input| {
    match input {
        Input::Stranger { bytes, early, pace } => stranger(&bytes, early, pace),
        Input::Client { words, early, is_newest, pace, damage } => {
            Talk::new(words, early, is_newest, pace, damage).run();
        }
    }
});

fn stranger(bytes: &[u8], early: u8, pace: Pace) {
    if bytes.is_empty() {
        return;
    }
    // More bytes do not change what is known.
    let known = Preread::of(&bytes[..bytes.len() / 2]);
    assert!(known.is_none() || known == Preread::of(bytes));
    let mut wire = Wire::new(pace);
    wire.incoming.extend(bytes.iter().cycle().take(ENDLESS));
    let all: Vec<u8> = wire.incoming.iter().copied().collect();
    let early: Vec<u8> = wire.incoming.drain(..usize::from(early) % EARLY).collect();
    let mut session = Session::accepting(&early).expect("there is TLS");
    loop {
        match session.shake(&mut wire, |_| Some(TERMS.clone())) {
            Shaken::Waits => assert!(wire.read < LONGEST, "a handshake of {}", wire.read),
            Shaken::Done => panic!("nothing was agreed upon"),
            Shaken::Plain(read) => {
                assert_ne!(read[0], HANDSHAKE);
                assert_eq!(read, all[..read.len()]);
                return;
            }
            Shaken::Failed(_) => break,
        }
    }
    assert!(matches!(session.shake(&mut wire, |_| None), Shaken::Failed(_) | Shaken::Waits));
    assert!(session.read(&mut wire, &mut [0; 9]).is_err());
    assert!(session.write(&mut wire, &[IoSlice::new(b"word")]).is_err());
    assert!(wire.outgoing.len() < LONGEST);
}

/// A client and a session, which sends back what it reads.
struct Talk {
    client: ClientConnection,
    session: Session,
    wire: Wire,
    words: Vec<u8>,
    /// How many bytes are read before the session begins.
    early: usize,
    heard: Vec<u8>,
    returned: usize,
    echo: Vec<u8>,
    stage: Stage,
    damage: Option<(usize, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Shakes,
    Talks,
    Ends,
    Over,
    Failed,
}

impl Talk {
    fn new(
        mut words: Vec<u8>,
        early: u8,
        is_newest: bool,
        pace: Pace,
        damage: Option<(u16, u8)>,
    ) -> Talk {
        words.truncate(WORDS);
        let config = Arc::clone(&CLIENTS[usize::from(is_newest)]);
        let name = ServerName::try_from("sim.example").expect("it is a name");
        Talk {
            client: ClientConnection::new(config, name).expect("it can begin"),
            session: Session::accepting(&[]).expect("there is TLS"),
            wire: Wire::new(pace),
            words,
            early: usize::from(early) % EARLY,
            heard: Vec::new(),
            returned: 0,
            echo: Vec::new(),
            stage: Stage::Shakes,
            damage: damage.map(|(at, by)| (usize::from(at), by)),
        }
    }

    fn run(mut self) {
        let mut sent = false;
        let mut answer = Vec::new();
        self.client_sends();
        // A damaged length may have the first message wait for more than there is.
        let preread = Preread::of(self.wire.incoming.make_contiguous());
        let name = preread.and_then(|preread| preread.server_name);
        assert!(name.as_deref() == Some("sim.example") || self.damage.is_some());
        let early: Vec<u8> = self.wire.incoming.drain(..self.early).collect();
        self.session = Session::accepting(&early).expect("there is TLS");
        for _ in 0..ROUNDS {
            if !self.client.is_handshaking() && !sent {
                self.client.writer().write_all(&self.words).expect("its buffer takes them");
                self.client.send_close_notify();
                sent = true;
            }
            self.client_sends();
            self.act();
            assert!(self.words.starts_with(&self.heard), "words that were not said");
            if self.stage == Stage::Failed {
                assert!(self.damage.is_some(), "it failed without a reason");
                return;
            }
            let records: Vec<u8> = self.wire.outgoing.drain(..).collect();
            let mut records = &records[..];
            while !records.is_empty() {
                if self.client.read_tls(&mut records).expect("there is room") == 0 {
                    break;
                }
                if let Err(e) = self.client.process_new_packets() {
                    assert!(self.damage.is_some(), "the client is told {e}");
                    return;
                }
                let _ = self.client.reader().read_to_end(&mut answer);
            }
            if self.stage == Stage::Over {
                assert_eq!((&self.heard, &answer), (&self.words, &self.words));
                return;
            }
        }
        // A damaged length may have the session wait for more than there is.
        assert!(self.damage.is_some(), "no end at {:?}", self.stage);
    }

    /// Hands over what the client sends, with the damage.
    fn client_sends(&mut self) {
        let mut records = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut records).expect("a vector takes everything");
        }
        let before = self.wire.given;
        self.wire.given += records.len();
        if let Some((at, by)) = self.damage
            && let Some(byte) = at.checked_sub(before).and_then(|at| records.get_mut(at))
        {
            *byte ^= by;
        }
        self.wire.incoming.extend(records);
    }

    /// Does what the session can do now.
    fn act(&mut self) {
        match self.stage {
            Stage::Shakes => match self.session.shake(&mut self.wire, |_| Some(TERMS.clone())) {
                Shaken::Waits => {}
                Shaken::Done => {
                    assert!(self.session.agreed().is_some());
                    self.stage = Stage::Talks;
                }
                Shaken::Plain(_) | Shaken::Failed(_) => self.stage = Stage::Failed,
            },
            Stage::Talks => {
                let mut read = [0; 300];
                match self.session.read(&mut self.wire, &mut read) {
                    Ok(0) => self.stage = Stage::Ends,
                    Ok(count) => self.heard.extend_from_slice(&read[..count]),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => self.stage = Stage::Failed,
                }
                self.send_back();
            }
            Stage::Ends => {
                self.send_back();
                if self.returned == self.heard.len() && self.session.finish(&mut self.wire) {
                    self.stage = Stage::Over;
                }
            }
            Stage::Over | Stage::Failed => {}
        }
    }

    fn send_back(&mut self) {
        self.echo.clear();
        self.echo.extend_from_slice(&self.heard[self.returned..]);
        if self.echo.is_empty() || self.stage == Stage::Failed {
            return;
        }
        let (first, second) = self.echo.split_at(self.echo.len() / 2);
        match self.session.write(&mut self.wire, &[IoSlice::new(first), IoSlice::new(second)]) {
            Ok(count) => {
                assert!((1..=self.echo.len()).contains(&count));
                self.returned += count;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.stage = Stage::Failed,
        }
    }
}

/// A stream that moves a few bytes at a time, and none now and then.
struct Wire {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    /// Bytes that the client has sent.
    given: usize,
    read: usize,
    pace: Pace,
    calls: usize,
    /// Whether the last read was refused, and the last write.
    blocked: [bool; 2],
}

impl Wire {
    fn new(pace: Pace) -> Wire {
        let (incoming, outgoing) = (VecDeque::new(), VecDeque::new());
        Wire { incoming, outgoing, given: 0, read: 0, pace, calls: 0, blocked: [false; 2] }
    }

    /// How many bytes the next read (0) or write (1) may move. Of two in a row not both are refused.
    fn allowed(&mut self, kind: usize, paces: fn(&Pace) -> &[u8]) -> io::Result<usize> {
        self.calls += 1;
        assert!(self.calls < CALLS, "it spins");
        let pace = paces(&self.pace);
        let pace = if pace.is_empty() { u8::MAX } else { pace[self.calls % pace.len()] };
        self.blocked[kind] = pace % 8 == 0 && !self.blocked[kind];
        match self.blocked[kind] {
            true => Err(ErrorKind::WouldBlock.into()),
            false if pace == u8::MAX => Ok(usize::MAX),
            false => Ok(usize::from(pace).max(1)),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = self.allowed(0, |pace| &pace.reads)?.min(into.len());
        if self.incoming.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.incoming.read(&mut into[..most])?;
        self.read += count;
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let count = self.allowed(1, |pace| &pace.writes)?.min(from.len());
        self.outgoing.extend(&from[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CERTIFICATE: &[u8] = include_bytes!("../../tests/simulation/common/pem/certificate.pem");
const KEY: &[u8] = include_bytes!("../../tests/simulation/common/pem/key.pem");

static TERMS: LazyLock<ServerTerms> = LazyLock::new(|| {
    let identity = Identity::of_pem(CERTIFICATE, KEY).expect("they belong together");
    let rules = ServerRules {
        identities: vec![identity],
        versions: vec![Version::Tls12, Version::Tls13],
        ciphers: Vec::new(),
        prefers_own_ciphers: false,
        sessions: 10,
        session_timeout: Duration::from_secs(300),
        tickets: true,
        alpn: Vec::new(),
        clients: None,
        rejects: false,
    };
    ServerTerms::new(rules).expect("they are right")
});

/// Clients of TLS 1.2 and of 1.3.
static CLIENTS: LazyLock<[Arc<ClientConfig>; 2]> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).expect("it is one")).expect("as above");
    [&version::TLS12, &version::TLS13].map(|version| {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[version]).expect("ring knows it");
        Arc::new(builder.with_root_certificates(roots.clone()).with_no_client_auth())
    })
});

/// The first byte of a handshake.
const HANDSHAKE: u8 = 22;
/// Fewer bytes than the shortest first message.
const EARLY: usize = 64;
/// Bytes that a stranger sends.
const ENDLESS: usize = 1 << 18;
/// Longer than any handshake, as it may be buffered.
const LONGEST: usize = 1 << 17;
/// Words of a client, in bytes: more than a record holds.
const WORDS: usize = 20_000;
/// Rounds of a talk, and calls of its stream: several for each byte.
const ROUNDS: usize = 200_000;
const CALLS: usize = 2_000_000;
