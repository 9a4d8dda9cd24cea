//! `access_log` and `error_log`.

use crate::config::tests::broken::refused;

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
