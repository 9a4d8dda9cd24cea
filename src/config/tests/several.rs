//! Files with more than one error: all are shown, in order, without those that only follow from
//! another.

use std::fs;

use crate::config::tests::sources::load_file;
use crate::config::{ConfigError, Loaded, parse_text};

/// The diagnostic of a text.
#[track_caller]
fn error(text: &str) -> ConfigError {
    match parse_text("a.conf", text.as_bytes()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error,
    }
}

/// The errors of a text in short form: `LINE: MESSAGE`.
#[track_caller]
fn errors(text: &str) -> Vec<String> {
    brief(&error(text))
}

/// The errors of a diagnostic in short form.
fn brief(error: &ConfigError) -> Vec<String> {
    let one = |one: &str| {
        let mut lines = one.lines();
        let message = lines.next().unwrap().strip_prefix("error: ").unwrap_or(one).to_string();
        let line = lines.next().map(|place| place.split(':').nth(1).unwrap().to_string());
        format!("{}: {message}", line.unwrap_or_default())
    };
    error.to_string().split("\n\n").map(one).collect()
}

#[test]
fn all_errors_are_shown_in_the_order_of_the_file() {
    let text = "upstream a {
    server 127.0.0.1:x;
}
server {
    listne 80;
    keepalive_timeout fast;
    location ~ a { }
    location / {
        proxy_pass http://a;
        expires 1h;
    }
}
";
    let expected = r#"error: "x" is not a port
 --> a.conf:2:12
  |
2 |     server 127.0.0.1:x;
  |            ^^^^^^^^^^^
  help: ports are numbers up to 65535

error: unknown directive "listne"
 --> a.conf:5:5
  |
5 |     listne 80;
  |     ^^^^^^
  help: did you mean "listen"?

error: "fast" is not a time
 --> a.conf:6:23
  |
6 |     keepalive_timeout fast;
  |                       ^^^^
  help: write "3s", "500ms" or "1m30s"; a bare number is seconds

error: "~" is not supported by switchover: there are no regular expressions
 --> a.conf:7:14
  |
7 |     location ~ a { }
  |              ^

error: "expires" is not supported by switchover: files are not served
  --> a.conf:10:9
   |
10 |         expires 1h;
   |         ^^^^^^^"#;
    assert_eq!(error(text).to_string(), expected);
    let brief = "\"x\" is not a port in a.conf:2, and 4 more errors";
    assert_eq!(error(text).brief(), brief);
}

#[test]
fn every_kind_of_directive_lets_the_others_be_found() {
    let text = "pid a; pid b;
worker_connections 1;
events { worker_connections many;
  worker_buffer_memory much; }
error_log a.log loud;
http {
  log_format f $nothing;
  access_log a.log f buffer=x;
  client_max_body_size large;
  large_client_header_buffers few
    huge;
  upstream a { server 127.0.0.1 weight=x;
    keepalive some; }
  upstream a { server 127.0.0.1 backup;
    keepalive_time long; }
  server { listen 80 what;
    server_name a ~b
      c.*.d;
    return 20;
    error_page 20 /a;
    location / { proxy_pass ftp://a;
      proxy_set_header 'A B' c;
      proxy_set_header Host;
      proxy_redirect what;
      proxy_buffers 1
        none;
      proxy_next_upstream never;
      return here; }
    location /a { }
    location /a { proxy_read_timeout soon; }
    location = /b { location /b/c { send_timeout soon; } }
  }
}
stream {
  server { listen 127.0.0.1:1;
    proxy_timeout long; }
  server { proxy_pass 127.0.0.1;
    proxy_protocol v3; }
}
";
    let lines: Vec<String> =
        errors(text).iter().map(|e| e.split(':').next().unwrap().into()).collect();
    let shown = "1 2 3 4 5 7 8 9 10 11 12 13 14 14 15 16 17 18 19 20";
    assert_eq!(lines.join(" "), format!("{shown} "));
    let rest = text.split_once("location / {").unwrap().1;
    let rest = format!("http {{ server {{ location / {{{rest}");
    let lines: Vec<String> =
        errors(&rest).iter().map(|e| e.split(':').next().unwrap().into()).collect();
    assert_eq!(lines.join(" "), "1 2 3 4 5 6 7 8 10 10 11 11 15 16 17 17 18");
}

#[test]
fn what_only_follows_from_another_error_is_not_shown() {
    for (text, expected) in [
        // An `upstream` with invalid lines is still known.
        (
            "upstream a { server b:c; } server { location / { proxy_pass http://a; } }",
            "\"c\" is not a port",
        ),
        (
            "upstream a { sever 127.0.0.1; } server { location / { proxy_pass http://a; } }",
            "unknown directive \"sever\"",
        ),
        ("upstream a { server 127.0.0.1:x; server 127.0.0.1 backup; }", "\"x\" is not a port"),
        (
            "upstrem A { server 127.0.0.1; } server { location / { proxy_pass http://a; } }",
            "unknown directive \"upstrem\"",
        ),
        (
            "http { server { location / { proxy_pass http://a; } } } upstream a { server 127.0.0.1; }",
            "\"upstream\" is not allowed here",
        ),
        (
            "stream { upstream a b { server 127.0.0.1:1; } server { listen 1; proxy_pass a; } }",
            "\"upstream\" takes one argument",
        ),
        // A format with an invalid line is still known.
        ("log_format a $b; access_log c a;", "unknown variable \"$b\""),
        ("log_fromat a $host; access_log c a;", "unknown directive \"log_fromat\""),
        ("log_format a; access_log c a;", "\"log_format\" takes at least 2 arguments"),
        // What a server lacks may be the directive that was refused.
        ("stream { server { lisen 1; proxy_pass 127.0.0.1:1; } }", "unknown directive \"lisen\""),
        ("stream { server { listen a:b; proxy_pass 127.0.0.1:1; } }", "\"b\" is not a port"),
        ("stream { server { listen 1; proxy_pas a; } }", "unknown directive \"proxy_pas\""),
        (
            "server { lisen 127.0.0.1:80; } server { listen 127.0.0.2:80; }",
            "unknown directive \"lisen\"",
        ),
        ("server { h2c_tunnel on; location / { proxy_pass http://a:b; } }", "\"b\" is not a port"),
        (
            "server { h2c_tunnel on; location / { prox_pass http://127.0.0.1; } }",
            "unknown directive \"prox_pass\"",
        ),
        // Words after a bad one may belong to the next directive.
        ("server { listen 80 server_name a; }", "unknown parameter \"server_name\""),
        // The contents of an unknown block are not checked.
        ("server { if ($a) { rewrite a b; } }", "\"if\" is not supported by switchover"),
    ] {
        let errors = errors(text);
        let [only] = errors.as_slice() else { panic!("{errors:#?}\n{text}") };
        assert!(only.starts_with(&format!("1: {expected}")), "{only}\n{text}");
    }
}

#[test]
fn the_inside_of_a_block_that_is_not_right_is_looked_at() {
    for (text, expected) in [
        ("http a {\n foo; send_timeout x;\n}", "http foo x"),
        ("http {} server {\n foo; location / { bar; }\n}", "server foo bar"),
        ("http {} http {\n foo;\n}", "http foo"),
        ("server { location ~ a {\n send_timeout x; location b { foo; }\n} }", "~ x foo"),
        ("upstream {\n foo;\n}", "upstream foo"),
    ] {
        let found = errors(text);
        let words = found.iter().map(|error| error.split('"').nth(1).unwrap());
        assert_eq!(words.collect::<Vec<_>>().join(" "), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_read_ends_the_reading_of_its_own_file_only() {
    let text = "stream { server { proxy_pass a; listen x:y;\n ; }\n upstream a { bar; } }";
    let expected =
        ["1: \"y\" is not a port", "2: unexpected \";\": a directive's name is expected here"];
    assert_eq!(errors(text), expected);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("a.conf", "foo;\ninclude b.conf;\nbar;\ninclude none.conf; include b.conf;");
    write("b.conf", "foo;\nserver { listen 80\n}\nbar;");
    let found = load_file(&dir.path().join("a.conf"), None).unwrap_err();
    let places: Vec<String> = brief(&found)
        .iter()
        .map(|error| error.replace(&dir.path().display().to_string(), ""))
        .collect();
    assert_eq!(
        places,
        [
            "1: unknown directive \"foo\"",
            "1: unknown directive \"foo\"",
            "2: directive \"listen\" is not ended by \";\"",
            "3: unknown directive \"bar\"",
            "4: cannot read \"/none.conf\": No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn the_first_twenty_errors_are_shown_and_the_others_counted() {
    for (number, rest) in
        [(20, None), (21, Some("and 1 more error")), (5000, Some("and 4980 more errors"))]
    {
        let error = error(&"foo;\n".repeat(number));
        let shown = error.to_string();
        let mut parts: Vec<&str> = shown.split("\n\n").collect();
        let last = parts.pop_if(|part| part.starts_with("and"));
        assert_eq!((parts.len(), last), (20, rest));
        assert!(parts[19].contains("a.conf:20:1"), "{shown}");
        let others = number - 1;
        let brief = format!("unknown directive \"foo\" in a.conf:1, and {others} more errors");
        assert_eq!(error.brief(), brief);
    }
}

/// The file of Debian's package, without its comments.
const DEBIAN: &str = "user www-data;
worker_processes auto;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
include {dir}/modules-enabled/*.conf;

events {
\tworker_connections 768;
}

http {
\tsendfile on;
\ttcp_nopush on;
\ttypes_hash_max_size 2048;

\tinclude {dir}/mime.types;
\tdefault_type application/octet-stream;

\tssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; # Dropping SSLv3, ref: POODLE
\tssl_prefer_server_ciphers on;

\taccess_log /var/log/nginx/access.log;

\tgzip on;

\tinclude {dir}/conf.d/*.conf;
\tinclude {dir}/sites-enabled/*;
}
";

/// The site that comes with Debian's package.
const DEBIAN_SITE: &str = "server {
\tlisten 80 default_server;
\tlisten [::]:80 default_server;

\troot /var/www/html;

\tindex index.html index.htm index.nginx-debian.html;

\tserver_name _;

\tlocation / {
\t\ttry_files $uri $uri/ =404;
\t}
}
";

/// Loads Debian's files with this site.
fn debian(site: &str) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("nginx.conf", &DEBIAN.replace("{dir}", &dir.path().display().to_string()));
    write("modules-enabled/50-mod-http-echo.conf", "load_module modules/ngx_http_echo_module.so;");
    write("mime.types", "types {\n    text/html html htm shtml;\n}");
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    write("sites-enabled/default", site);
    load_file(&dir.path().join("nginx.conf"), None)
}

#[test]
fn of_debians_stock_files_only_the_site_that_serves_files_is_refused() {
    let error = debian(DEBIAN_SITE).unwrap_err();
    let expected = ["12: \"try_files\" is not supported by switchover: files are not served"];
    assert_eq!(brief(&error), expected);
    assert!(error.to_string().contains("sites-enabled/default, has to go"), "{error}");
}

#[test]
fn a_site_added_to_debians_stock_files_is_loaded_with_a_word_on_each_thing_without_effect() {
    let site = DEBIAN_SITE.replace("try_files $uri $uri/ =404", "proxy_pass http://127.0.0.1:8080");
    let loaded = debian(&site).unwrap();
    let said = |level| {
        let notices = loaded.notices.iter().filter(|notice| notice.level == level);
        let names = notices.map(|notice| notice.text.split('"').nth(1).unwrap_or(&notice.text));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(said(log::Level::Warn), "gzip");
    let of_tls = match cfg!(feature = "tls") {
        true => "",
        false => "ssl_protocols ssl_prefer_server_ciphers ",
    };
    let expected = format!(
        "load_module sendfile tcp_nopush types_hash_max_size types default_type {of_tls}root index"
    );
    assert_eq!(said(log::Level::Info), expected);
}

#[test]
fn all_that_debians_stock_files_cannot_have_is_said_at_once() {
    let site = DEBIAN_SITE.replace("listen 80 default_server", "listen 443 ssl");
    let site = site.replace("server_name _", "server_name ~x; auth_basic closed; deny all");
    let error = debian(&site).unwrap_err();
    let lines: Vec<String> =
        brief(&error).iter().map(|error| error.split('"').nth(1).unwrap().to_string()).collect();
    assert_eq!(lines, ["ssl", "~x", "auth_basic closed", "deny", "try_files"]);
}
