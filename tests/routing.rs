//! Who answers, and what is rewritten on the way: server names, locations, headers, redirects.

mod common;

use common::{Message, Proxy, Upstream, get, nginx_differs, ok};

/// Sends one request through one location and returns what the server got.
fn sent_upstream(directives: &str, request: &str) -> (Message, Proxy, Upstream) {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, directives);
    assert_eq!(proxy.client().ask(request).status(), 200, "{request:?}");
    // A request for one of Trino's paths makes the proxy check its server.
    let is_check = |request: &Message| request.field("User-Agent") == Some("switchover");
    let sent = server.requests().into_iter().find(|request| !is_check(request));
    (sent.expect("it was answered"), proxy, server)
}

/// Lets the server answer `answer` and returns what the client got.
fn sent_down(directives: &str, answer: &str) -> Message {
    let server = Upstream::answering(answer);
    Proxy::before(&server, directives).client().ask(get("/"))
}

/// One `$variable` in an `X` field, as the server sees it.
fn variable(name: &str, request: &str) -> String {
    let directives = format!("proxy_set_header X \"<{name}>\";");
    let (got, ..) = sent_upstream(&directives, request);
    got.field("X").expect("set above").to_owned()
}

#[test]
fn a_request_is_rewritten_exactly_so() {
    let (got, ..) = sent_upstream(
        "proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
         proxy_set_header Connection ''; proxy_set_header Accept-Encoding '';",
        "POST /v1/statement?a=b%20c HTTP/1.1\r\nhost: trino.example:8080\r\nX-Trino-User:  admin \r\n\
         x-real-ip: 6.6.6.6\r\nX-Real-Ip: 7.7.7.7\r\nAccept-Encoding: gzip\r\nX-Empty:\r\n\
         Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nContent-Length: 8\r\n\r\nselect 1",
    );
    assert_eq!(got.start, "POST /v1/statement?a=b%20c HTTP/1.1");
    let expected = [
        "Content-Length: 8",
        "Host: trino.example:8080",
        "X-Empty: ",
        "X-Real-IP: 127.0.0.1",
        "X-Trino-User: admin",
    ];
    assert_eq!(got.sorted_fields(), expected);
    assert_eq!(got.text(), "select 1");
}

#[test]
fn a_request_without_directives_is_rewritten_exactly_so() {
    let (got, ..) = sent_upstream(
        "",
        "GET / HTTP/1.1\r\nHost: client\r\nAccept: a\r\nTE: gzip\r\nAccept: b\r\nProxy-Connection: close\r\n\r\n",
    );
    // nginx 1.22 passes Proxy-Connection on; nobody may.
    let ours = |field: &String| !(common::is_nginx() && field.starts_with("Proxy-Connection"));
    let fields: Vec<String> = got.sorted_fields().into_iter().filter(ours).collect();
    assert_eq!(fields, ["Accept: a", "Accept: b", "Host: group"]);
}

#[test]
fn fields_that_connection_names_stay_on_this_side() {
    if nginx_differs("passes them on") {
        return;
    }
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Mine\r\nx-mine: 1\r\nX-Ours: 2\r\n\
                   CONNECTION: x-other , close\r\nX-Other: 3\r\n\r\n";
    let (got, ..) = sent_upstream("", request);
    assert_eq!(got.sorted_fields(), ["Host: group", "X-Ours: 2"]);
}

#[test]
fn an_answer_is_rewritten_exactly_so() {
    let got = sent_down(
        "proxy_hide_header X-Secret; add_header X-Via switchover;",
        "HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-Secret: s\r\nSet-Cookie: b=2\r\nKeep-Alive: timeout=3\r\n\
         Connection: keep-alive\r\nWWW-Authenticate: Basic\r\nContent-Length: 1\r\n\r\na",
    );
    let theirs: Vec<String> = got
        .sorted_fields()
        .into_iter()
        .filter(|field| {
            !["Date: ", "Server: ", "Connection: keep-alive"]
                .iter()
                .any(|own| field.starts_with(own))
        })
        .collect();
    let expected = [
        "Content-Length: 1",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "WWW-Authenticate: Basic",
        "X-Via: switchover",
    ];
    assert_eq!(theirs, expected);
    assert_eq!(got.all("Set-Cookie"), ["a=1", "b=2"]);
}

/// Fields that mean something to one hop, to a proxy or to a server, and some that mean nothing.
const FIELDS: [&str; 24] = [
    "Accept",
    "Age",
    "Authorization",
    "Cache-Control",
    "Close",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Date",
    "Expect",
    "Host",
    "HTTP2-Settings",
    "Keep-Alive",
    "Max-Forwards",
    "Proxy-Authenticate",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Via",
    "Warning",
    "X-A",
];

/// One directive for each field.
fn for_each_field(directive: &str) -> String {
    FIELDS.iter().map(|field| format!("{directive} {field} mine;")).collect()
}

/// What a proxy logs before it serves.
fn log_of_start(proxy: &Proxy) -> String {
    proxy.wait_for_log(&["listening on"]);
    proxy.log_text()
}

#[test]
fn a_field_arrives_as_it_is_set_or_a_warning_says_that_it_does_not() {
    if nginx_differs("sends all of them") {
        return;
    }
    let (got, proxy, _server) =
        sent_upstream(&for_each_field("proxy_set_header"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let log = log_of_start(&proxy);
    for field in FIELDS {
        let warned = log.contains(&format!("\"proxy_set_header {field}\" has no effect"));
        assert_eq!(got.field(field) == Some("mine"), !warned, "{field}\n{log}");
    }
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, &for_each_field("add_header"));
    let got = proxy.client().ask(get("/"));
    let log = log_of_start(&proxy);
    for field in FIELDS {
        let warned = log.contains(&format!("\"add_header {field}\" has no effect"));
        assert_eq!(got.all(field).contains(&"mine"), !warned, "{field}\n{log}");
    }
}

#[test]
fn date_and_server_are_the_servers_own() {
    if nginx_differs("replaces them") {
        return;
    }
    let date = "Sat, 01 Jan 2022 00:00:00 GMT";
    let got = sent_down(
        "",
        &format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nServer: Jetty\r\nContent-Length: 0\r\n\r\n"),
    );
    assert_eq!((got.field("Date"), got.field("Server")), (Some(date), Some("Jetty")));
}

#[test]
fn variables_mean_what_they_mean_in_nginx() {
    let request = "GET /a%20b//c?x=1&y=two HTTP/1.1\r\nHost: Trino.Example:8443\r\nUser-Agent: cli\r\n\
                   X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n";
    let table = [
        ("$host", "<trino.example>"),
        ("$http_host", "<Trino.Example:8443>"),
        ("$http_user_agent", "<cli>"),
        ("$http_missing", "<>"),
        ("$proxy_host", "<group>"),
        ("$proxy_port", "<80>"),
        ("$proxy_add_x_forwarded_for", "<1.1.1.1, 2.2.2.2, 127.0.0.1>"),
        ("$remote_addr", "<127.0.0.1>"),
        ("$scheme", "<http>"),
        ("$request", "<GET /a%20b//c?x=1&y=two HTTP/1.1>"),
        ("$request_method", "<GET>"),
        ("$request_uri", "</a%20b//c?x=1&y=two>"),
        ("$uri", "</a b/c>"),
        ("$args", "<x=1&y=two>"),
        ("$query_string", "<x=1&y=two>"),
        ("$arg_y", "<two>"),
        ("$is_args", "<?>"),
        ("$server_protocol", "<HTTP/1.1>"),
        ("$server_addr", "<127.0.0.1>"),
        ("${scheme}s", "<https>"),
    ];
    for (name, expected) in table {
        assert_eq!(variable(name, request), expected, "{name}");
    }
}

#[test]
fn host_with_server_port_is_the_clients_host_and_our_port() {
    let (got, proxy, _) = sent_upstream(
        "proxy_set_header Host $host:$server_port; proxy_set_header X-Peer $remote_addr:$remote_port;",
        "GET / HTTP/1.1\r\nHost: trino\r\n\r\n",
    );
    assert_eq!(got.field("Host"), Some(format!("trino:{}", proxy.address().port()).as_str()));
    assert!(got.field("X-Peer").unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn a_request_without_a_host_takes_the_servers_name() {
    assert_eq!(variable("$host", "GET / HTTP/1.0\r\n\r\n"), "<>");
    let server = Upstream::named("a");
    let conf = "server { listen {listen}; server_name first second;
        location / { proxy_pass http://{server}; proxy_set_header X $host/$server_name; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    proxy.client().ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(server.wait_for_request(1).field("X"), Some("first/first"));
}

#[test]
fn an_absolute_target_replaces_the_host() {
    let directives = "proxy_set_header Host $host;";
    let (got, ..) =
        sent_upstream(directives, "GET http://Real.Example:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(
        (got.start.as_str(), got.field("Host")),
        ("GET /p?q HTTP/1.1", Some("real.example"))
    );
}

#[test]
fn a_target_reaches_the_server_byte_for_byte() {
    for target in ["/", "//a//b", "/a/../b/./c", "/%2F", "/a%0d%0ab", "/?a=?b", "/a;b,c'()*[]|"] {
        let (got, ..) = sent_upstream("", &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(got.start, format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn proxy_pass_with_a_uri_replaces_the_prefix() {
    let server = Upstream::named("a");
    let conf = "server { listen {listen};
        location /old/ { proxy_pass http://{server}/new/; }
        location = /exact { proxy_pass http://{server}/other; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let mut client = proxy.client();
    for (n, (asked, got)) in
        [("/old/x?y=z", "/new/x?y=z"), ("/old/a%20b", "/new/a%20b"), ("/exact?q", "/other?q")]
            .into_iter()
            .enumerate()
    {
        client.ask(get(asked));
        assert_eq!(server.wait_for_request(n + 1).start, format!("GET {got} HTTP/1.1"));
    }
}

#[test]
fn the_longest_location_answers() {
    let conf = "server { listen {listen};
        location / { return 200 root; }
        location /a { return 200 a; }
        location /a/b/ { return 200 ab; location /a/b/c { return 200 abc; } }
        location = /a/b/ { return 200 exact; }
        location ^~ /v1/ { return 200 v1; } }";
    let proxy = Proxy::start(conf, &[]);
    let mut client = proxy.client();
    let table = [
        ("/", "root"),
        ("/ab", "a"),
        ("/a/b", "a"),
        ("/a/b/", "exact"),
        ("/a/b/x", "ab"),
        ("/a/b/cd", "abc"),
        ("/x/../a/b/x", "ab"),
        ("//a//b//x", "ab"),
        ("/%61/b/x?/v1/", "ab"),
        ("/v1/statement", "v1"),
        ("/V1/", "root"),
    ];
    for (target, expected) in table {
        assert_eq!(client.ask(get(target)).text(), expected, "{target}");
    }
}

#[test]
fn a_location_without_a_handler_answers_404() {
    let conf = "server { listen {listen}; location /only { return 200 x; } location /none { } }";
    let proxy = Proxy::start(conf, &[]);
    assert_eq!(proxy.client().ask(get("/none")).status(), 404);
}

#[test]
fn the_server_is_chosen_by_its_name() {
    let conf = "
        server { listen {listen}; server_name a.example; return 200 exact; }
        server { listen {listen}; server_name *.example; return 200 suffix; }
        server { listen {listen}; server_name www.*; return 200 prefix; }
        server { listen {listen}; server_name .dotted; return 200 dotted; }
        server { listen {listen} default_server; server_name _; return 200 default; }";
    let proxy = Proxy::start(conf, &[]);
    let mut client = proxy.client();
    let table = [
        ("a.example", "exact"),
        ("A.EXAMPLE:99", "exact"),
        ("b.example", "suffix"),
        ("b.c.example", "suffix"),
        ("www.org", "prefix"),
        ("www.example", "suffix"),
        ("dotted", "dotted"),
        ("x.dotted", "dotted"),
        ("example", "default"),
        ("[::1]", "default"),
    ];
    for (host, expected) in table {
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.text(), expected, "{host}");
    }
}

#[test]
fn an_empty_host_goes_to_the_default_server() {
    if nginx_differs("refuses it") {
        return;
    }
    let proxy = Proxy::start("server { listen {listen}; return 200 default; }", &[]);
    assert_eq!(proxy.client().ask("GET / HTTP/1.1\r\nHost:\r\n\r\n").text(), "default");
}

#[test]
fn the_first_server_is_the_default_one() {
    let conf = "server { listen {listen}; server_name a; return 200 a; }
        server { listen {listen}; server_name b; return 200 b; }";
    let proxy = Proxy::start(conf, &[]);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
}

#[test]
fn return_answers_with_text_places_and_bare_statuses() {
    let conf = "server { listen {listen}; server_name here;
        location /text { return 200 \"$request_method $uri\"; }
        location /gone { return 410; }
        location /moved { return 301 https://else.example$request_uri; }
        location /url { return https://else.example/; }
        location /none { return 204; }
        location /close { return 444; } }";
    let proxy = Proxy::start(conf, &[]);
    let mut client = proxy.client();
    let text = client.ask(get("/text"));
    assert_eq!((text.status(), text.text().as_str()), (200, "GET /text"));
    assert_eq!(client.ask(get("/gone")).status(), 410);
    let moved = client.ask(get("/moved?x"));
    assert_eq!(
        (moved.status(), moved.field("Location")),
        (301, Some("https://else.example/moved?x"))
    );
    assert_eq!(client.ask(get("/url")).status(), 302);
    assert_eq!(client.ask(get("/none")).body, b"");
    client.send(get("/close"));
    assert!(client.is_closed());
}

#[test]
fn error_page_answers_in_place_of_an_error() {
    let refusing = Upstream::refusing("a");
    let conf = "server { listen {listen};
        error_page 404 /lost;
        location / { proxy_pass http://{server}; error_page 502 504 =503 /sorry; }
        location /none { }
        location = /sorry { return 200 sorry; }
        location = /lost { return 200 lost; } }";
    let proxy = Proxy::start(conf, &[("server", &refusing)]);
    let mut client = proxy.client();
    let sorry = proxy.client().ask(get("/"));
    assert_eq!((sorry.status(), sorry.text().as_str()), (503, "sorry"));
    let lost = client.ask(get("/none"));
    assert_eq!((lost.status(), lost.text().as_str()), (404, "lost"));
}

#[test]
fn intercepted_errors_get_their_page() {
    let server = Upstream::answering("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops");
    let conf = "server { listen {listen};
        location / { proxy_pass http://{server}; proxy_intercept_errors on; error_page 500 =200 /page; }
        location /plain { proxy_pass http://{server}; error_page 500 =200 /page; }
        location = /page { return 200 page; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    assert_eq!(proxy.client().ask(get("/")).text(), "page");
    let plain = proxy.client().ask(get("/plain"));
    assert_eq!((plain.status(), plain.text().as_str()), (500, "oops"));
}

#[test]
fn add_header_adds_to_good_answers_and_always_to_all() {
    let conf = "server { listen {listen};
        add_header X-Good $uri; add_header X-All yes always;
        location /good { return 200 x; }
        location /bad { return 500; }
        location /own { add_header X-Own own; return 200 x; } }";
    let proxy = Proxy::start(conf, &[]);
    let ask = |path| proxy.client().ask(get(path));
    let good = ask("/good");
    assert_eq!((good.field("X-Good"), good.field("X-All")), (Some("/good"), Some("yes")));
    let bad = ask("/bad");
    assert_eq!((bad.field("X-Good"), bad.field("X-All")), (None, Some("yes")));
    let own = ask("/own");
    assert_eq!((own.field("X-Good"), own.field("X-Own")), (None, Some("own")));
}

/// What the client reads in Location when the server at `{server}` sends `location`.
fn redirected(directives: &str, location: &str) -> String {
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let server = Upstream::answering(answer);
    let conf = "upstream group { server {server}; }
        server { listen {listen}; location /app/ { proxy_pass http://group/; {directives} } location / { proxy_pass http://group; {directives} } }";
    let proxy = Proxy::start(conf, &[("server", &server), ("directives", &directives)]);
    let host = proxy.address();
    let target = if location.contains("/app-") { "/app/" } else { "/" };
    let answer = proxy.client().ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let own = format!("http://{host}");
    answer.field("Location").expect("a Location").replace(&own, "OWN")
}

#[test]
fn redirects_to_the_group_become_redirects_to_the_proxy() {
    assert_eq!(redirected("", "http://group/x"), "OWN/x");
    assert_eq!(redirected("", "http://group/app-x"), "OWN/app/app-x");
    assert_eq!(redirected("", "http://other/x"), "http://other/x");
    assert_eq!(redirected("proxy_redirect off;", "http://group/x"), "http://group/x");
    assert_eq!(
        redirected("proxy_redirect http://other/ http://mine/;", "http://other/x"),
        "http://mine/x"
    );
    assert_eq!(
        redirected("proxy_redirect http://other/ /there/;", "http://other/x"),
        "OWN/there/x"
    );
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_reaches_the_server() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "client_max_body_size 10;");
    assert_eq!(proxy.client().ask(common::post("/", "01234567890")).status(), 413);
    assert!(server.got_nothing());
    assert_eq!(proxy.client().ask(common::post("/", "0123456789")).status(), 200);
}

#[test]
fn underscored_fields_are_dropped_unless_wanted() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX_Under: 1\r\n\r\n";
    let (got, ..) = sent_upstream("", request);
    assert_eq!(got.field("X_Under"), None);
    let server = Upstream::answering(ok("a"));
    let conf = "server { listen {listen}; underscores_in_headers on; location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    proxy.client().ask(request);
    assert_eq!(server.wait_for_request(1).field("X_Under"), Some("1"));
}

#[test]
fn a_request_has_one_authority_which_is_its_targets() {
    let server = Upstream::named("a");
    let conf = "server { listen {listen}; server_name other; return 403; }
        server { listen {listen}; server_name pub;
            location / { proxy_pass http://{server}; proxy_set_header Host $http_host; }
            location /default { proxy_pass http://{server}; proxy_set_header X-Host $host; }
            location /none { proxy_pass http://{server}; proxy_set_header Host ''; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let proxied = server.address();
    let mut asked = 0;
    for (target, host, expected) in [
        ("http://pub:81/", "Host: other\r\n", "pub:81"),
        ("http://pub/", "Connection: Host\r\nHost: other\r\n", "pub"),
        ("/", "Host: pub:82\r\n", "pub:82"),
        ("http://pub/default", "Host: other\r\n", &*proxied),
        ("http://pub/none", "Host: other\r\n", &*proxied),
    ] {
        let answer = proxy.client().ask(format!("GET {target} HTTP/1.1\r\n{host}\r\n"));
        assert_eq!(answer.status(), 200, "{target}");
        asked += 1;
        let request = server.wait_for_request(asked);
        if !nginx_differs("hands the field on") {
            assert_eq!(request.all("Host"), [expected], "{target} {host}");
        }
    }
}

#[test]
fn nothing_is_added_to_a_query_by_a_path_behind_it() {
    if nginx_differs("escapes it as a path") {
        return;
    }
    let server = Upstream::named("a");
    let conf = "server { listen {listen};
        location /l/ { proxy_pass http://{server}/lookup?path=; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    for (n, (path, target)) in
        [("/l/a%26admin%3D1", "/lookup?path=a%26admin=1"), ("/l/a?x=1", "/lookup?path=a&x=1")]
            .iter()
            .enumerate()
    {
        assert_eq!(proxy.client().ask(get(path)).status(), 200);
        assert_eq!(server.wait_for_request(n + 1).start, format!("GET {target} HTTP/1.1"));
    }
}

#[test]
fn a_request_without_a_host_leaves_with_one() {
    if nginx_differs("sends none") {
        return;
    }
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "proxy_set_header Host $http_host;");
    for (n, request) in
        ["GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"].iter().enumerate()
    {
        assert_eq!(proxy.client().ask(request).status(), 200);
        assert_eq!(server.wait_for_request(n + 1).all("Host"), ["group"]);
    }
}
