//! The configuration that the proxy was written for, field by field, and an empty one.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::model::template::{Constants, Template};
use crate::config::model::*;
use crate::config::tests::{config, proxy};

const ARTICLE: &str = "
upstream trino {
   server 127.0.0.1:8080 fail_timeout=3s max_fails=1;
   server localhost:8081 backup;
}
server {
    listen       80;
    server_name  localhost;
    location / {
        proxy_pass   http://trino;
        proxy_redirect  http://trino/ /;
        proxy_connect_timeout 3;
        proxy_set_header          Host            $host;
        proxy_set_header          X-Real-IP       $remote_addr;
        proxy_set_header          X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
";

fn template(text: &str) -> Template {
    Template::compile(text, Layer::Http, &Constants { hostname: "h".into() }).unwrap()
}

fn header(name: &str, value: &str) -> SetHeader {
    SetHeader { name: name.as_bytes().into(), value: template(value) }
}

#[test]
fn the_article_has_a_primary_and_a_backup() {
    let primary = Server {
        name: "127.0.0.1:8080".into(),
        address: "127.0.0.1:8080".parse::<std::net::SocketAddr>().unwrap().into(),
        weight: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(3),
        backup: false,
        down: false,
        max_connections: 0,
        tls: None,
    };
    let backup = Server {
        name: "localhost:8081".into(),
        address: "127.0.0.1:8081".parse::<std::net::SocketAddr>().unwrap().into(),
        fail_timeout: Duration::from_secs(10),
        backup: true,
        ..primary.clone()
    };
    assert_eq!(
        config(ARTICLE).groups,
        [Group {
            name: "trino".into(),
            layer: Layer::Http,
            servers: vec![primary, backup],
            keepalive: 32,
            keepalive_requests: 1000,
            keepalive_time: Duration::from_secs(3600),
            keepalive_timeout: Duration::from_secs(60),
            check_timeout: Duration::from_secs(3),
            trino: Trino::Auto,
            health_check: HealthCheck::ByMode,
            failback: None,
            queue: None,
            announcements: Announcements::All,
            resubmit: RESUBMIT,
            statement_memory: STATEMENT_MEMORY,
        }]
    );
}

#[test]
fn the_article_listens_on_port_80() {
    let config = config(ARTICLE);
    assert_eq!(
        config.listens,
        [Listen {
            address: "0.0.0.0:80".parse::<std::net::SocketAddr>().unwrap().into(),
            backlog: 511,
            receive_buffer: None,
            send_buffer: None,
            keepalive: None,
            reuse_port: false,
            ipv6_only: true,
            proxy_protocol: false,
            tls: false,
            purpose: Purpose::Clients,
            serves: Serves::Http { servers: vec![VirtualServerId(0)], default: VirtualServerId(0) },
        }]
    );
    assert_eq!(config.virtual_servers[0].names, [ServerName::Exact("localhost".into())]);
}

#[test]
fn the_article_proxies_everything_to_the_group() {
    let config = config(ARTICLE);
    let [location] = config.virtual_servers[0].locations.as_slice() else { panic!("one location") };
    assert_eq!(location.matcher, Matcher::Prefix((*b"/").into()));
    let pass = proxy(location);
    assert_eq!((pass.group, &*pass.host, &*pass.port), (GroupId(0), "trino", "80"));
    assert_eq!(pass.uri, None);
    assert_eq!(pass.version, ProxyVersion::Http11);
    assert_eq!(
        pass.set_headers,
        [
            header("Host", "$host"),
            header("X-Real-IP", "$remote_addr"),
            header("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
        ]
    );
    let redirect = Redirect { from: template("http://trino/"), to: template("/") };
    assert_eq!(pass.redirects, [redirect]);
    assert_eq!(pass.connect_timeout, Duration::from_secs(3));
    assert_eq!(pass.read_timeout, Duration::from_secs(60));
    assert_eq!(pass.send_timeout, Duration::from_secs(60));
    assert_eq!((pass.head_limit, pass.replay_limit), (2 << 20, 256 << 10));
    let next = pass.next;
    assert!(next.error && next.timeout && !next.invalid_header && !next.non_idempotent);
    assert_eq!((next.statuses, next.tries), (NextStatuses::default(), 0));
    assert_eq!(next.timeout_after, None);
    assert_eq!(pass.bind, None);
    assert!(!pass.ignore_client_abort && !pass.socket_keepalive && !pass.intercept_errors);
}

#[test]
fn what_nobody_says_is_as_in_nginx_or_ours_on_purpose() {
    let config = config("server {}");
    let server = &config.virtual_servers[0];
    assert_eq!(
        config.process,
        Process {
            pid: PidFile::Default(PathBuf::from("/prefix/switchover.pid")),
            control: Control::Default(PathBuf::from("/prefix/switchover.sock")),
            state: StateFile::Default(PathBuf::from("/prefix/switchover.state")),
            error_logs: vec![ErrorLog { to: LogSink::Stderr, level: log::LevelFilter::Info }],
            daemon: false,
            user: None,
            rlimit_nofile: None,
            shutdown_timeout: None,
            worker_connections: 16384,
            splice: true,
            buffer_memory: 256 << 20,
        }
    );
    assert_eq!(server.names, [ServerName::Exact("".into())]);
    assert_eq!(
        server.limits,
        HeadLimits {
            header_timeout: Duration::from_secs(60),
            header_buffer: 1024,
            large_buffers: 4,
            large_buffer_size: 8192,
            underscores: false,
            merge_slashes: true,
        }
    );
    assert_eq!(
        server.outside,
        LocationSettings {
            max_body: None,
            body_timeout: Duration::from_secs(60),
            send_timeout: Duration::from_secs(60),
            keepalive_timeout: Some(Duration::from_secs(75)),
            keepalive_header: None,
            keepalive_requests: 1000,
            keepalive_time: Duration::from_secs(3600),
            lingering_close: Lingering::On,
            lingering_time: Duration::from_secs(30),
            lingering_timeout: Duration::from_secs(1),
            tcp_nodelay: true,
            real_ip: RealIp {
                trusted: vec![],
                source: RealIpSource::Field("x-real-ip".into()),
                recursive: false,
            },
            add_headers: vec![],
            error_pages: vec![],
            access_logs: vec![],
        }
    );
    assert_eq!(config.listens[0].address.to_string(), "0.0.0.0:80");
    assert_eq!(&*config.log_formats[0].name, "combined");
}
