//! Whom a request is made for: the PROXY header of a connection, and `set_real_ip_from`.

mod common;

use common::{Proxy, Upstream, get, nginx_differs};

/// Passes what it knows of the client on to the server.
const TELLS: &str = "proxy_set_header X-Real $remote_addr:$remote_port;
    proxy_set_header X-Peer $realip_remote_addr;
    proxy_set_header X-Announced $proxy_protocol_addr:$proxy_protocol_port;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

fn proxy(server: &Upstream, listen: &str, rules: &str) -> Proxy {
    let conf = "server { listen {listen} {options}; {rules}
                         location / { proxy_pass http://{server}; {tells} } }";
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("options", &listen), ("rules", &rules), ("tells", &TELLS), ("server", server)];
    Proxy::start(conf, &values)
}

/// The fields that the server got of the only request.
fn told(server: &Upstream) -> [String; 4] {
    let request = server.wait_for_request(1);
    ["X-Real", "X-Peer", "X-Announced", "X-Forwarded-For"]
        .map(|name| request.field(name).unwrap_or_default().to_owned())
}

#[test]
fn the_proxy_header_speaks_for_the_client_of_every_request() {
    let server = Upstream::named("a");
    let rules = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;";
    let proxy = proxy(&server, "proxy_protocol", rules);
    let mut client = proxy.client();
    client.send("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n");
    assert_eq!(client.ask(get("/")).body, b"a");
    let expected = ["2001:db8::7:4711", "127.0.0.1", "2001:db8::7:4711", "2001:db8::7"];
    assert_eq!(told(&server), expected);
    assert_eq!(client.ask(get("/")).body, b"a", "it comes once a connection");
    assert_eq!(server.wait_for_request(2).field("X-Announced"), Some("2001:db8::7:4711"));
}

#[test]
fn a_header_that_is_not_to_be_believed_is_only_known() {
    let server = Upstream::named("a");
    let proxy = proxy(&server, "proxy_protocol", "");
    let mut client = proxy.client();
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
    client.ask(get("/"));
    let port = client.wire().local_address().expect("over TCP").port();
    let real = format!("127.0.0.1:{port}");
    assert_eq!(told(&server), [&*real, "127.0.0.1", "192.0.2.7:4711", "127.0.0.1"]);
}

#[test]
fn a_connection_without_its_header_is_closed_without_a_word() {
    let server = Upstream::named("a");
    let proxy = proxy(&server, "proxy_protocol", "");
    let mut client = proxy.client();
    client.send(get("/"));
    assert!(client.is_closed());
    assert!(server.got_nothing());
}

#[test]
fn fields_speak_for_the_client_only_where_the_peer_is_trusted() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9, 10.0.0.1\r\n\r\n";
    for (rules, real, forwarded) in [
        ("set_real_ip_from 127.0.0.0/8;", "10.0.0.1:0", "192.0.2.9, 10.0.0.1, 10.0.0.1"),
        (
            "set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_recursive on;",
            "192.0.2.9:0",
            "192.0.2.9, 10.0.0.1, 192.0.2.9",
        ),
    ] {
        let server = Upstream::named("a");
        let proxy = proxy(&server, "", &format!("{rules} real_ip_header X-Forwarded-For;"));
        proxy.client().ask(request);
        let [told_real, peer, _, told_forwarded] = told(&server);
        assert_eq!((&*peer, &*told_forwarded), ("127.0.0.1", forwarded), "{rules}");
        if !nginx_differs("has no port for such a client") {
            assert_eq!(told_real, real, "{rules}");
        }
    }
    let server = Upstream::named("a");
    let distrustful = "set_real_ip_from 192.0.2.0/24; real_ip_header X-Forwarded-For;";
    let proxy = proxy(&server, "", distrustful);
    proxy.client().ask(request);
    assert_eq!(told(&server)[3], "192.0.2.9, 10.0.0.1, 127.0.0.1");
}

#[test]
fn a_name_with_underscores_speaks_for_nobody() {
    let spoofed = "GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: 192.0.2.9\r\nX_Real_IP: 192.0.2.66\r\n\
        X_Forwarded_For: 192.0.2.66\r\nX_Seen: b\r\n\r\n";
    for (underscores, seen) in [("off", ""), ("on", "b")] {
        let server = Upstream::named("a");
        let rules = format!(
            "underscores_in_headers {underscores}; set_real_ip_from 127.0.0.1;
             real_ip_header X-Real-IP;"
        );
        let tells = format!("{TELLS} proxy_set_header X-Heard <$http_x_seen>;");
        let conf = "server { listen {listen}; {rules}
                             location / { proxy_pass http://{server}; {tells} } }";
        let values: [(&str, &dyn std::fmt::Display); 3] =
            [("rules", &rules), ("tells", &tells), ("server", &server)];
        Proxy::start(conf, &values).client().ask(spoofed);
        let request = server.wait_for_request(1);
        assert_eq!(request.field("X-Forwarded-For"), Some("192.0.2.9"), "{underscores}");
        assert_eq!(request.field("X-Heard"), Some(&*format!("<{seen}>")));
    }
}

#[test]
fn answers_outside_of_all_locations_know_the_client_too() {
    let server = Upstream::named("a");
    let conf = "log_format who '$remote_addr $status';
        set_real_ip_from 127.0.0.1; real_ip_header X-Client;
        server { listen {listen}; server_name returns; access_log {dir}/access.log who;
            return 200 $remote_addr; }
        server { listen {listen}; server_name slash; access_log {dir}/access.log who;
            add_header X-Who $remote_addr; location /ui/ { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let ask = |target: &str, host: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Client: 192.0.2.9\r\n\r\n");
        proxy.client().ask(request)
    };
    assert_eq!(ask("/", "returns").text(), "192.0.2.9");
    let redirected = ask("/ui", "slash");
    assert_eq!((redirected.status(), redirected.field("X-Who")), (301, Some("192.0.2.9")));
    proxy.access_line(2);
    assert_eq!(proxy.lines("access.log"), ["192.0.2.9 200", "192.0.2.9 301"]);
}
