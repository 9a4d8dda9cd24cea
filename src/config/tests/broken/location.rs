//! `location` and its `proxy_pass`.

use crate::config::tests::broken::refused;

#[test]
fn an_unknown_host_of_proxy_pass_is_marked() {
    refused(
        r"server {
    location / {
        proxy_pass http://nowhere:8080;
    }
}",
        r#"
error: host not found in proxy_pass "nowhere:8080"
 --> a.conf:3:20
  |
3 |         proxy_pass http://nowhere:8080;
  |                    ^^^^^^^^^^^^^^^^^^^
  help: names are resolved when the file is loaded; check the name or write an IP address
"#,
    );
}

#[test]
fn an_upstream_cannot_have_a_port_in_proxy_pass() {
    refused(
        r"upstream a { server 127.0.0.1; }
server { location / { proxy_pass http://a:8080; } }",
        r#"
error: "a" is an upstream and cannot have a port here
 --> a.conf:2:34
  |
2 | server { location / { proxy_pass http://a:8080; } }
  |                                  ^^^^^^^^^^^^^
  help: remove the port: the "server" lines of the upstream have theirs
"#,
    );
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_upstreams_are_refused() {
    refused(
        r"server {
    location / {
        proxy_pass https://127.0.0.1;
    }
}",
        r#"
error: "https://127.0.0.1" is not supported by switchover: this build has no TLS
 --> a.conf:3:20
  |
3 |         proxy_pass https://127.0.0.1;
  |                    ^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn variables_in_proxy_pass_are_refused() {
    refused(
        r"server {
    location / {
        proxy_pass http://$host;
    }
}",
        r#"
error: "http://$host" is not supported by switchover: the servers must be known when the file is loaded
 --> a.conf:3:20
  |
3 |         proxy_pass http://$host;
  |                    ^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_proxy_pass_without_a_scheme_is_refused() {
    refused(
        r"server {
    location / {
        proxy_pass 127.0.0.1:80;
    }
}",
        r#"
error: "127.0.0.1:80" is no URL to pass requests to
 --> a.conf:3:20
  |
3 |         proxy_pass 127.0.0.1:80;
  |                    ^^^^^^^^^^^^
  help: write "http://HOST:PORT", "http://GROUP" or "http://unix:PATH:"
"#,
    );
}

#[test]
fn locations_by_regular_expression_are_refused() {
    refused(
        r"server {
    location ~ \.php$ { }
}",
        r#"
error: "~" is not supported by switchover: there are no regular expressions
 --> a.conf:2:14
  |
2 |     location ~ \.php$ { }
  |              ^
"#,
    );
}

#[test]
fn named_locations_are_refused() {
    refused(
        r"server {
    location @a { }
}",
        r#"
error: "@a" is not supported by switchover: locations have no names
 --> a.conf:2:14
  |
2 |     location @a { }
  |              ^^
"#,
    );
}

#[test]
fn a_location_defined_twice_is_refused() {
    refused(
        r"server {
    location /a { }
    location ^~ /a { }
}",
        r#"
error: location "/a" is defined twice in this server
 --> a.conf:3:17
  |
3 |     location ^~ /a { }
  |                 ^^
"#,
    );
}

#[test]
fn a_nested_location_outside_of_its_parent_is_refused() {
    refused(
        r"server {
    location /a {
        location /b { }
    }
}",
        r#"
error: location "/b" is outside of location "/a"
 --> a.conf:3:18
  |
3 |         location /b { }
  |                  ^^
  help: begin it with the outer one's prefix, or move it out
"#,
    );
}

#[test]
fn no_location_can_be_inside_an_exact_one() {
    refused(
        r"server {
    location = /a {
        location /a/b { }
    }
}",
        r#"
error: no location can be inside the exact location "/a"
 --> a.conf:3:18
  |
3 |         location /a/b { }
  |                  ^^^^
  help: move it out
"#,
    );
}
