//! `listen` and `server_name`: where a server may be reached.

use crate::config::tests::broken::refused;

#[cfg(not(feature = "tls"))]
#[test]
fn tls_is_refused_where_it_is_asked_for() {
    refused(
        "server {\n\tlisten 443 ssl;\n}",
        "\nerror: \"ssl\" is not supported by switchover: this build has no TLS\n --> a.conf:2:13\n  |\n2 | \tlisten 443 ssl;\n  | \t           ^^^\n",
    );
}

#[test]
fn two_default_servers_on_one_address_are_refused() {
    refused(
        r"server { listen 80 default_server; }
server { listen *:80 default_server; }",
        r#"
error: 0.0.0.0:80 has a default server already
 --> a.conf:2:17
  |
2 | server { listen *:80 default_server; }
  |                 ^^^^
  help: keep "default_server" in one server only
"#,
    );
}

#[test]
fn one_server_cannot_listen_twice_on_one_address() {
    refused(
        r"server {
    listen 80;
    listen 0.0.0.0:80;
}",
        r"
error: this server listens on 0.0.0.0:80 twice
 --> a.conf:3:12
  |
3 |     listen 0.0.0.0:80;
  |            ^^^^^^^^^^
  help: remove one of them
",
    );
}

#[test]
fn listen_options_are_given_once() {
    refused(
        r"server { listen 80 backlog=5; }
server { listen 80 backlog=6; }",
        r"
error: the options of 0.0.0.0:80 are given already in another server
 --> a.conf:2:17
  |
2 | server { listen 80 backlog=6; }
  |                 ^^
  help: give an address's options in one server only
",
    );
}

#[test]
fn an_address_covered_by_another_is_refused() {
    refused(
        r"server { listen 80; }
server { listen 127.0.0.1:80; }",
        r"
error: 127.0.0.1:80 is covered by 0.0.0.0:80 already
 --> a.conf:2:17
  |
2 | server { listen 127.0.0.1:80; }
  |                 ^^^^^^^^^^^^
  help: listen on one of both only
",
    );
}

#[test]
fn a_regular_expression_as_a_name_is_refused() {
    refused(
        r"server { server_name ~^www; }",
        r#"
error: "~^www" is not supported by switchover: there are no regular expressions
 --> a.conf:1:22
  |
1 | server { server_name ~^www; }
  |                      ^^^^^
"#,
    );
}

#[test]
fn a_range_of_ports_is_not_supported() {
    for text in ["8182-8183", "127.0.0.1:8182-8183", "[::1]:8182-8183"] {
        let expected = format!(
            r#"
error: ranges of ports, such as "{text}", are not supported by switchover
 --> a.conf:1:17
  |
1 | server {{ listen {text}; }}
  |                 {}
  help: write one "listen" for each port
"#,
            "^".repeat(text.len())
        );
        refused(&format!("server {{ listen {text}; }}"), &expected);
    }
}
