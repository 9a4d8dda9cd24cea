//! `upstream` and its servers.

use crate::config::tests::broken::refused;

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
