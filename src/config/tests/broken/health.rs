//! `trino`, `trino_resubmit`, `health_check`, `failback` and `queue`.

use crate::config::tests::broken::refused;

#[test]
fn a_check_without_a_path_is_refused() {
    refused(
        "upstream a { server 127.0.0.1; health_check uri=up; }",
        r#"
error: "up" cannot be asked for
 --> a.conf:1:45
  |
1 | upstream a { server 127.0.0.1; health_check uri=up; }
  |                                             ^^^^^^
  help: write a path that begins with "/", without spaces
"#,
    );
}

#[test]
fn a_check_without_a_pause_is_refused() {
    refused(
        "upstream a { server 127.0.0.1; health_check interval=0; }",
        r#"
error: "interval" must not be zero
 --> a.conf:1:45
  |
1 | upstream a { server 127.0.0.1; health_check interval=0; }
  |                                             ^^^^^^^^^^
  help: write a time above zero, such as 500ms
"#,
    );
}

#[test]
fn a_check_that_is_off_takes_nothing_else() {
    refused(
        "upstream a { server 127.0.0.1; health_check off fails=3; }",
        r#"
error: "health_check off" takes no other parameters
 --> a.conf:1:45
  |
1 | upstream a { server 127.0.0.1; health_check off fails=3; }
  |                                             ^^^
  help: write "off" alone, or leave it out
"#,
    );
}

#[test]
fn a_resubmission_that_is_off_has_no_doubt() {
    refused(
        "upstream a { server 127.0.0.1; trino_resubmit off doubt=1s; }",
        r#"
error: "trino_resubmit off" takes no other parameters
 --> a.conf:1:51
  |
1 | upstream a { server 127.0.0.1; trino_resubmit off doubt=1s; }
  |                                                   ^^^^^^^^
  help: write "off" alone, or leave it out
"#,
    );
}

#[test]
fn an_unknown_way_back_is_refused_with_the_known_ones() {
    refused(
        "upstream a { server 127.0.0.1; failback later; }",
        r#"
error: "later" is not possible here
 --> a.conf:1:41
  |
1 | upstream a { server 127.0.0.1; failback later; }
  |                                         ^^^^^
  help: write one of: immediate, after=TIME, manual
"#,
    );
}

#[test]
fn a_queue_takes_a_number_and_a_timeout() {
    refused(
        "upstream a { server 127.0.0.1; queue 5 wait=1s; }",
        r#"
error: unknown parameter "wait=1s"
 --> a.conf:1:40
  |
1 | upstream a { server 127.0.0.1; queue 5 wait=1s; }
  |                                        ^^^^^^^
"#,
    );
}

#[test]
fn health_check_belongs_into_the_group() {
    refused(
        "server { location / { proxy_pass http://127.0.0.1; health_check; } }",
        r#"
error: "health_check" is not allowed here
 --> a.conf:1:52
  |
1 | server { location / { proxy_pass http://127.0.0.1; health_check; } }
  |                                                    ^^^^^^^^^^^^
  help: it may stand in "upstream {}" or "upstream {}" of "stream {}"
"#,
    );
}
