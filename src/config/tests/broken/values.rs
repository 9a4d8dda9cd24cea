//! Arguments that are no time, size, switch, variable, name or status.

use crate::config::parse_text;
use crate::config::tests::broken::refused;

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
