//! TLS towards clients: others' programs, certificates, ciphers, sessions, ends, reloads.
//!
//! Certificates come from the openssl command: without it each test says so and passes. What nginx
//! does with the same file is compared where it is installed.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use rustls::pki_types::pem::PemObject;
use rustls::{ClientConnection, SignatureScheme};

use common::tls::{self, Keys, VERSIONS, assert_refused};
use common::{
    Client, Connection, PATIENCE, Port, Proxy, Run, SWITCHED, UPGRADE, UPGRADES, Upstream, Wire,
    binary, get, installed, is_nginx, nginx, nginx_differs, ok, run_with, wait_until,
};

/// nginx 1.22 knows 1.3, and does not offer it by itself.
const OFFERS: &str = "ssl_protocols TLSv1.2 TLSv1.3;";

/// The certificate of `a.test`, short of `server {}`.
const OF_A: &str = "listen {listen} ssl; server_name a.test;
    ssl_certificate {keys}/a.test.ec.pem; ssl_certificate_key {keys}/a.test.ec.key;";

/// One server with the certificate of `a.test` and this inside.
fn one(binary: &Path, keys: &Keys, inside: &str, values: &[(&str, &dyn Display)]) -> Proxy {
    let conf = format!("{OFFERS} server {{ {OF_A} {inside} }}");
    let values = [values, &[("keys", keys)]].concat();
    Proxy::start_other(binary, &conf, &values)
}

/// The same before a server, with these directives at the location.
fn before(server: &Upstream, keys: &Keys, directives: &str) -> Proxy {
    let inside = "location / { proxy_pass http://{server}; {directives} }";
    one(&binary(), keys, inside, &[("directives", &directives), ("server", server)])
}

/// A client of `a.test`, of either version.
fn client(proxy: &Proxy) -> Client {
    tls::connect(proxy.address(), "a.test", &tls::client(&VERSIONS)).expect("a handshake")
}

/// How a connection ends for its client.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The server says so: close_notify.
    Told,
    /// It does not.
    Cut,
}

/// What comes until the end, and which end it is.
fn rest(client: &mut Client) -> (Vec<u8>, End) {
    let (mut came, mut bytes) = (Vec::new(), [0; 16 << 10]);
    loop {
        match client.read_some(&mut bytes) {
            Ok(0) => return (came, End::Told),
            Ok(count) => came.extend_from_slice(&bytes[..count]),
            Err(why) => {
                let cuts = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(cuts.contains(&why.kind()), "no end: {why}");
                return (came, End::Cut);
            }
        }
    }
}

/// Runs a program with this input, if it is installed.
fn program(name: &str, arguments: &[&str], input: &str, directory: &Path) -> Option<Run> {
    let mut command = Command::new(installed(name)?);
    let file = tempfile::NamedTempFile::new_in(directory).unwrap();
    fs::write(file.path(), input).unwrap();
    let input = File::open(file.path()).unwrap();
    // Java compiles first.
    Some(run_with(command.current_dir(directory).args(arguments), input, PATIENCE * 6))
}

/// `openssl s_client` with these arguments, split at blanks, and this input.
fn s_client(to: SocketAddr, arguments: &str, input: &str, keys: &Keys) -> Run {
    let to = to.to_string();
    let mut all = vec!["s_client", "-connect", &to];
    all.extend(arguments.split(' ').filter(|it| !it.is_empty()));
    program("openssl", &all, input, &keys.file("")).expect("it made the keys")
}

// Others' programs.

/// What the server answers: the version, the name that the client asked for, and the scheme.
const TOLD: &str = "location / { return 200 '$ssl_protocol $ssl_server_name $scheme $https'; }";

#[test]
fn curl_is_served_over_both_versions() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    let port = proxy.address().port();
    let (at, url) = (format!("a.test:{port}:127.0.0.1"), format!("https://a.test:{port}/"));
    let only = ["--silent", "--show-error", "--cacert", "a.test.ec.pem", "--resolve", &at, &url];
    for (version, name) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let tls = format!("--tlsv{version}");
        let arguments = [&[tls.as_str(), "--tls-max", version][..], &only].concat();
        let Some(run) = program("curl", &arguments, "", &keys.file("")) else { return };
        assert_eq!(run.stdout, format!("{name} a.test https on"), "{run:?}");
    }
}

#[test]
fn openssl_is_served_over_both_versions() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    for (flag, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let arguments = format!("{flag} -servername a.test -CAfile a.test.ec.pem -quiet -ign_eof");
        let run = s_client(proxy.address(), &arguments, request, &keys);
        let expected = format!("{name} a.test https on");
        assert!(run.stdout.ends_with(&expected), "{run:?}");
        assert!(run.stderr.contains("verify return:1"), "{run:?}");
    }
}

#[test]
fn python_is_served_over_both_versions() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    // An end without close_notify is an error here.
    let script = "
import socket, ssl, sys
context = ssl.create_default_context(cafile='a.test.ec.pem')
version = getattr(ssl.TLSVersion, sys.argv[2])
context.minimum_version = context.maximum_version = version
with socket.create_connection(('127.0.0.1', int(sys.argv[1]))) as plain:
    with context.wrap_socket(plain, server_hostname='a.test', suppress_ragged_eofs=False) as tls:
        tls.sendall(b'GET / HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n')
        answer = b''
        while piece := tls.recv(4096):
            answer += piece
        print(answer.split(b'\\r\\n\\r\\n')[1].decode(), tls.version())
";
    let port = proxy.address().port().to_string();
    for (version, name) in [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")] {
        let arguments = ["-c", script, &port, version];
        let Some(run) = program("python3", &arguments, "", &keys.file("")) else { return };
        assert_eq!(run.stdout.trim_end(), format!("{name} a.test https on {name}"), "{run:?}");
    }
}

#[test]
fn java_is_served_over_both_versions() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    let source = r#"
import java.io.*; import java.net.*; import java.nio.file.*; import java.security.*;
import java.security.cert.*; import javax.net.ssl.*;
public class Ask {
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        InputStream file = Files.newInputStream(Path.of("a.test.ec.pem"));
        store.setCertificateEntry("a", CertificateFactory.getInstance("X.509").generateCertificate(file));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            Socket plain = new Socket("127.0.0.1", Integer.parseInt(arguments[0]));
            SSLSocket tls = (SSLSocket) context.getSocketFactory().createSocket(plain, "a.test", 443, true);
            tls.setEnabledProtocols(new String[] {version});
            SSLParameters parameters = tls.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            tls.setSSLParameters(parameters);
            String request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
            tls.getOutputStream().write(request.getBytes());
            String answer = new String(tls.getInputStream().readAllBytes());
            System.out.println(answer.substring(answer.indexOf("\r\n\r\n") + 4));
            tls.close();
        }
    }
}
"#;
    keys.write("Ask.java", source);
    let arguments = ["Ask.java", &proxy.address().port().to_string()];
    let Some(run) = program("java", &arguments, "", &keys.file("")) else { return };
    let expected = "TLSv1.2 a.test https on\nTLSv1.3 a.test https on\n";
    assert_eq!(run.stdout, expected, "{run:?}");
}

// Certificates.

/// Several names at one address, `b.test` with two kinds of key.
const NAMES: &str = "
    server { listen {listen} ssl default_server; server_name a.test;
        ssl_certificate {keys}/a.test.ec.pem; ssl_certificate_key {keys}/a.test.ec.key; }
    server { listen {listen} ssl; server_name b.test;
        ssl_certificate {keys}/b.test.rsa.pem; ssl_certificate_key {keys}/b.test.rsa.key;
        ssl_certificate {keys}/b.test.ec.pem; ssl_certificate_key {keys}/b.test.ec.key; }
    server { listen {listen} ssl; server_name *.c.test;
        ssl_certificate {keys}/c.test.rsa.pem; ssl_certificate_key {keys}/c.test.rsa.key; }
    server { listen {listen} ssl; server_name ~^d[0-9]+[.]test$;
        ssl_certificate {keys}/c.test.rsa.pem; ssl_certificate_key {keys}/c.test.rsa.key; }";

#[test]
fn the_name_and_the_kind_of_key_choose_the_certificate() {
    let names = ["a.test.ec", "b.test.ec", "b.test.rsa", "c.test.rsa"];
    let Some(keys) = Keys::of(&names) else { return };
    let short: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
    let rsa: &[SignatureScheme] =
        &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
    let both = [short, rsa].concat();
    let names = names.map(|name| (name, keys.certificate(name)));
    let conf = NAMES.replace(" server_name ~^d[0-9]+[.]test$;", " server_name d.test;");
    let conf = format!("{OFFERS} {conf}");
    for binary in [Some(binary()), nginx()].into_iter().flatten() {
        let proxy = Proxy::start_other(&binary, &conf, &[("keys", &keys)]);
        for version in VERSIONS {
            for (name, schemes, expected) in [
                ("a.test", &both[..], Some("a.test.ec")),
                ("A.TEST", &both, Some("a.test.ec")),
                ("b.test", &both, Some("b.test.ec")),
                ("b.test", short, Some("b.test.ec")),
                ("b.test", rsa, Some("b.test.rsa")),
                ("x.c.test", &both, Some("c.test.rsa")),
                ("c.test", &both, Some("a.test.ec")),
                ("d.test", rsa, Some("c.test.rsa")),
                ("other.test", &both, Some("a.test.ec")),
                // Without a name: an address is none.
                ("127.0.0.1", &both, Some("a.test.ec")),
                ("a.test", rsa, None),
                ("x.c.test", short, None),
            ] {
                let config = tls::client_of(&[version], schemes.to_vec());
                let got = tls::connect(proxy.address(), name, &config).ok().map(|client| {
                    let sent = tls::certificates(&client);
                    names.iter().find(|(_, der)| *der == sent[0]).expect("one of ours").0
                });
                let at = binary.display();
                assert_eq!(got, expected, "{name} {schemes:?} {version:?} at {at}");
            }
        }
    }
}

#[test]
fn the_chain_is_sent_with_the_certificate() {
    let Some(keys) = Keys::of(&["a.test.ec", "b.test.ec"]) else { return };
    let chain = keys.read("a.test.ec.pem") + &keys.read("b.test.ec.pem");
    keys.write("a.test.ec.pem", chain);
    let proxy = one(&binary(), &keys, "", &[]);
    let sent = tls::certificates(&client(&proxy));
    assert_eq!(sent, [keys.certificate("a.test.ec"), keys.certificate("b.test.ec")]);
}

// Protocols and ciphers.

/// What a client offers, as arguments of `s_client`.
const OFFERED: &[&str] = &[
    "-tls1 -cipher DEFAULT@SECLEVEL=0",
    "-tls1_1 -cipher DEFAULT@SECLEVEL=0",
    "-tls1_2",
    "-tls1_3",
    "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384",
    "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256",
    "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256",
    "-tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256",
    "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384",
    "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
    "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305",
    "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384",
    "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256",
    "-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305",
    "-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384",
    "-tls1_2 -cipher DHE-RSA-AES128-SHA256",
    "-tls1_2 -cipher aNULL@SECLEVEL=0",
    "-tls1_2 -cipher NULL-SHA256:@SECLEVEL=0",
    "-tls1_2 -cipher PSK-AES128-GCM-SHA256",
    "-tls1_2 -groups P-256",
    "-tls1_2 -groups P-384:P-256",
    "-tls1_3 -groups X25519",
    "-tls1_3 -groups P-256",
    "-tls1_3 -groups P-384",
];

/// What nginx accepts and we do not, and why.
const UNSPOKEN: &[(&str, &str)] = &[
    ("-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA384", CBC),
    ("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", CBC),
    ("-tls1_2 -cipher ECDHE-ECDSA-AES256-SHA", CBC),
    ("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA", CBC),
    ("-tls1_2 -cipher ECDHE-RSA-AES256-SHA384", CBC),
    ("-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", CBC),
    ("-tls1_2 -cipher ECDHE-RSA-AES256-SHA", CBC),
    ("-tls1_2 -cipher ECDHE-RSA-AES128-SHA", CBC),
    ("-tls1_2 -cipher AES256-GCM-SHA384", NO_SECRECY),
    ("-tls1_2 -cipher AES128-GCM-SHA256", NO_SECRECY),
    ("-tls1_2 -cipher AES256-SHA256", NO_SECRECY),
    ("-tls1_2 -cipher AES128-SHA", NO_SECRECY),
    ("-tls1_2 -cipher ECDHE-ECDSA-AES128-CCM", RARE),
    ("-tls1_2 -cipher ECDHE-ARIA128-GCM-SHA256", RARE),
    ("-tls1_2 -groups X25519", NO_P256),
    ("-tls1_2 -groups P-384", NO_P256),
    ("-tls1_3 -groups P-521", RARE),
    ("-tls1_3 -groups X448", RARE),
];

const CBC: &str = "CBC suites are open to padding oracles: RFC 9325, 4.2";
const NO_SECRECY: &str = "no forward secrecy: RFC 9325, 4.1";
const NO_P256: &str = "a certificate is chosen by how clients verify, not by their curves";
const RARE: &str = "clients that have it have better ones too";

/// What a server agrees to: the version and the cipher, or nothing.
fn agreed(to: SocketAddr, offered: &str, keys: &Keys) -> Option<String> {
    let run = s_client(to, &format!("-brief -servername a.test {offered}"), "", keys);
    let text = run.stderr + &run.stdout;
    let value = |name| text.lines().find_map(|line| line.strip_prefix(name));
    assert!(!text.contains("Error with command"), "{offered}: {text}");
    Some(format!("{}{}", value("Protocol version: ")?, value("Ciphersuite: ")?))
}

/// A server with both kinds of keys, and these directives.
fn both_kinds(binary: &Path, keys: &Keys, directives: &str) -> Proxy {
    let second =
        "ssl_certificate {keys}/a.test.rsa.pem; ssl_certificate_key {keys}/a.test.rsa.key;";
    one(binary, keys, &format!("{second} {directives}"), &[])
}

#[test]
fn protocols_and_ciphers_are_those_of_nginx_but_for_the_known_differences() {
    let Some(keys) = Keys::of(&["a.test.ec", "a.test.rsa"]) else { return };
    let ours = both_kinds(&binary(), &keys, "");
    for (offered, why) in UNSPOKEN {
        let ours = agreed(ours.address(), offered, &keys);
        assert!(ours.is_none() || is_nginx(), "{offered}: {ours:?}, though {why}");
    }
    for old in &OFFERED[..2] {
        assert_eq!(agreed(ours.address(), old, &keys), None, "{old}");
    }
    let Some(nginx) = nginx() else { return };
    let theirs = both_kinds(&nginx, &keys, "");
    for (offered, why) in UNSPOKEN {
        let theirs = agreed(theirs.address(), offered, &keys);
        assert!(theirs.is_some(), "{offered}: nginx refuses it too: {why}");
    }
    let differing: Vec<String> = OFFERED
        .iter()
        .map(|it| (it, [&theirs, &ours].map(|proxy| agreed(proxy.address(), it, &keys))))
        .filter(|(_, [theirs, ours])| theirs != ours)
        .map(|(it, [theirs, ours])| format!("{it}: nginx {theirs:?}, under test {ours:?}"))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_order_of_ciphers_is_that_of_nginx() {
    let Some(keys) = Keys::of(&["a.test.ec", "a.test.rsa"]) else { return };
    let Some(nginx) = nginx() else { return };
    for directives in [
        "ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256;",
        "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                     ECDHE-RSA-AES256-GCM-SHA384;",
        "ssl_ciphers ECDHE-RSA-AES256-GCM-SHA384;",
    ] {
        for prefers in ["on", "off"] {
            let directives = format!("{directives} ssl_prefer_server_ciphers {prefers};");
            let pair = [&nginx, &binary()].map(|it| both_kinds(it, &keys, &directives));
            for client in [
                "-tls1_2",
                "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
                "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
                "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
                "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
            ] {
                let [theirs, ours] =
                    pair.each_ref().map(|proxy| agreed(proxy.address(), client, &keys));
                assert_eq!(ours, theirs, "{directives} with {client}");
            }
        }
    }
}

#[test]
fn one_version_alone_may_be_offered() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    for (directive, expected) in
        [("ssl_protocols TLSv1.2;", [true, false]), ("ssl_protocols TLSv1.3;", [false, true])]
    {
        let conf = format!("server {{ {OF_A} {directive} }}");
        let proxy = Proxy::start(&conf, &[("keys", &keys)]);
        let got =
            VERSIONS.map(|it| tls::connect(proxy.address(), "a.test", &tls::client(&[it])).is_ok());
        assert_eq!(got, expected, "{directive}");
    }
}

#[test]
fn the_protocol_that_a_client_asks_for_is_http_1_1_or_none() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    for binary in [Some(binary()), nginx()].into_iter().flatten() {
        let proxy = one(&binary, &keys, "", &[]);
        for (asked, expected) in [
            (&["h2", "http/1.1"][..], Ok(Some("http/1.1"))),
            (&["http/1.0"], Ok(Some("http/1.0"))),
            (&[], Ok(None)),
            (&["h2"], Err(())),
        ] {
            let mut config = tls::client(&VERSIONS);
            config.alpn_protocols = asked.iter().map(|it| it.as_bytes().to_vec()).collect();
            let got = tls::connect(proxy.address(), "a.test", &config);
            let got = got.map(|client| tls::protocol(&client)).map_err(drop);
            let expected = expected.map(|it| it.map(str::to_owned));
            assert_eq!(got, expected, "{asked:?} at {}", binary.display());
        }
    }
}

#[test]
fn a_renegotiation_is_refused() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    let run = s_client(proxy.address(), "-tls1_2", "R\n", &keys);
    assert!(run.stderr.contains("RENEGOTIATING"), "{run:?}");
    assert!(run.stderr.contains("no renegotiation") || run.stderr.contains("alert"), "{run:?}");
    assert_ne!(run.status, Some(0), "{run:?}");
}

#[test]
fn early_data_is_not_accepted() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    keys.write("early", request.replace("/ ", "/early "));
    s_client(proxy.address(), "-tls1_3 -ign_eof -sess_out ours", request, &keys);
    let arguments = "-tls1_3 -ign_eof -sess_in ours -early_data early";
    let run = s_client(proxy.address(), arguments, request, &keys);
    assert!(run.stdout.contains("Early data was not sent"), "{run:?}");
    let Some(nginx) = nginx() else { return };
    // A session of a server that accepts it: here it is read over.
    let other = one(&nginx, &keys, &format!("ssl_early_data on; {TOLD}"), &[]);
    s_client(other.address(), "-tls1_3 -ign_eof -sess_out theirs", request, &keys);
    let arguments = "-tls1_3 -ign_eof -sess_in theirs -early_data early";
    let run = s_client(proxy.address(), arguments, request, &keys);
    assert!(run.stdout.contains("Early data was rejected"), "{run:?}");
    assert_eq!(run.stdout.matches("HTTP/1.1 200").count(), 1, "{run:?}");
}

// Sessions.

/// Whether a second and a third connection resume the session of the one before, by version.
fn resumed(proxy: &Proxy) -> [String; 3] {
    let by_id = tls::client_without_tickets(&rustls::version::TLS12);
    [by_id, tls::client(&VERSIONS[..1]), tls::client(&VERSIONS[1..])].map(|config| {
        let answers = (0..3).map(|_| {
            let mut client = tls::connect(proxy.address(), "a.test", &config).expect("a handshake");
            client.ask(get("/")).text()
        });
        answers.collect()
    })
}

#[test]
fn sessions_are_resumed_by_ticket_and_from_the_cache() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let told = "location / { return 200 $ssl_session_reused; }";
    let shared = "ssl_session_cache shared:A:1m;";
    let off = "ssl_session_cache off;";
    // By id, by ticket, and in 1.3.
    for (directives, expected) in [
        (shared.to_owned(), [".rr", ".rr", ".rr"]),
        (format!("{shared} ssl_session_tickets off;"), [".rr", ".rr", ".rr"]),
        (off.to_owned(), ["...", ".rr", ".rr"]),
        (format!("{off} ssl_session_tickets off;"), ["...", "...", "..."]),
    ] {
        for binary in [Some(binary()), nginx()].into_iter().flatten() {
            let proxy = one(&binary, &keys, &format!("{directives} {told}"), &[]);
            assert_eq!(resumed(&proxy), expected, "{directives} at {}", binary.display());
        }
    }
}

#[test]
fn a_session_is_not_resumed_when_its_time_is_over() {
    if nginx_differs("still resumes in the same second") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let rules = "ssl_session_cache shared:A:1m; ssl_session_timeout 0;";
    let told = "location / { return 200 $ssl_session_reused; }";
    assert_eq!(resumed(&one(&binary(), &keys, &format!("{rules} {told}"), &[])), ["..."; 3]);
}

// Bytes.

/// Bytes that show where they are.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
}

const SIZE: usize = 12 << 20;

#[test]
fn long_bodies_arrive_byte_for_byte_in_both_directions() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(|connection| {
        while let Some(request) = connection.read_request()? {
            assert!(request.body == pattern(SIZE), "other bytes");
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"))?;
            connection.send(&request.body)?;
        }
        Ok(())
    });
    for splice in ["on", "off"] {
        if is_nginx() && splice == "off" {
            continue;
        }
        let splice = if is_nginx() { String::new() } else { format!("splice {splice};") };
        let text = format!(
            "{splice} daemon off; pid {{dir}}/proxy.pid; error_log stderr; events {{}}
             http {{ access_log off; client_max_body_size 0; server {{ {OF_A} {OFFERS}
                     location / {{ proxy_pass http://{{server}}; }} }} }}"
        );
        let proxy = Proxy::start_whole(&text, &[("keys", &keys), ("server", &server)]);
        for version in VERSIONS {
            let config = tls::client(&[version]);
            let mut client = tls::connect(proxy.address(), "a.test", &config).expect("a handshake");
            for _ in 0..2 {
                client.send(format!(
                    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {SIZE}\r\n\r\n"
                ));
                client.send(pattern(SIZE));
                assert!(client.read_response().body == pattern(SIZE), "{splice} {version:?}");
            }
        }
    }
}

/// Hands over one byte at a time.
struct ByByte(TcpStream);

impl Read for ByByte {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for ByByte {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.write(&from[..from.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn plain(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn records_that_come_byte_by_byte_are_read() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::named("whole");
    let proxy = before(&server, &keys, "");
    for version in VERSIONS {
        let mut slow = ByByte(plain(&proxy));
        let mut connection = tls::connection("a.test", &tls::client(&[version]));
        while connection.is_handshaking() {
            connection.complete_io(&mut slow).expect("a handshake");
        }
        let mut stream = rustls::Stream::new(&mut connection, &mut slow);
        stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n").unwrap();
        stream.write_all(b"Content-Length: 4\r\n\r\nbody").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an end in order");
        assert!(answer.ends_with("\r\n\r\nwhole"), "{version:?}: {answer}");
    }
    assert!(server.requests().iter().all(|request| request.text() == "body"));
}

#[test]
fn requests_of_one_record_are_answered_in_order() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(|connection| {
        while let Some(request) = connection.read_request()? {
            connection.send(ok(request.start.split(' ').nth(1).unwrap_or_default()))?;
        }
        Ok(())
    });
    let proxy = before(&server, &keys, "");
    for version in VERSIONS {
        let config = tls::client(&[version]);
        let mut client = tls::connect(proxy.address(), "a.test", &config).expect("a handshake");
        let burst: Vec<u8> = (0..200).flat_map(|n| get(&format!("/{n}"))).collect();
        assert!(burst.len() < 16 << 10, "more than a record");
        client.send(burst);
        for n in 0..200 {
            assert_eq!(client.read_response().text(), format!("/{n}"), "{version:?}");
        }
    }
}

#[test]
fn an_upgrade_goes_through() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(|connection| {
        connection.read_head()?;
        connection.send(SWITCHED)?;
        connection.echo()
    });
    let proxy = before(&server, &keys, UPGRADES);
    let mut client = client(&proxy);
    client.send(UPGRADE);
    assert_eq!(client.read_head().status(), 101);
    for length in [1, 100, 300_000] {
        client.send(pattern(length));
        assert!(client.read_exactly(length) == pattern(length));
    }
    client.finish_sending();
    let end = if is_nginx() { End::Cut } else { End::Told };
    assert_eq!(rest(&mut client), (Vec::new(), end));
    server.wait_until_left_alone();
}

// Ends.

#[test]
fn an_answer_that_is_cut_has_no_close_notify() {
    if nginx_differs("says its end in order where the framing shows the cut") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    for (request, answer) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"),
        (
            "GET / HTTP/1.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n",
        ),
    ] {
        let server = Upstream::answering_and_closing(answer);
        let proxy = before(&server, &keys, "");
        for version in VERSIONS {
            let config = tls::client(&[version]);
            let mut client = tls::connect(proxy.address(), "a.test", &config).expect("a handshake");
            client.send(request);
            let (_, end) = rest(&mut client);
            assert_eq!(end, End::Cut, "{request:?} {answer:?} {version:?}");
        }
    }
}

#[test]
fn an_answer_that_a_stop_cuts_has_no_close_notify() {
    if nginx_differs("says its end in order") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send("HTTP/1.0 200 OK\r\n\r\npart")?;
        connection.wait_for_end()
    });
    for (signals, request) in [
        (&["TERM"][..], "GET / HTTP/1.0\r\n\r\n"),
        (&["QUIT", "QUIT"], "GET / HTTP/1.0\r\n\r\n"),
        (&["TERM"], "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let mut proxy = before(&server, &keys, "");
        let mut client = client(&proxy);
        client.send(request);
        assert!(client.reader().head().is_ok_and(|head| head.is_some()));
        for signal in signals {
            proxy.signal(signal);
            proxy.wait_for_log(&["stopping"]);
        }
        assert_eq!(rest(&mut client).1, End::Cut, "{signals:?} {request:?}");
        assert!(proxy.wait_for_exit().success());
    }
}

#[test]
fn an_end_in_order_has_close_notify() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";
    for (request, answer, end) in [
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nwhole", "\r\n\r\nwhole"),
        ("GET / HTTP/1.0\r\n\r\n", whole, "\r\n\r\nwhole"),
        (close, whole, "\r\n\r\nwhole"),
        ("not HTTP\r\n\r\n", "", ""),
        // Idle for too long.
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", whole, "\r\n\r\nwhole"),
    ] {
        let server = Upstream::answering_and_closing(answer);
        let proxy = before(&server, &keys, "keepalive_timeout 1s;");
        for version in VERSIONS {
            let config = tls::client(&[version]);
            let mut client = tls::connect(proxy.address(), "a.test", &config).expect("a handshake");
            client.send(request);
            let (came, how) = rest(&mut client);
            let came = String::from_utf8_lossy(&came);
            assert!(came.starts_with("HTTP/1.1 ") && came.ends_with(end), "{request:?}: {came}");
            assert_eq!(how, End::Told, "{request:?} {answer:?} {version:?}");
        }
    }
}

// Handshakes that go wrong.

/// What a client of this version sends first.
fn greeting(connection: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_reset_in_the_handshake_leaves_no_descriptor_behind() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, TOLD, &[]);
    let sockets = || proxy.open_files().iter().filter(|it| it.starts_with("socket:")).count();
    let before = sockets();
    let hello = greeting(&mut tls::connection("a.test", &tls::client(&VERSIONS)));
    for part in [&[][..], &hello[..1], &hello[..50], &hello] {
        let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(proxy.address())).collect();
        for client in &mut clients {
            client.send(part);
        }
        wait_until("the clients to be accepted", || sockets() == before + 20);
        clients.into_iter().for_each(Client::reset);
        wait_until("all to be closed", || sockets() == before);
    }
    assert_eq!(client(&proxy).ask(get("/")).status(), 200);
}

#[test]
fn a_client_that_stops_in_the_handshake_is_closed_after_the_header_timeout() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, "client_header_timeout 1s;", &[]);
    let hello = greeting(&mut tls::connection("a.test", &tls::client(&VERSIONS)));
    for part in [&[][..], &hello[..1], &hello[..50], &hello] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        client.read_to_end();
    }
}

#[test]
fn a_client_that_says_nothing_after_the_handshake_is_closed_too() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, "client_header_timeout 1s;", &[]);
    rest(&mut client(&proxy));
}

#[test]
fn what_is_no_handshake_is_closed_and_logged() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let proxy = one(&binary(), &keys, "", &[]);
    for bytes in [
        // A record of nothing, one that is too long, a message of another kind, one of garbage.
        &b"\x16\x03\x01\x00\x00"[..],
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x0b\x00\x00\x00",
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\xff\xff\xff\xff",
    ] {
        let mut client = Client::connect(proxy.address());
        client.send(bytes);
        client.finish_sending();
        client.read_to_end();
    }
    proxy.wait_for_log(&["127.0.0.1", if is_nginx() { "SSL" } else { "TLS handshake failed" }]);
}

#[test]
fn a_plain_request_gets_400_or_what_error_page_says_of_497() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let redirect = "error_page 497 https://$host$request_uri;";
    let moved = "error_page 497 =301 https://$host/x;";
    for binary in [Some(binary()), nginx()].into_iter().flatten() {
        for (directives, status, location) in [
            ("", 400, None),
            (redirect, 302, Some("https://a.test/y?z")),
            (moved, 301, Some("https://a.test/x")),
            ("error_page 400 =404 /no; location /no { return 404; }", 400, None),
        ] {
            let proxy = one(&binary, &keys, directives, &[]);
            let mut client = Client::connect(proxy.address());
            client.send("GET /y?z HTTP/1.1\r\nHost: a.test\r\n\r\nGET /never HTTP/1.1\r\n\r\n");
            let answer = client.read_response();
            let place = answer.field("Location");
            assert_eq!((answer.status(), place), (status, location), "{directives} {binary:?}");
            client.finish_sending();
            assert!(client.is_closed(), "{directives} {binary:?}");
        }
    }
}

#[test]
fn a_plain_port_of_the_same_server_is_plain() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let second = Port::reserve();
    let inside = "listen {second};
        location / { return 200 '$scheme [$https] [$ssl_protocol] [$ssl_cipher] [$ssl_server_name]'; }";
    let proxy = one(&binary(), &keys, inside, &[("second", &second.address())]);
    let answer = Client::connect(second.address()).ask(get("/")).text();
    assert_eq!(answer, "http [] [] [] []");
    let answer = client(&proxy).ask(get("/")).text();
    assert_eq!(answer, "https [on] [TLSv1.3] [TLS_AES_256_GCM_SHA384] [a.test]");
}

#[test]
fn the_server_is_told_that_its_client_came_over_tls() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::named("a");
    let proxy = before(&server, &keys, "proxy_set_header X-Forwarded-Proto $scheme;");
    assert_eq!(client(&proxy).ask(get("/")).text(), "a");
    assert_eq!(server.wait_for_request(1).field("X-Forwarded-Proto"), Some("https"));
}

#[test]
fn a_proxy_header_comes_before_the_handshake() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let conf = OF_A.replace("ssl;", "ssl proxy_protocol;");
    let conf = format!(
        "{OFFERS} server {{ {conf} set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
         location / {{ return 200 '$remote_addr $ssl_protocol'; }} }}"
    );
    let proxy = Proxy::start(&conf, &[("keys", &keys)]);
    let header = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n";
    // The header alone; with all of the first message; with a part of it.
    for with in [0, usize::MAX, 50] {
        let mut connection = tls::connection("a.test", &tls::client(&VERSIONS));
        let stream = plain(&proxy);
        let hello = greeting(&mut connection);
        let (joined, later) = hello.split_at(with.min(hello.len()));
        (&stream).write_all(&[header.as_bytes(), joined].concat()).unwrap();
        (&stream).write_all(later).unwrap();
        let mut client = Client::over(Wire::tls(stream, connection).expect("a handshake"));
        assert_eq!(client.ask(get("/")).text(), "192.0.2.7 TLSv1.3");
    }
    // Without one, there is no handshake.
    let config = tls::client(&VERSIONS);
    assert!(tls::connect(proxy.address(), "a.test", &config).is_err());
}

// Streams.

/// A whole file with this server in `stream {}`.
fn streaming(keys: &Keys, server: &Upstream, directives: &str) -> Proxy {
    let text = in_stream(
        "$ssl_protocol $ssl_server_name $ssl_session_reused",
        &format!(
            "listen {{listen}} ssl; {OFFERS} ssl_certificate {{keys}}/a.test.ec.pem;
             ssl_certificate_key {{keys}}/a.test.ec.key; {directives}"
        ),
    );
    Proxy::start_whole(&text, &[("keys", keys), ("server", server)])
}

/// The same as text; each connection logs these variables, its status and its bytes.
fn in_stream(variables: &str, directives: &str) -> String {
    let module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so; events {}";
    let before = if is_nginx() { module } else { "" };
    format!(
        "{before} daemon off; pid {{dir}}/proxy.pid; error_log stderr info;
         stream {{ log_format told '{variables} $status $bytes_received $bytes_sent';
             server {{ {directives} proxy_pass {{server}}; access_log {{dir}}/access.log told; }} }}"
    )
}

#[test]
fn a_stream_server_takes_tls_off() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(Connection::echo);
    let proxy = streaming(&keys, &server, "");
    let mut client = client(&proxy);
    for length in [1, 100, 1_000_000] {
        client.send(pattern(length));
        assert!(client.read_exactly(length) == pattern(length), "{length}");
    }
    client.finish_sending();
    let end = if is_nginx() { End::Cut } else { End::Told };
    assert_eq!(rest(&mut client), (Vec::new(), end));
    assert_eq!(proxy.access_line(1), "TLSv1.3 a.test . 200 1000101 1000101");
}

#[test]
fn each_end_of_a_stream_is_passed_on_and_a_reset_is_a_cut() {
    if nginx_differs("ends both directions, and in order") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(|connection| {
        let mut heard = Vec::new();
        connection.reader().exact(&mut [0])?;
        let mut bytes = [0; 64];
        loop {
            match connection.read_some(&mut bytes)? {
                0 => break,
                count => heard.extend_from_slice(&bytes[..count]),
            }
        }
        connection.send(&heard)?;
        if heard == b"reset" {
            connection.reset();
        }
        Ok(())
    });
    let proxy = streaming(&keys, &server, "");
    for (words, expected) in [("orderly", End::Told), ("reset", End::Cut)] {
        let mut client = client(&proxy);
        client.send(format!("!{words}"));
        client.finish_sending();
        assert_eq!(rest(&mut client).1, expected, "{words}");
    }
}

#[test]
fn a_stream_client_without_a_handshake_is_closed() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::playing(Connection::echo);
    let proxy = streaming(&keys, &server, "ssl_handshake_timeout 1s;");
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\n\r\n");
    client.read_to_end();
    let hello = greeting(&mut tls::connection("a.test", &tls::client(&VERSIONS)));
    for part in [&[][..], &hello[..50], &hello] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        client.read_to_end();
    }
    assert_eq!(server.connections(), 0);
}

/// A whole file with a server in `stream {}` that reads what passes on.
fn prereading(server: &Upstream, directives: &str) -> Proxy {
    let text = in_stream(
        "$ssl_preread_server_name [$ssl_preread_alpn_protocols]",
        &format!("listen {{listen}}; ssl_preread on; {directives}"),
    );
    Proxy::start_whole(&text, &[("server", server)])
}

#[test]
fn a_handshake_that_passes_on_is_read_and_not_changed() {
    let server = Upstream::playing(Connection::echo);
    let proxy = prereading(&server, "");
    let mut config = tls::client(&VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let hello = greeting(&mut tls::connection("a.test", &config));
    let (plain, length) = (&b"plain"[..], hello.len());
    for (line, bytes, pieces) in [
        (format!("a.test [h2,http/1.1] 200 {length} {length}"), &hello[..], vec![length]),
        (format!("a.test [h2,http/1.1] 200 {length} {length}"), &hello, vec![1, 4, 9, 100]),
        ("- [] 200 5 5".to_owned(), plain, vec![5]),
    ] {
        let (mut client, mut rest) = (Client::connect(proxy.address()), bytes);
        for piece in pieces {
            client.send(&rest[..piece]);
            rest = &rest[piece..];
        }
        client.send(rest);
        assert_eq!(client.read_exactly(bytes.len()), bytes, "{line}");
        client.finish_sending();
        assert!(client.is_closed());
        let logged = proxy.access_line(server.connections());
        // nginx knows nothing of a list that is not there.
        assert_eq!(logged.replace("[-]", "[]"), line);
    }
}

#[test]
fn a_handshake_that_does_not_become_whole_is_not_passed_on() {
    let server = Upstream::playing(Connection::echo);
    let proxy = prereading(&server, "preread_timeout 1s; preread_buffer_size 200;");
    let hello = greeting(&mut tls::connection("a.test", &tls::client(&VERSIONS)));
    assert!(hello.len() > 200);
    for part in [&[][..], &hello[..100], &hello] {
        let mut client = Client::connect(proxy.address());
        client.send(part);
        client.read_to_end();
    }
    assert_eq!(server.connections(), 0);
}

// Reloads, and files that are wrong.

#[test]
fn a_reload_brings_the_new_certificate_and_old_connections_go_on() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::named("a");
    let proxy = before(&server, &keys, "");
    let mut old = client(&proxy);
    let first = tls::certificates(&old);
    assert_eq!(old.ask(get("/")).text(), "a");
    keys.make("a.test.ec");
    assert_eq!(tls::certificates(&client(&proxy)), first, "it is read at a reload");
    proxy.tell("reload");
    let second = vec![keys.certificate("a.test.ec")];
    assert_ne!(first, second);
    wait_until("the new certificate", || tls::certificates(&client(&proxy)) == second);
    if !nginx_differs("closes idle connections at a reload") {
        assert_eq!(old.ask(get("/")).text(), "a");
    }
}

#[test]
fn a_reload_with_a_broken_certificate_keeps_the_old_one_and_says_why() {
    let Some(keys) = Keys::of(&["a.test.ec", "b.test.ec"]) else { return };
    let server = Upstream::named("a");
    let mut proxy = before(&server, &keys, "");
    let first = tls::certificates(&client(&proxy));
    let foreign = keys.read("b.test.ec.pem");
    for (text, why) in [
        ("garbage", "has no certificate"),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "no PEM file"),
        (foreign.as_str(), "does not belong"),
    ] {
        keys.write("a.test.ec.pem", text);
        proxy.signal("HUP");
        let why = if is_nginx() { "emerg" } else { why };
        proxy.says(why);
        assert_eq!(tls::certificates(&client(&proxy)), first);
    }
    assert!(proxy.runs());
}

#[test]
fn the_test_says_what_is_wrong_with_certificates_and_where() {
    if nginx_differs("names no column") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec", "b.test.ec"]) else { return };
    keys.write("text", "no PEM at all");
    keys.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    keys.write("short.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    keys.write("broken.key", "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n");
    keys.write(
        "secret.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let (pem, key) = (
        "    ssl_certificate {keys}/a.test.ec.pem;",
        "    ssl_certificate_key {keys}/a.test.ec.key;",
    );
    for (lines, place, words) in [
        (["    ssl_certificate {keys}/gone.pem;", key, ""], "3:21", "cannot read"),
        ([pem, "    ssl_certificate_key {keys}/gone.key;", ""], "4:25", "cannot read"),
        (["    ssl_certificate {keys}/text;", key, ""], "3:21", "has no certificate"),
        ([pem, "    ssl_certificate_key {keys}/broken.key;", ""], "4:25", "base64"),
        (["    ssl_certificate {keys}/a.test.ec.key;", key, ""], "3:21", "has no certificate"),
        (["    ssl_certificate {keys}/broken.pem;", key, ""], "3:21", "no PEM file"),
        (["    ssl_certificate {keys}/short.pem;", key, ""], "3:21", "cannot be used"),
        ([pem, "    ssl_certificate_key {keys}/text;", ""], "4:25", "no private key"),
        ([pem, "    ssl_certificate_key {keys}/secret.key;", ""], "4:25", "decrypt"),
        ([pem, "    ssl_certificate_key {keys}/b.test.ec.key;", ""], "4:25", "does not belong"),
        (["", "", ""], "1:1", "has no certificate"),
        ([pem, "", ""], "3:21", "as many certificates as keys"),
        ([pem, key, "    ssl_protocols TLSv1.1 TLSv1.2;"], "5:19", "TLSv1.1"),
        ([pem, key, "    ssl_protocols TLSv1.4;"], "5:19", "TLSv1.4"),
        ([pem, key, "    ssl_verify_client on;"], "1:1", "nobody is trusted"),
        ([pem, key, "    ssl_verify_client optional_no_ca;"], "5:23", "are verified here"),
        ([pem, key, "    ssl_reject_handshake maybe;"], "5:26", "maybe"),
        ([pem, key, "    ssl_ciphers RC4-SHA;"], "5:17", "no cipher known here"),
    ] {
        let text = format!("server {{\n    listen 127.0.0.1:8443 ssl;\n{}\n}}\n", lines.join("\n"));
        assert_refused(&keys, &text.replace("{keys}", &keys.to_string()), place, words);
    }
}

#[test]
fn no_part_of_a_key_is_logged() {
    let Some(keys) = Keys::of(&["a.test.ec", "b.test.rsa"]) else { return };
    let text = format!(
        "daemon off; pid {{dir}}/proxy.pid; error_log stderr debug; events {{}}
         http {{ access_log stderr; {OFFERS} server {{ {OF_A} {TOLD} }}
             server {{ listen {{listen}} ssl; server_name b.test; ssl_certificate {{keys}}/b.test.rsa.pem;
                       ssl_certificate_key {{keys}}/b.test.rsa.key; }} }}"
    )
    .replace("access_log stderr;", "access_log off;");
    let mut proxy = Proxy::start_whole(&text, &[("keys", &keys)]);
    for name in ["a.test", "b.test"] {
        let config = tls::client(&VERSIONS);
        let mut client = tls::connect(proxy.address(), name, &config).expect("a handshake");
        client.ask(get("/"));
    }
    Client::connect(proxy.address()).ask(get("/"));
    let config = tls::client_of(&VERSIONS, vec![SignatureScheme::ED25519]);
    assert!(tls::connect(proxy.address(), "a.test", &config).is_err());
    proxy.tell("reload");
    let secrets = ["a.test.ec.key", "b.test.rsa.key"].map(|file| keys.read(file));
    // Mistaken for a certificate; broken.
    let (first, rest) = secrets[1].split_at(secrets[1].len() / 2);
    let broken = format!("{first}!{rest}");
    let is_wrong = if is_nginx() { "emerg" } else { "a.test.ec.pem" };
    keys.write("a.test.ec.pem", &secrets[0]);
    proxy.signal("HUP");
    proxy.says(is_wrong);
    keys.make("a.test.ec");
    keys.write("b.test.rsa.key", broken);
    proxy.signal("HUP");
    proxy.says(if is_nginx() { "emerg" } else { "b.test.rsa.key" });
    let log = proxy.log_text();
    for secret in &secrets {
        let lines: Vec<&str> = secret.lines().filter(|line| !line.starts_with("---")).collect();
        assert!(lines.iter().any(|line| line.len() > 60), "no key");
        for line in lines {
            let parts = line.as_bytes().chunks(16).filter(|part| part.len() > 8);
            for part in parts.map(|part| String::from_utf8_lossy(part)) {
                assert!(!log.contains(&*part), "a part of a key is logged:\n{log}");
            }
        }
    }
    let config = rustls::pki_types::PrivateKeyDer::from_pem_slice(secrets[0].as_bytes()).unwrap();
    let written = |bytes: &[u8], how: fn(&u8) -> String, between: &str| {
        bytes.iter().map(how).collect::<Vec<_>>().join(between)
    };
    for bytes in config.secret_der().windows(8) {
        for text in [
            written(bytes, |byte| format!("{byte:02x}"), ""),
            written(bytes, |byte| format!("{byte:02X}"), ""),
            written(bytes, |byte| format!("{byte:02x}"), ":"),
            written(bytes, |byte| byte.to_string(), ", "),
        ] {
            assert!(!log.contains(&text), "a part of a key is logged:\n{log}");
        }
    }
}
