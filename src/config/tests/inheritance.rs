//! What levels hand down, and what repeated directives mean together.

use std::time::Duration;

use crate::address::Address;
use crate::config::model::template::Template;
use crate::config::model::*;
use crate::config::tests::{config, notices, proxy};

fn names(headers: &[SetHeader]) -> Vec<String> {
    headers.iter().map(|header| String::from_utf8_lossy(&header.name).into_owned()).collect()
}

#[test]
fn single_values_come_from_the_innermost_level_that_has_them() {
    let config = config(
        "http { proxy_read_timeout 1s; proxy_send_timeout 1s; send_timeout 5s;
           server { proxy_read_timeout 2s;
             location / { proxy_pass http://127.0.0.1; proxy_send_timeout 3s;
               location /a { proxy_pass http://127.0.0.1; proxy_read_timeout 4s; } } } }",
    );
    let locations = &config.virtual_servers[0].locations;
    let timeouts = |index: usize| {
        let pass = proxy(&locations[index]);
        (pass.read_timeout.as_secs(), pass.send_timeout.as_secs())
    };
    assert_eq!(timeouts(0), (2, 3));
    assert_eq!(timeouts(1), (4, 3));
    assert_eq!(locations[1].settings.send_timeout, Duration::from_secs(5));
}

#[test]
fn lists_are_inherited_only_by_levels_that_set_none() {
    let config = config(
        "http { proxy_set_header A a; add_header X x; access_log a.log; error_page 500 /a;
           proxy_hide_header H;
           server { location / { proxy_pass http://127.0.0.1; }
             location /b { proxy_pass http://127.0.0.1; proxy_set_header Host b; add_header Y y;
               access_log off; error_page 502 /b; proxy_hide_header I; } } }",
    );
    let [a, b] = config.virtual_servers[0].locations.as_slice() else { panic!("two locations") };
    assert_eq!(names(&proxy(a).set_headers), ["Host", "A"]);
    assert_eq!(names(&proxy(b).set_headers), ["Host"]);
    assert_eq!(&*a.settings.add_headers[0].name, b"X");
    assert_eq!(&*b.settings.add_headers[0].name, b"Y");
    assert_eq!((a.settings.access_logs.len(), b.settings.access_logs.len()), (1, 0));
    assert_eq!(a.settings.error_pages[0].statuses, [500]);
    assert_eq!(b.settings.error_pages[0].statuses, [502]);
    let hides = |pass: &ProxyPass, name: &[u8]| pass.hide_headers.iter().any(|h| **h == *name);
    assert!(hides(proxy(a), b"h") && !hides(proxy(a), b"i"));
    assert!(!hides(proxy(b), b"h") && hides(proxy(b), b"i") && hides(proxy(b), b"x-pad"));
}

#[test]
fn proxy_pass_is_not_inherited() {
    let config = config("server { location / { proxy_pass http://127.0.0.1; location /a { } } }");
    assert!(matches!(config.virtual_servers[0].locations[1].action, Action::NotFound));
}

#[test]
fn the_default_redirect_follows_the_url_and_the_location() {
    let check = |directives: &str, from: &str, to: &str| {
        let config = config(&format!("server {{ location /one/ {{ {directives} }} }}"));
        let pass = proxy(&config.virtual_servers[0].locations[0]);
        let expected = Redirect { from: Template::text(from), to: Template::text(to) };
        assert_eq!(pass.redirects, [expected]);
    };
    check("proxy_pass http://127.0.0.1;", "http://127.0.0.1/", "/");
    check("proxy_pass http://127.0.0.1/two/;", "http://127.0.0.1/two/", "/one/");
    check("proxy_redirect default; proxy_pass http://127.0.0.1;", "http://127.0.0.1/", "/");
    check("proxy_redirect a b; proxy_pass http://127.0.0.1;", "a", "b");
    let off = config("server { location / { proxy_redirect off; proxy_pass http://127.0.0.1; } }");
    assert_eq!(proxy(&off.virtual_servers[0].locations[0]).redirects, []);
}

#[test]
fn addresses_named_directly_share_one_group_each() {
    let config = config(
        "upstream u { server 127.0.0.1:1; }
         server {
           location /a { proxy_pass http://127.0.0.1; proxy_connect_timeout 9s; }
           location /b { proxy_pass http://127.0.0.1:80/x; proxy_connect_timeout 3s; }
           location /c { proxy_pass http://127.0.0.1:81; }
           location /d { proxy_pass http://unix:/s:/y; }
           location /e { proxy_pass http://U/; } }",
    );
    let pass = |index: usize| proxy(&config.virtual_servers[0].locations[index]);
    let ids: Vec<usize> = (0..5).map(|index| pass(index).group.0).collect();
    assert_eq!(ids, [1, 1, 2, 3, 0]);
    assert_eq!(config.groups[1].check_timeout, Duration::from_secs(9));
    assert_eq!(config.groups[3].servers[0].address, Address::Unix("/s".into()));
    let target =
        |index: usize| (&*pass(index).host, &*pass(index).port, pass(index).uri.as_deref());
    assert_eq!(target(0), ("127.0.0.1", "80", None));
    assert_eq!(target(1), ("127.0.0.1", "80", Some(&b"/x"[..])));
    assert_eq!(target(2), ("127.0.0.1:81", "81", None));
    assert_eq!(target(3), ("localhost", "", Some(&b"/y"[..])));
}

#[test]
fn servers_of_one_address_share_its_socket() {
    let config = config(
        "server { listen 80; listen [::]:80; }
         server { listen *:80 default_server reuseport; server_name b; }
         server { listen 0.0.0.0:80; server_name c; listen unix:/s; }",
    );
    let [v4, v6, unix] = config.listens.as_slice() else { panic!("three listens") };
    let servers = [0, 1, 2].map(VirtualServerId).to_vec();
    assert_eq!(v4.serves, Serves::Http { servers, default: VirtualServerId(1) });
    assert!(v4.reuse_port && !v6.reuse_port && v6.ipv6_only);
    assert_eq!(unix.address, Address::Unix("/s".into()));
}

#[test]
fn listen_takes_socket_options() {
    let config = config(
        "server { listen 127.0.0.1:81 backlog=7 rcvbuf=64k sndbuf=32k so_keepalive=30m::10; }",
    );
    let listen = &config.listens[0];
    assert_eq!(
        (listen.backlog, listen.receive_buffer, listen.send_buffer),
        (7, Some(65536), Some(32768))
    );
    let idle = Some(Duration::from_secs(1800));
    assert_eq!(listen.keepalive, Some(TcpKeepalive::On { idle, interval: None, count: Some(10) }));
}

#[test]
fn server_names_may_begin_or_end_with_a_wildcard() {
    let config = config("server { server_name A.b *.c .d e.* \"\" $hostname; }");
    assert_eq!(
        config.virtual_servers[0].names,
        [
            ServerName::Exact("a.b".into()),
            ServerName::Suffix(".c".into()),
            ServerName::Dotted(".d".into()),
            ServerName::Prefix("e.".into()),
            ServerName::Exact("".into()),
            ServerName::Exact("localhost".into()),
        ]
    );
}

#[test]
fn a_name_that_two_servers_of_one_address_have_is_worth_a_warning() {
    assert_eq!(
        notices(
            "server { server_name a; }\nserver { server_name A; }\nserver { listen 81; server_name a; }"
        ),
        "conflicting server name \"a\" on 0.0.0.0:80, ignored in a.conf:2"
    );
}

#[test]
fn a_nested_location_that_is_never_reached_is_dropped_with_a_warning() {
    let text = "server {\n location /a {\n location /a/b/c { }\n }\n location /a/b { }\n}";
    assert_eq!(config(text).virtual_servers[0].locations.len(), 2);
    assert_eq!(
        notices(text),
        "location \"/a/b/c\" is never reached: another one serves these paths in a.conf:2"
    );
}

#[test]
fn return_answers_with_a_text_a_place_or_a_page() {
    let answer = |words: &str| {
        let config = config(&format!("server {{ return {words}; }}"));
        config.virtual_servers[0].answer.clone().unwrap()
    };
    assert_eq!(answer("204"), Return { status: 204, text: None });
    assert_eq!(answer("200 ok"), Return { status: 200, text: Some(Template::text("ok")) });
    let place = Some(Template::text("http://a/"));
    assert_eq!(answer("http://a/"), Return { status: 302, text: place.clone() });
    assert_eq!(answer("301 http://a/"), Return { status: 301, text: place });
}

#[test]
fn error_pages_tell_the_original_another_or_their_own_status() {
    let config = config(
        "server { error_page 500 502 /a; error_page 404 = /b; error_page 403 =200 http://c; }",
    );
    let pages = &config.virtual_servers[0].outside.error_pages;
    let tells: Vec<ErrorPageStatus> = pages.iter().map(|page| page.tells).collect();
    assert_eq!(
        tells,
        [ErrorPageStatus::Original, ErrorPageStatus::OfPage, ErrorPageStatus::Fixed(200)]
    );
    assert_eq!(pages[0].statuses, [500, 502]);
}

#[test]
fn next_upstream_off_cancels_the_others() {
    let next = |words: &str| {
        let text = format!(
            "server {{ location / {{ proxy_pass http://127.0.0.1; proxy_next_upstream {words}; }} }}"
        );
        proxy(&config(&text).virtual_servers[0].locations[0]).next
    };
    assert!(next("http_503 timeout").statuses.s503 && next("http_503 timeout").timeout);
    assert!(!next("http_503").error);
    assert!(!next("error off").error);
}

#[test]
fn an_error_log_without_a_level_shows_warnings() {
    let logs = |text: &str| config(text).process.error_logs;
    let file = |path: &str, level| ErrorLog { to: LogSink::File(path.into()), level };
    assert_eq!(
        logs("error_log a.log; server { }"),
        [file("/prefix/a.log", log::LevelFilter::Warn)]
    );
    assert_eq!(
        logs("error_log /b debug; http { error_log /c crit; error_log /b; }"),
        [file("/b", log::LevelFilter::Debug), file("/c", log::LevelFilter::Error)]
    );
}

#[test]
fn access_logs_of_one_path_share_a_file() {
    let config = config(
        "log_format f escape=json '$host ' '$status';
         server { access_log a.log; access_log a.log f; location / { access_log b.log f buffer=1k; } }",
    );
    assert_eq!(config.access_logs.len(), 2);
    assert_eq!(
        config.virtual_servers[0].outside.access_logs,
        [
            LogTo { log: LogId(0), format: FormatId(0) },
            LogTo { log: LogId(0), format: FormatId(1) }
        ]
    );
    assert_eq!((config.access_logs[0].buffer, config.access_logs[1].buffer), (16384, 1024));
    assert_eq!(config.access_logs[0].flush, Duration::from_millis(200));
    assert_eq!(config.log_formats[1].escape, Escape::Json);
}
