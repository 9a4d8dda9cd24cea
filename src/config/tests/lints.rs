//! Remarks on what does not suit coordinators of Trino.

use crate::config::tests::notices;

const GROUPS: &str = "upstream on { trino on; server 127.0.0.1:1; }
    upstream auto { server 127.0.0.1:1; }
    upstream off { trino off; server 127.0.0.1:1; }";

#[test]
fn a_host_without_its_port_is_remarked_on_where_urls_have_to_name_it() {
    let says = |inside: &str| {
        notices(&format!("{GROUPS} server {{ {inside} }}")).contains("links in its answers")
    };
    for (listen, expected) in [("80", false), ("443", false), ("8080", true), ("unix:/s", false)] {
        let pass = "location / { proxy_pass http://auto; proxy_set_header Host $host; }";
        assert_eq!(says(&format!("listen {listen}; {pass}")), expected, "{listen}");
    }
    for (inside, expected) in [
        ("location / { proxy_pass http://auto; proxy_set_header host ${host}; }", true),
        ("location / { proxy_pass http://off; proxy_set_header Host $host; }", false),
        ("location / { proxy_pass http://auto; proxy_set_header Host $http_host; }", false),
        ("location / { proxy_pass http://auto; proxy_set_header Host $host:$server_port; }", false),
        ("proxy_set_header Host $host; location / { proxy_pass http://auto; }", true),
        (
            "proxy_set_header Host $host;
             location / { proxy_pass http://auto; proxy_set_header A b; }",
            false,
        ),
        (
            "proxy_set_header Host $host; location /a { location /a/b { proxy_pass http://auto; } }",
            true,
        ),
        ("location / { return 200; proxy_set_header Host $host; }", false),
    ] {
        assert_eq!(says(&format!("listen 8080; {inside}")), expected, "{inside}");
    }
}

#[test]
fn limits_of_heads_below_trinos_needs_are_remarked_on() {
    for (inside, expected) in [
        ("location / { proxy_pass http://on; }", true),
        ("large_client_header_buffers 4 2m; location / { proxy_pass http://on; }", false),
        ("location / { proxy_pass http://auto; }", false),
        ("location /v1/statement { proxy_pass http://auto; }", true),
        ("location /v1/statement { proxy_pass http://off; }", false),
    ] {
        let said = notices(&format!("{GROUPS} server {{ {inside} }}"));
        assert_eq!(said.contains("large_client_header_buffers 4 2m"), expected, "{inside}: {said}");
    }
}
