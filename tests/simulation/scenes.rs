//! Small exchanges of every kind, into which `every_fault` puts single faults.

use std::time::Duration;

use switchover::net::sim::{
    Act, AnswerFraming, Ask, Body, ClientPlan, Coalescing, Condition, Fate, Leaves, Manners,
    SPEAKS_TLS, Then, Version,
};
use switchover::time::Time;

use super::common::run::polite;
use super::common::setup::Covers;

/// One or two clients, and two servers, the second of which is a backup.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) clients: Vec<ClientPlan>,
    /// How the primary answers; the backup answers plainly.
    pub(crate) act: Act,
    /// The initial condition of the primary.
    pub(crate) condition: Condition,
    /// Which segments arrive together.
    pub(crate) coalescing: Coalescing,
    /// Where TLS is spoken.
    pub(crate) covers: Covers,
    /// Of how many bytes one is a place for faults.
    pub(crate) stride: usize,
}

impl Scene {
    fn new(name: &'static str, asks: Vec<Ask>) -> Scene {
        Scene {
            name,
            clients: vec![polite(Time::ZERO, asks)],
            act: Act::plain(LENGTH),
            condition: Condition::Well,
            coalescing: Coalescing::AsItComes,
            covers: Covers::default(),
            stride: 1,
        }
    }

    fn pipelined(mut self) -> Scene {
        self.clients[0].pipeline = 3;
        self
    }

    /// Over TLS, whose handshake has many bytes.
    fn covered(self, clients: Option<u64>, servers: Option<u64>) -> Scene {
        Scene { covers: Covers { clients, servers }, stride: 11, ..self }
    }

    fn answered(mut self, change: impl FnOnce(&mut Act)) -> Scene {
        change(&mut self.act);
        self
    }

    pub(crate) fn manners(&self) -> Manners {
        Manners::Always(self.act.clone())
    }
}

/// All scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let get = || vec![Ask::get(1)];
    let method = |method| vec![Ask { method, ..Ask::get(1) }];
    let version = |version| vec![Ask { version, ..Ask::get(1) }, Ask { version, ..Ask::get(2) }];
    let body = |method, body, expects| vec![Ask { method, body, expects, ..Ask::get(1) }];
    let (sized, chunked) = (Body::Sized(LENGTH), Body::Chunked(LENGTH));
    let until_close = |act: &mut Act| {
        (act.framing, act.then) = (AnswerFraming::UntilClose, Then::Closes);
    };
    let framed = |framing| move |act: &mut Act| act.framing = framing;
    let status = |status| move |act: &mut Act| act.status = status;
    let mut pooled = Scene::new("a pooled connection", get());
    pooled.clients.push(polite(Time::ZERO + Duration::from_millis(50), vec![Ask::get(2)]));
    let refused = Scene { condition: Condition::Refusing, ..Scene::new("a refusal", get()) };
    let cut = Fate::Cut { after: 0, reset: true };
    let mut posts = body("POST", sized, false);
    posts.push(Ask::get(2));
    let misframed =
        |leaves| Ask { leaves, ..body("POST", Body::Misframed(LENGTH), false).remove(0) };
    let two = vec![Ask { method: "HEAD", ..Ask::get(1) }, Ask::get(2)];
    let over_tls = vec![
        Scene::new("POST of a client over TLS", body("POST", sized, false)).covered(Some(1), None),
        Scene::new("GET from a server over TLS", get()).covered(None, Some(1)),
        Scene::new("HTTP/1.0 over TLS", version(Version::Http10))
            .answered(until_close)
            .covered(Some(2), Some(2)),
    ];
    let over_tls = over_tls.into_iter().filter(|_| SPEAKS_TLS);
    let plain = vec![
        Scene::new("GET", get()),
        Scene::new("GET, chunks", get()).answered(framed(AnswerFraming::Chunked)),
        Scene::new("GET, odd chunks", get()).answered(framed(AnswerFraming::OddChunks)),
        Scene::new("GET, until close", get()).answered(until_close),
        Scene::new("HEAD", method("HEAD")),
        Scene::new("204", get()).answered(status(204)),
        Scene::new("304", get()).answered(status(304)),
        Scene::new("POST with a length", body("POST", sized, false)),
        Scene::new("PUT in chunks", body("PUT", chunked, false)),
        Scene::new("POST that waits for its 100", body("POST", sized, true)),
        Scene::new("POST in bad chunks", vec![misframed(Leaves::Never)]),
        Scene::new("POST in bad chunks, and FIN", vec![misframed(Leaves::HalfCloses)]),
        Scene::new("early answer", body("PUT", sized, false)).answered(|act| act.early = true),
        Scene::new("103 before the answer", get()).answered(|act| act.interim = true),
        Scene::new("two requests, one after the other", version(Version::Http11)),
        Scene::new("pipelined requests", version(Version::Http11)).pipelined(),
        Scene::new("pipelined HEAD and GET", two).pipelined(),
        Scene::new("pipelined POST and GET", posts).pipelined(),
        Scene::new("Connection: close", version(Version::Http11Close)),
        Scene::new("HTTP/1.0", version(Version::Http10)),
        Scene::new("HTTP/1.0, kept", version(Version::Http10KeepAlive)),
        Scene::new("HTTP/1.0, chunks", version(Version::Http10))
            .answered(framed(AnswerFraming::Chunked)),
        Scene::new("announced close", get()).answered(|act| act.then = Then::Closes),
        Scene::new("reset, then the backup", get()).answered(|act| act.fate = cut),
        refused,
        pooled,
    ];
    over_tls.chain(plain).collect()
}

/// Bytes of a body, each of which is a place for a fault.
const LENGTH: usize = 40;
