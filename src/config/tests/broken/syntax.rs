//! Files that are no sequence of directives: quotes, semicolons and braces.

use crate::config::tests::broken::refused;

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
fn carets_follow_tabs_and_wide_characters() {
    refused(
        "server {\n\tserver_name 'ä'; listn 80;\n}",
        "\nerror: unknown directive \"listn\"\n --> a.conf:2:19\n  |\n2 | \tserver_name 'ä'; listn 80;\n  | \t                 ^^^^^\n  help: did you mean \"listen\"?\n",
    );
}
