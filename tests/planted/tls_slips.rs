//! The slips in what the proxy does for TLS, in the same form. Only builds with TLS can make them.

use crate::slips::Slip;

pub(crate) const TLS_SLIPS: &[Slip] = &[
    Slip {
        name: "EndTakenForAnnounced",
        wrong: "Over TLS, an end that was not announced counts as an orderly one.",
        rows: &[(
            "tls/session.rs",
            "match connection.reader().read(into) {",
            "match connection.reader().read(into).or_else(|e| {
                 if SLIP && e.kind() == ErrorKind::UnexpectedEof { Ok(0) } else { Err(e) }
             }) {",
        )],
    },
    Slip {
        name: "EndNotAnnounced",
        wrong: "Over TLS, the end is not announced.",
        rows: &[("tls/session.rs", "connection.send_close_notify();", "();")],
    },
    Slip {
        name: "EndLeftInBuffer",
        wrong: "Over TLS, the end counts as announced though the socket was full.",
        rows: &[(
            "tls/session.rs",
            "Err(e) => e.kind() != ErrorKind::WouldBlock",
            "Err(e) => SLIP || e.kind() != ErrorKind::WouldBlock",
        )],
    },
    Slip {
        name: "OwedByteSentTwice",
        wrong: "The last byte of a record that is left behind is taken once more.",
        rows: &[("tls/session.rs", "self.0.owes_byte = true;", "();")],
    },
    Slip {
        name: "OwedByteCountedTwice",
        wrong: "The last byte of a record that is left behind counts at once, and once more later.",
        rows: &[("tls/session.rs", "Ok(count - 1)", "Ok(count)")],
    },
    Slip {
        name: "RecordsLeftBehind",
        wrong: "Of several records only the first is sent.",
        rows: &[(
            "tls/session.rs",
            "while connection.wants_write() {",
            "while connection.wants_write() && (!SLIP || connection.write_tls(stream)? == 0) {",
        )],
    },
    Slip {
        name: "HeldBytesForgotten",
        wrong: "Plain bytes that are held wait until more come from the network.",
        rows: &[(
            "transport/socket.rs",
            "raw.is_drained && tls.is_drained()",
            "raw.is_drained && (SLIP || tls.is_drained())",
        )],
    },
    Slip {
        name: "GreetingCutShort",
        wrong: "The first byte that came before a handshake is lost.",
        rows: &[(
            "tls/session.rs",
            "early.to_vec()",
            "early.get(1..).unwrap_or_default().to_vec()",
        )],
    },
    Slip {
        name: "ShakesWithoutTimeout",
        wrong: "A client's handshake may take forever.",
        rows: &[(
            "proxy/opening.rs",
            "Opening::Handshake { deadline: now + handshake_timeout(config, listen) }",
            "Opening::Handshake { deadline: Time::NEVER }",
        )],
    },
    Slip {
        name: "ServersShakeWithoutTimeout",
        wrong: "A server's handshake may take forever.",
        rows: &[(
            "transport/dial.rs",
            "Ok(false) if self.deadline <= now =>",
            "Ok(false) if self.deadline <= now && (!SLIP || self.socket.can_splice()) =>",
        )],
    },
    Slip {
        name: "BrokenHandshakeForgiven",
        wrong: "A handshake that fails does not count against its server.",
        rows: &[(
            "upstream/retry.rs",
            "            | Failure::Handshake(_)
            | Failure::Reset
            | Failure::Closed
            | Failure::SendTimedOut
            | Failure::ReadTimedOut
            | Failure::BadResponse => true,",
            "            | Failure::Reset
            | Failure::Closed
            | Failure::SendTimedOut
            | Failure::ReadTimedOut
            | Failure::BadResponse => true,
            Failure::Handshake(_) => !SLIP,",
        )],
    },
    Slip {
        name: "BrokenHandshakeFinal",
        wrong: "A request whose server breaks the handshake off is not passed to another one.",
        rows: &[(
            "upstream/retry.rs",
            "            | Failure::Handshake(_)
            | Failure::NoLocalAddress
            | Failure::Reset
            | Failure::Closed => policy.error,",
            "            | Failure::NoLocalAddress
            | Failure::Reset
            | Failure::Closed => policy.error,
            Failure::Handshake(_) => !SLIP && policy.error,",
        )],
    },
    Slip {
        name: "FirstAnswerUnread",
        wrong: "What a server has sent with the end of its handshake is not read.",
        rows: &[(
            "transport/socket.rs",
            "Shaken::Done => {
                self.readable = true;",
            "Shaken::Done => {
                self.readable = !SLIP;",
        )],
    },
];
