//! The hostile requests through nginx: every difference from our answer is in the table with its
//! reason. That ours is the one of the table is in `http_semantics`.

mod common;

use common::{Proxy, Upstream, get, hostile, nginx};

#[test]
fn nginx_differs_where_the_table_says_so() {
    let Some(nginx) = nginx() else { return };
    let server = Upstream::named("a");
    let conf = "server { listen {listen}; location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start_other(&nginx, conf, &[("server", &server)]);
    let mut wrong = Vec::new();
    for row in hostile::all() {
        let mut client = proxy.client();
        client.send([row.request(), get("/never")].concat());
        let status = client.try_read_response().map_or(0, |answer| answer.status());
        if status != row.nginx {
            wrong.push(format!("{}: {status} instead of {}", row.name, row.nginx));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_difference_has_its_reason() {
    for row in hostile::all() {
        assert_eq!(row.ours != row.nginx, row.why.is_some(), "{}", row.name);
    }
}
