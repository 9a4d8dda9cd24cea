//! `trino`, `trino_resubmit`, `health_check`, `failback` and `queue`.

use std::time::Duration;

use crate::config::model::{
    Asks, CheckRules, Failback, Group, HealthCheck, Queue, Resubmit, Trino,
};
use crate::config::tests::config;

fn group(lines: &str) -> Group {
    let text = format!("upstream a {{ server 127.0.0.1; {lines} }}");
    config(&text).groups[0].clone()
}

#[test]
fn nothing_is_checked_held_or_queued_unless_it_is_written() {
    let group = group("");
    assert_eq!(group.trino, Trino::Auto);
    assert_eq!(group.health_check, HealthCheck::ByMode);
    assert_eq!((group.failback, group.queue), (None, None));
}

#[test]
fn a_health_check_has_defaults_and_parameters() {
    let plain = group("health_check;").health_check;
    assert_eq!(plain, HealthCheck::On(CheckRules::of_trino()));
    let all = group("health_check interval=2 timeout=300ms fails=3 passes=2 uri=/up?a=1;");
    let rules = CheckRules {
        interval: Duration::from_secs(2),
        timeout: Duration::from_millis(300),
        fails: 3,
        passes: 2,
        asks: Asks::Uri(b"/up?a=1"[..].into()),
    };
    assert_eq!(all.health_check, HealthCheck::On(rules));
    assert_eq!(group("health_check off;").health_check, HealthCheck::Off);
}

#[test]
fn connections_are_checked_by_connecting_unless_a_uri_is_written() {
    let stream = |check: &str| {
        let text = format!(
            "stream {{ upstream s {{ server 127.0.0.1:1; {check} }}
             server {{ listen 1; proxy_pass s; }} }}"
        );
        let groups = config(&text).groups.clone();
        assert_eq!(groups[0].trino, Trino::Off);
        groups[0].health_check.clone()
    };
    assert_eq!(stream("health_check;"), HealthCheck::On(CheckRules::of(Asks::Connection)));
    let uri = CheckRules::of(Asks::Uri(b"/"[..].into()));
    assert_eq!(stream("health_check uri=/;"), HealthCheck::On(uri));
}

#[test]
fn failback_and_queue_have_their_forms() {
    let failback = |text: &str| group(&format!("failback {text};")).failback;
    assert_eq!(failback("immediate"), Some(Failback::Immediate));
    assert_eq!(failback("manual"), Some(Failback::Manual));
    assert_eq!(failback("after=2m"), Some(Failback::After(Duration::from_secs(120))));
    let queue = |text: &str| group(&format!("queue {text};")).queue;
    let minute = Duration::from_secs(60);
    assert_eq!(queue("7"), Some(Queue { length: 7, timeout: minute }));
    assert_eq!(queue("0 timeout=1s"), Some(Queue { length: 0, timeout: Duration::from_secs(1) }));
    assert_eq!(group("trino on;").trino, Trino::On);
}

#[test]
fn queries_are_submitted_again_unless_the_file_forbids_it() {
    let resubmit = |lines: &str| group(lines).resubmit;
    let after = |seconds| Resubmit::On { doubt: Duration::from_secs(seconds) };
    assert_eq!(resubmit(""), after(10));
    assert_eq!(resubmit("trino_resubmit on;"), after(10));
    assert_eq!(resubmit("trino_resubmit on doubt=3s;"), after(3));
    assert_eq!(resubmit("trino_resubmit off;"), Resubmit::Off);
    assert_eq!(group("").statement_memory, 64 << 20);
    assert_eq!(group("trino_statement_memory 2m;").statement_memory, 2 << 20);
}
