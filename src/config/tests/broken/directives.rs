//! Directives that are unknown, misplaced, repeated or not supported, whatever stands behind them.

use crate::config::tests::broken::refused;

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
