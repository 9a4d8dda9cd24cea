//! The same file and the same bytes through nginx and through us: both sides must see the same.
//!
//! Runs where nginx is on the PATH. nginx 1.22 is told what newer ones do by default (HTTP/1.1 and
//! no `Connection: close` to servers). Intended differences stand in a table with their reasons.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fmt::Write;
use std::path::Path;

use common::{Message, Proxy, Upstream, binary, nginx};

/// One exchange: what stands in the location, what the client sends, what the server answers.
struct Case {
    name: &'static str,
    directives: &'static str,
    request: &'static str,
    answer: &'static str,
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

const SAME: &[Case] = &[
    Case {
        name: "plain",
        directives: "",
        request: "GET /x?y HTTP/1.1\r\nHost: a:1\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
        answer: HELLO,
    },
    Case {
        name: "post",
        directives: "",
        request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        answer: HELLO,
    },
    Case { name: "old client", directives: "", request: "GET / HTTP/1.0\r\n\r\n", answer: HELLO },
    Case {
        name: "close",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer: HELLO,
    },
    Case {
        name: "absolute form",
        directives: "proxy_set_header Host $host; proxy_set_header Connection '';",
        request: "GET http://B.c:8/x HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: HELLO,
    },
    Case {
        name: "odd target",
        directives: "",
        request: "GET //a/../b%2f%41?%20&& HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: HELLO,
    },
    Case {
        name: "set headers",
        directives: "proxy_set_header Host $host:9; proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header Connection '';
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Accept '';
            proxy_set_header X-Uri '$request_method $uri $args $is_args $server_protocol $scheme';",
        request: "GET /a%20b?c=d HTTP/1.1\r\nHost: H\r\nAccept: x\r\nx-forwarded-for: 1.2.3.4\r\n\r\n",
        answer: HELLO,
    },
    Case {
        name: "hidden and added",
        directives: "proxy_hide_header X-Secret; add_header X-New $status; add_header X-Always a always;",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "HTTP/1.1 200 OK\r\nX-Secret: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    },
    Case {
        name: "added to an error",
        directives: "add_header X-New n; add_header X-Always a always;",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
    },
    Case {
        name: "chunks",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    },
    Case {
        name: "chunks to an old client",
        directives: "",
        request: "GET / HTTP/1.0\r\n\r\n",
        answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    },
    Case {
        name: "until the end",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "HTTP/1.0 200 OK\r\n\r\nabc",
    },
    Case {
        name: "not modified",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
    },
    Case {
        name: "redirect to the group",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: {listen}\r\n\r\n",
        answer: "HTTP/1.1 302 Found\r\nLocation: http://group/x?y\r\nContent-Length: 0\r\n\r\n",
    },
    Case {
        name: "redirect elsewhere",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "HTTP/1.1 302 Found\r\nLocation: https://else/x\r\nContent-Length: 0\r\n\r\n",
    },
    Case {
        name: "a server that breaks off",
        directives: "",
        request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        answer: "",
    },
    Case {
        name: "a body too large",
        directives: "client_max_body_size 3;",
        request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        answer: HELLO,
    },
    Case { name: "no host", directives: "", request: "GET / HTTP/1.1\r\n\r\n", answer: HELLO },
    Case {
        name: "unknown coding",
        directives: "",
        request: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        answer: HELLO,
    },
    Case {
        name: "returned",
        directives: "} location /r { return 200 '$host $uri';",
        request: "GET /r/x HTTP/1.1\r\nHost: A\r\n\r\n",
        answer: HELLO,
    },
];

/// Where we differ, and why that is meant.
const DIFFERENT: &[(Case, &str)] = &[
    (
        Case {
            name: "connection names a field",
            directives: "",
            request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Mine\r\nX-Mine: 1\r\n\r\n",
            answer: HELLO,
        },
        "RFC 9110, 7.6.1: what Connection names is for this connection only",
    ),
    (
        Case {
            name: "date and server",
            directives: "",
            request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            answer: "HTTP/1.1 200 OK\r\nServer: Jetty\r\nContent-Length: 0\r\n\r\n",
        },
        "the answer is the server's, and so is its Server field",
    ),
    (
        Case {
            name: "bare line feeds",
            directives: "",
            request: "GET / HTTP/1.1\nHost: a\n\n",
            answer: HELLO,
        },
        "a second parser could read them differently",
    ),
];

/// What both sides saw of one exchange, without what differs from run to run.
fn seen(binary: &Path, case: &Case) -> String {
    let answer = case.answer;
    let server = Upstream::playing(move |connection| {
        connection.read_request()?;
        connection.send(answer)
    });
    let conf = "upstream group { server {server}; }
        server { listen {listen}; location / { proxy_pass http://group; {directives} } }";
    let proxy =
        Proxy::start_other(binary, conf, &[("directives", &case.directives), ("server", &server)]);
    let listen = proxy.address().to_string();
    let mut client = proxy.client();
    client.send(case.request.replace("{listen}", &listen));
    let mut text = String::new();
    // Interim answers included; one that is cut shows as such.
    for _ in 0..8 {
        match client.try_read_response() {
            Ok(answer) => {
                show(&mut text, "client", &answer);
                if answer.status() >= 200 {
                    break;
                }
            }
            Err(why) => {
                writeln!(text, "client: {:?}", why.kind()).unwrap();
                break;
            }
        }
    }
    for request in server.requests() {
        show(&mut text, "server", &request);
    }
    text.replace(&listen, "LISTEN").replace(&server.address(), "SERVER")
}

fn show(text: &mut String, who: &str, message: &Message) {
    // Implied by HTTP/1.1, and each proxy's own business; pages of errors too, whose reason phrases
    // have changed since RFC 7231.
    let own = ["Connection: keep-alive", "Date: ", "Server: nginx", "Server: switchover"];
    let page = is_page(message);
    let shown = if page { message.start.get(..12).unwrap_or_default() } else { &message.start };
    writeln!(text, "{who}: {shown}").unwrap();
    for field in message.sorted_fields() {
        let about_page =
            page && (field.starts_with("Content-Length") || field.starts_with("Content-Type"));
        if !own.iter().any(|own| field.starts_with(own)) && !about_page {
            writeln!(text, "{who}:   {field}").unwrap();
        }
    }
    if !page {
        writeln!(text, "{who}:   {:?}", message.text()).unwrap();
    }
}

/// Whether this is a page that a proxy makes for an error: nginx's in HTML, ours begins with what
/// stands in the status line.
fn is_page(message: &Message) -> bool {
    let status = message.start.strip_prefix("HTTP/1.1 ");
    let body = message.text();
    status.is_some_and(|status| body.contains("<html>") || body.starts_with(status))
}

#[test]
fn both_sides_see_the_same_as_with_nginx() {
    let Some(nginx) = nginx() else { return };
    let differing: Vec<String> = SAME
        .iter()
        .map(|case| (case.name, seen(&nginx, case), seen(&binary(), case)))
        .filter(|(_, theirs, ours)| theirs != ours)
        .map(|(name, theirs, ours)| format!("{name}\n--- nginx\n{theirs}--- under test\n{ours}"))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn we_differ_where_it_is_meant() {
    let Some(nginx) = nginx() else { return };
    if common::is_nginx() {
        return;
    }
    for (case, why) in DIFFERENT {
        assert_ne!(
            seen(&nginx, case),
            seen(&binary(), case),
            "{}: no longer differs: {why}",
            case.name
        );
    }
}
