//! Broken files, each with the whole diagnostic that an operator sees.

use crate::config::parse_text;

/// A text is refused with exactly this diagnostic.
#[track_caller]
pub(super) fn refused(text: &str, expected: &str) {
    match parse_text("a.conf", text.as_bytes()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error.to_string(), expected.trim_matches('\n'), "\n{text}"),
    }
}

#[test]
fn an_unknown_directive_is_shown_with_the_nearest_one() {
    refused(
        r"server {
    location / {
        proxy_conect_timeout 3;
    }
}",
        r#"
error: unknown directive "proxy_conect_timeout"
 --> a.conf:3:9
  |
3 |         proxy_conect_timeout 3;
  |         ^^^^^^^^^^^^^^^^^^^^
  help: did you mean "proxy_connect_timeout"?
"#,
    );
}

#[test]
fn an_unknown_directive_that_looks_like_none_has_no_help() {
    refused(
        r"frobnicate on;",
        r#"
error: unknown directive "frobnicate"
 --> a.conf:1:1
  |
1 | frobnicate on;
  | ^^^^^^^^^^
"#,
    );
}

#[test]
fn a_directive_in_the_wrong_block_says_where_it_may_stand() {
    refused(
        r"http {
    proxy_pass http://127.0.0.1;
}",
        r#"
error: "proxy_pass" is not allowed here
 --> a.conf:2:5
  |
2 |     proxy_pass http://127.0.0.1;
  |     ^^^^^^^^^^
  help: it may stand in "location {}" or "server {}" of "stream {}"
"#,
    );
}

#[test]
fn servers_beside_http_are_misplaced() {
    refused(
        r"http {}
server { listen 80; }",
        r#"
error: "server" is not allowed here
 --> a.conf:2:1
  |
2 | server { listen 80; }
  | ^^^^^^
  help: it may stand in "http {}" or "upstream {}" or "stream {}" or "upstream {}" of "stream {}"
"#,
    );
}

#[test]
fn what_nginx_knows_and_we_lack_is_no_unknown_directive() {
    refused(
        r"server {
    location / {
        proxy_cache_valid 200 1m;
    }
}",
        r#"
error: "proxy_cache_valid" is not supported by switchover: responses are not cached
 --> a.conf:3:9
  |
3 |         proxy_cache_valid 200 1m;
  |         ^^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn tls_is_refused_where_it_is_asked_for() {
    refused(
        "server {\n\tlisten 443 ssl;\n}",
        "\nerror: \"ssl\" is not supported by switchover: this build has no TLS\n --> a.conf:2:13\n  |\n2 | \tlisten 443 ssl;\n  | \t           ^^^\n",
    );
}

#[test]
fn if_is_refused_with_the_reason() {
    refused(
        r"server {
    if ($host = a) { return 404; }
}",
        r#"
error: "if" is not supported by switchover: requests are not rewritten or tested; use locations and "return"
 --> a.conf:2:5
  |
2 |     if ($host = a) { return 404; }
  |     ^^
"#,
    );
}

#[test]
fn a_directive_given_twice_is_marked_at_the_second() {
    refused(
        r"pid a.pid;
pid b.pid;
http {}",
        r#"
error: "pid" is given twice
 --> a.conf:2:1
  |
2 | pid b.pid;
  | ^^^
  help: remove one of them
"#,
    );
}

#[test]
fn a_missing_argument_says_how_many_there_must_be() {
    refused(
        r"server {
    location / {
        proxy_set_header Host;
    }
}",
        r#"
error: "proxy_set_header" takes 2 arguments
 --> a.conf:3:9
  |
3 |         proxy_set_header Host;
  |         ^^^^^^^^^^^^^^^^
"#,
    );
}

#[test]
fn a_missing_semicolon_is_marked_at_its_directive() {
    refused(
        r"server {
    listen 80
}",
        r#"
error: directive "listen" is not ended by ";"
 --> a.conf:2:5
  |
2 |     listen 80
  |     ^^^^^^
  help: end the directive with ";"
"#,
    );
}

#[test]
fn a_missing_semicolon_that_swallows_the_next_line_is_a_wrong_argument() {
    refused(
        r"server {
    listen 80
    server_name a;
}",
        r#"
error: unknown parameter "server_name"
 --> a.conf:3:5
  |
3 |     server_name a;
  |     ^^^^^^^^^^^
  help: this is a directive: the ";" before it is missing
"#,
    );
}

#[test]
fn an_unclosed_block_is_marked_where_it_opens() {
    refused(
        r"http {
    server {
        listen 80;
    }",
        r#"
error: this "{" is never closed
 --> a.conf:1:6
  |
1 | http {
  |      ^
  help: add the "}" that closes this block
"#,
    );
}

#[test]
fn a_stray_brace_is_marked() {
    refused(
        r"server {
    listen 80;
}
}",
        r#"
error: this "}" closes nothing
 --> a.conf:4:1
  |
4 | }
  | ^
  help: remove it, or look for a "{" missing above
"#,
    );
}

#[test]
fn a_semicolon_without_a_directive_is_marked() {
    refused(
        r"server {
    listen 80;;
}",
        r#"
error: unexpected ";": a directive's name is expected here
 --> a.conf:2:15
  |
2 |     listen 80;;
  |               ^
"#,
    );
}

#[test]
fn an_unclosed_quote_is_marked_where_it_opens() {
    refused(
        r#"log_format a "$host;
server {}"#,
        r#"
error: this quote is never closed
 --> a.conf:1:14
  |
1 | log_format a "$host;
  |              ^
  help: close the quote; inside it, write a quote as \"
"#,
    );
}

#[test]
fn a_word_glued_to_a_quote_is_marked() {
    refused(
        r#"log_format a "$host"x;"#,
        r#"
error: a closing quote must be followed by a space, ";" or "{"
 --> a.conf:1:21
  |
1 | log_format a "$host"x;
  |                     ^
  help: put a space or a ";" behind the quote, or quote the whole word
"#,
    );
}

#[test]
fn a_block_where_none_belongs_is_refused() {
    refused(
        r"server {
    listen 80 { }
}",
        r#"
error: "listen" has no block
 --> a.conf:2:5
  |
2 |     listen 80 { }
  |     ^^^^^^
  help: end it with ";"
"#,
    );
}

#[test]
fn a_missing_block_is_refused() {
    refused(
        r"http;",
        r#"
error: "http" must have a block
 --> a.conf:1:1
  |
1 | http;
  | ^^^^
  help: write "{ … }" instead of ";"
"#,
    );
}

#[test]
fn a_bad_time_is_shown_as_it_was_written() {
    refused(
        r"server {
    location / {
        proxy_read_timeout 3sec;
    }
}",
        r#"
error: "3sec" is not a time
 --> a.conf:3:28
  |
3 |         proxy_read_timeout 3sec;
  |                            ^^^^
  help: write "3s", "500ms" or "1m30s"; a bare number is seconds
"#,
    );
}

#[test]
fn a_bad_size_is_shown_as_it_was_written() {
    refused(
        r"server { client_max_body_size 1tb; }",
        r#"
error: "1tb" is not a size
 --> a.conf:1:31
  |
1 | server { client_max_body_size 1tb; }
  |                               ^^^
  help: write bytes, or "8k", "1m", "2g"
"#,
    );
}

#[test]
fn a_bad_switch_is_shown_as_it_was_written() {
    refused(
        r"server { merge_slashes yes; }",
        r#"
error: "yes" is neither "on" nor "off"
 --> a.conf:1:24
  |
1 | server { merge_slashes yes; }
  |                        ^^^
  help: write "on" or "off"
"#,
    );
}

#[test]
fn a_size_out_of_range_says_the_range() {
    refused(
        r"server { large_client_header_buffers 4 3m; }",
        r#"
error: "large_client_header_buffers" must be between 1 and 2097152
 --> a.conf:1:40
  |
1 | server { large_client_header_buffers 4 3m; }
  |                                        ^^
"#,
    );
}

#[test]
fn an_unknown_variable_is_shown_with_the_nearest_one() {
    refused(
        r"server {
    location / {
        proxy_set_header X-Real-IP $remote_adr;
    }
}",
        r#"
error: unknown variable "$remote_adr"
 --> a.conf:3:36
  |
3 |         proxy_set_header X-Real-IP $remote_adr;
  |                                    ^^^^^^^^^^^
  help: did you mean "$remote_addr"?
"#,
    );
}

#[test]
fn a_variable_we_lack_is_not_supported() {
    refused(
        r"server {
    location / {
        add_header X $cookie_a;
    }
}",
        r#"
error: variable "$cookie_a" is not supported by switchover
 --> a.conf:3:22
  |
3 |         add_header X $cookie_a;
  |                      ^^^^^^^^^
"#,
    );
}

#[test]
fn an_unknown_host_is_marked_at_its_server() {
    refused(
        r"upstream a {
    server trino_a:8080;
}",
        r#"
error: host not found in upstream "trino_a:8080"
 --> a.conf:2:12
  |
2 |     server trino_a:8080;
  |            ^^^^^^^^^^^^
  help: names are resolved when the file is loaded; check the name or write an IP address
"#,
    );
}

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
fn an_upstream_of_backups_only_is_refused() {
    refused(
        r"upstream a {
    server 127.0.0.1 backup;
}",
        r#"
error: upstream "a" has backup servers only
 --> a.conf:1:10
  |
1 | upstream a {
  |          ^
  help: remove "backup" from one server at least
"#,
    );
}

#[test]
fn an_upstream_without_servers_is_refused() {
    refused(
        r"upstream a {}",
        r#"
error: upstream "a" has no servers
 --> a.conf:1:10
  |
1 | upstream a {}
  |          ^
  help: add a "server"
"#,
    );
}

#[test]
fn an_upstream_defined_twice_is_refused() {
    refused(
        r"upstream a { server 127.0.0.1; }
upstream a { server 127.0.0.2; }",
        r#"
error: upstream "a" is defined twice
 --> a.conf:2:10
  |
2 | upstream a { server 127.0.0.2; }
  |          ^
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

#[test]
fn an_unknown_server_parameter_is_marked() {
    refused(
        r"upstream a {
    server 127.0.0.1 max_fail=1;
}",
        r#"
error: unknown parameter "max_fail=1"
 --> a.conf:2:22
  |
2 |     server 127.0.0.1 max_fail=1;
  |                      ^^^^^^^^^^
"#,
    );
}

#[test]
fn other_balancing_is_refused_with_the_reason() {
    refused(
        r"upstream a {
    ip_hash;
}",
        r#"
error: "ip_hash" is not supported by switchover: servers are chosen by weighted round robin, primaries before backups
 --> a.conf:2:5
  |
2 |     ip_hash;
  |     ^^^^^^^
"#,
    );
}

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
fn an_unknown_log_format_is_marked() {
    refused(
        r"server { access_log a.log main; }",
        r#"
error: unknown log format "main"
 --> a.conf:1:27
  |
1 | server { access_log a.log main; }
  |                           ^^^^
  help: define it with "log_format" in the same "http {}" or "stream {}"
"#,
    );
}

#[test]
fn a_bad_log_level_says_which_there_are() {
    refused(
        r"error_log a.log verbose;
server {}",
        r#"
error: "verbose" is not possible here
 --> a.conf:1:17
  |
1 | error_log a.log verbose;
  |                 ^^^^^^^
  help: write one of: debug, info, notice, warn, error, crit, alert, emerg
"#,
    );
}

#[test]
fn a_bad_field_name_is_marked() {
    refused(
        r#"server {
    location / {
        proxy_set_header "X Y" z;
    }
}"#,
        r#"
error: "X Y" cannot be a field's name
 --> a.conf:3:26
  |
3 |         proxy_set_header "X Y" z;
  |                          ^^^^^
  help: field names hold letters, digits and "-"
"#,
    );
}

#[test]
fn a_bad_status_is_marked() {
    refused(
        r"server {
    location / {
        return 99;
    }
}",
        r#"
error: "99" is not a possible status here
 --> a.conf:3:16
  |
3 |         return 99;
  |                ^^
"#,
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
fn an_include_in_a_text_is_refused() {
    refused(
        r"include a.conf;",
        r#"
error: "include" works only in a file
 --> a.conf:1:9
  |
1 | include a.conf;
  |         ^^^^^^
"#,
    );
}

#[test]
fn files_are_not_served() {
    refused(
        r"server {
    location / { try_files $uri =404; }
}",
        r#"
error: "try_files" is not supported by switchover: files are not served
 --> a.conf:2:18
  |
2 |     location / { try_files $uri =404; }
  |                  ^^^^^^^^^
  help: give the location a "proxy_pass"; a site that only serves files, such as the distribution's sites-enabled/default, has to go
"#,
    );
}

#[test]
fn access_may_be_open_to_all_only() {
    refused(
        r"allow all;
server { deny all; }",
        r#"
error: "deny" is not supported by switchover: access is not controlled here
 --> a.conf:2:10
  |
2 | server { deny all; }
  |          ^^^^
"#,
    );
    refused(
        r"server { allow 10.0.0.0/8; }",
        r#"
error: "allow 10.0.0.0/8" is not supported by switchover: access is not controlled here
 --> a.conf:1:10
  |
1 | server { allow 10.0.0.0/8; }
  |          ^^^^^
"#,
    );
}

#[test]
fn carets_follow_tabs_and_wide_characters() {
    refused(
        "server {\n\tserver_name 'ä'; listn 80;\n}",
        "\nerror: unknown directive \"listn\"\n --> a.conf:2:19\n  |\n2 | \tserver_name 'ä'; listn 80;\n  | \t                 ^^^^^\n  help: did you mean \"listen\"?\n",
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

#[test]
fn a_url_is_no_address() {
    for (text, message) in [
        ("server { listen http://a:80; }", "\"http://a:80\" is not an address"),
        ("upstream a { server http://a:80; }", "\"http://a:80\" is not an address"),
        (
            "stream { server { listen 1; proxy_pass http://a:80; } }",
            "\"http://a:80\" is nothing to connect to",
        ),
    ] {
        let error = parse_text("a.conf", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("error: {message}\n")), "{error}");
    }
}
