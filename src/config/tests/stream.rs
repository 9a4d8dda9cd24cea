//! `stream {}`, and the parts of `http {}` that relay bytes unread.

use std::time::Duration;

use crate::config::model::*;
use crate::config::parse_text;
use crate::config::tests::broken::refused;
use crate::config::tests::{config, notices};

#[test]
fn a_stream_server_has_nginx_defaults_but_for_the_half_close() {
    let config = config(
        "stream { upstream g { server 127.0.0.1:1; server 127.0.0.1:2 backup; }
                  server { listen 127.0.0.1:9; proxy_pass g; } }",
    );
    let [server] = config.stream_servers.as_slice() else { panic!("one server") };
    let pass = &server.pass;
    assert_eq!(pass.group, GroupId(0));
    assert_eq!(pass.connect_timeout, Duration::from_secs(60));
    assert_eq!(pass.timeout, Duration::from_secs(600));
    assert_eq!((pass.next.error, pass.next.timeout, pass.next.tries), (true, true, 0));
    assert_eq!((pass.half_close, pass.announces), (HalfClose::Passed, None));
    assert_eq!(pass.follows, Follows::Server);
    assert_eq!(config.listens[0].serves, Serves::Stream(StreamServerId(0)));
    assert!(config.groups[0].servers[1].backup);
}

#[test]
fn a_stream_server_says_otherwise() {
    let config = config(
        "stream { proxy_timeout 5s; proxy_protocol on; set_real_ip_from 10.1.2.3;
                  log_format f '$remote_addr $protocol'; access_log a.log f;
                  server { listen unix:/s proxy_protocol; proxy_pass unix:/t;
                           proxy_connect_timeout 3; proxy_next_upstream off; proxy_half_close off;
                           proxy_protocol v2; proxy_buffer_size 64k; tcp_nodelay off; } }",
    );
    let server = &config.stream_servers[0];
    let pass = &server.pass;
    assert_eq!((pass.timeout, pass.connect_timeout), (secs(5), secs(3)));
    assert_eq!((pass.next.error, pass.next.timeout), (false, false));
    assert_eq!((pass.half_close, pass.buffer), (HalfClose::EndsBoth, 64 << 10));
    assert_eq!(pass.announces, Some(ProxyProtocol::V2));
    assert_eq!(server.trusted, [Trusted::Net("10.1.2.3/32".parse().unwrap())]);
    assert!(config.listens[0].proxy_protocol && !server.tcp_nodelay);
    let format = server.access_logs[0].format;
    assert_eq!(&*config.log_formats[format.0].name, "f");
    assert_eq!(config.groups[0].check_timeout, secs(3));
}

#[test]
fn names_of_http_and_stream_do_not_meet() {
    let config = config(
        "http { upstream g { server 127.0.0.1:1; } log_format f $uri;
                server { listen 1; location / { proxy_pass http://g; } } }
         stream { upstream g { server 127.0.0.1:2; } log_format f $protocol;
                  server { listen 2; proxy_pass g; }
                  server { listen 3; proxy_pass 127.0.0.1:3; }
                  server { listen 4; proxy_pass 127.0.0.1:3; } }",
    );
    let layers: Vec<_> = config.groups.iter().map(|group| group.layer).collect();
    assert_eq!(layers, [Layer::Http, Layer::Stream, Layer::Stream]);
    let groups: Vec<_> = config.stream_servers.iter().map(|server| server.pass.group.0).collect();
    assert_eq!(groups, [1, 2, 2]);
}

#[test]
fn a_file_with_stream_alone_serves_something() {
    assert_eq!(notices("stream { server { listen 1; proxy_pass 127.0.0.1:1; } }"), "");
}

#[test]
fn an_http2_tunnel_goes_where_requests_would_go() {
    let config = config(
        "server { h2c_tunnel on;
                  location / { proxy_pass http://127.0.0.1:8080; proxy_connect_timeout 3;
                               proxy_read_timeout 9; } }
         server { listen 81; }",
    );
    let H2cTunnel { pass, reaches } = config.virtual_servers[0].h2c.as_ref().expect("it is on");
    assert_eq!(*reaches, H2cReach::Any);
    assert_eq!((pass.group, pass.follows), (GroupId(0), Follows::Group));
    assert_eq!((pass.connect_timeout, pass.timeout), (secs(3), secs(9)));
    assert_eq!(config.virtual_servers[1].h2c, None);
}

#[test]
fn by_itself_a_tunnel_passes_no_rules_by() {
    let reaches = |inside: &str| {
        let config = config(&format!("server {{ {inside} }}"));
        config.virtual_servers[0].h2c.as_ref().map(|tunnel| tunnel.reaches)
    };
    const PASS: &str = "location / { proxy_pass http://127.0.0.1:1; }";
    assert_eq!(reaches(PASS), Some(H2cReach::Trinos));
    assert_eq!(reaches(&format!("h2c_tunnel auto; {PASS}")), Some(H2cReach::Trinos));
    assert_eq!(reaches(&format!("h2c_tunnel off; {PASS}")), None);
    assert_eq!(reaches(&format!("return 403; {PASS}")), None);
    assert_eq!(reaches(&format!("{PASS} location /ui {{ return 403; }}")), None);
    assert_eq!(reaches("location / { return 403; }"), None);
    assert_eq!(reaches("location /v1 { proxy_pass http://127.0.0.1:1; }"), None);
}

#[test]
fn a_tunnel_past_the_rules_of_a_location_is_remarked_on() {
    let server = |rest: &str| {
        notices(&format!(
            "server {{ h2c_tunnel on; location / {{ proxy_pass http://127.0.0.1:1; }} {rest} }}"
        ))
    };
    assert_eq!(server(""), "");
    let said = server("location /admin { return 403; }");
    assert!(said.contains("past the rules of location \"/admin\""), "{said}");
}

#[test]
fn addresses_are_covered_by_networks_in_either_family() {
    let config = config(
        "server { set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:; real_ip_header X-Client-IP;
                  listen 80 proxy_protocol; }",
    );
    let real_ip = &config.virtual_servers[0].outside.real_ip;
    let covers = |text: &str| {
        let address = text.parse::<std::net::SocketAddr>().unwrap().into();
        real_ip.trusted.iter().any(|trusted| trusted.covers(&address))
    };
    assert!(covers("10.200.0.1:5") && covers("[::ffff:10.0.0.1]:5"));
    assert!(!covers("11.0.0.1:5") && !covers("[::1]:5"));
    assert!(real_ip.trusted.iter().any(|t| t.covers(&crate::address::Address::Unix("".into()))));
    assert_eq!(real_ip.source, RealIpSource::Field("x-client-ip".into()));
    assert!(config.listens[0].proxy_protocol);
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_stream_server_that_passes_nothing_on_is_refused() {
    refused(
        "stream {\n    server { listen 1; }\n}",
        r#"
error: this server has no "proxy_pass"
 --> a.conf:2:5
  |
2 |     server { listen 1; }
  |     ^^^^^^
  help: add "proxy_pass GROUP;"
"#,
    );
}

#[test]
fn a_stream_server_must_listen_somewhere_of_its_own() {
    refused(
        "stream { server { proxy_pass 127.0.0.1:1; } }",
        r#"
error: this server has no "listen"
 --> a.conf:1:10
  |
1 | stream { server { proxy_pass 127.0.0.1:1; } }
  |          ^^^^^^
  help: add "listen PORT;"
"#,
    );
    refused(
        "http { server { listen 5; } }\nstream { server { listen 5; proxy_pass 127.0.0.1:1; } }",
        r#"
error: 0.0.0.0:5 has a server already
 --> a.conf:2:26
  |
2 | stream { server { listen 5; proxy_pass 127.0.0.1:1; } }
  |                          ^
  help: a server of "stream {}" needs an address of its own: listen on another port
"#,
    );
}

#[test]
fn a_stream_has_no_port_that_goes_without_saying() {
    for (text, column) in [
        ("stream { server { listen 1; proxy_pass 127.0.0.1; } }", 40),
        ("stream { upstream g { server 127.0.0.1; } }", 30),
    ] {
        let error = parse_text("a.conf", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("\"127.0.0.1\" has no port"), "{error}");
        assert!(error.contains(&format!("a.conf:1:{column}")), "{error}");
    }
}

#[test]
fn a_stream_log_needs_a_format_without_requests() {
    refused(
        "stream { access_log a.log; }",
        r#"
error: this log needs a format: "stream {}" has no default one
 --> a.conf:1:21
  |
1 | stream { access_log a.log; }
  |                     ^^^^^
  help: write "access_log PATH FORMAT"
"#,
    );
    refused(
        "stream { log_format f $request_uri; }",
        r#"
error: variable "$request_uri" has no value here
 --> a.conf:1:23
  |
1 | stream { log_format f $request_uri; }
  |                       ^^^^^^^^^^^^
  help: requests are not read in "stream {}"
"#,
    );
}

#[test]
fn a_tunnel_to_nowhere_is_refused() {
    refused(
        "server { h2c_tunnel on; location /a { proxy_pass http://127.0.0.1:1; } }",
        r#"
error: "h2c_tunnel" needs a server to carry connections to
 --> a.conf:1:21
  |
1 | server { h2c_tunnel on; location /a { proxy_pass http://127.0.0.1:1; } }
  |                     ^^
  help: give the server a "location / { proxy_pass …; }"
"#,
    );
}

#[test]
fn what_http_has_and_a_stream_lacks_is_not_called_misplaced() {
    refused(
        "stream {\n    server { listen 1; return 200; }\n}",
        r#"
error: "return" is not supported in "stream {}" by switchover: connections are passed on, never answered
 --> a.conf:2:24
  |
2 |     server { listen 1; return 200; }
  |                        ^^^^^^
"#,
    );
    for name in ["server_name", "set", "pass", "limit_conn"] {
        let text = format!("stream {{ server {{ listen 1; {name} a b; }} }}");
        let error = parse_text("a.conf", text.as_bytes()).unwrap_err().to_string();
        let message = format!("error: \"{name}\" is not supported in \"stream {{}}\"");
        assert!(error.starts_with(&message), "{error}");
    }
}

#[test]
fn a_directive_of_http_that_stands_in_a_stream_is_sent_to_blocks_of_http() {
    for (text, help) in [
        (
            "stream { server { listen 1; keepalive_timeout 5; } }",
            "\"http {}\" or \"upstream {}\" of \"http {}\" or \"server {}\" of \"http {}\" or \"location {}\"",
        ),
        ("stream { upstream a { keepalive 5; } }", "\"upstream {}\" of \"http {}\""),
        ("http { server { proxy_timeout 5; } }", "\"stream {}\" or \"server {}\" of \"stream {}\""),
    ] {
        let error = parse_text("a.conf", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is not allowed here"), "{error}");
        assert!(error.ends_with(&format!("help: it may stand in {help}")), "{error}");
    }
}

#[test]
fn an_upstream_of_the_other_layer_is_named_as_such() {
    refused(
        "http { upstream a { server 127.0.0.1; } }\nstream { server { listen 1; proxy_pass A; } }",
        r#"
error: upstream "a" is defined in "http {}", not in "stream {}"
 --> a.conf:2:40
  |
2 | stream { server { listen 1; proxy_pass A; } }
  |                                        ^
  help: define it in "stream {}" as well: the two share no servers
"#,
    );
    refused(
        "stream { upstream a { server 127.0.0.1:1; } }
http { server { location / { proxy_pass http://a; } } }",
        r#"
error: upstream "a" is defined in "stream {}", not in "http {}"
 --> a.conf:2:41
  |
2 | http { server { location / { proxy_pass http://a; } } }
  |                                         ^^^^^^^^
  help: define it in "http {}" as well: the two share no servers
"#,
    );
}
