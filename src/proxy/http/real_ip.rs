//! `set_real_ip_from`: the client that a trusted peer names as the source of a request.

use std::net::{IpAddr, SocketAddr};

use crate::address::Address;
use crate::config::model::{RealIp, RealIpSource, Trusted};
use crate::proxy::client::Facts;
use crate::proxy::http::request::Request;

/// The client's address, if the peer is trusted and names one.
pub fn remote(rules: &RealIp, request: &Request, facts: &Facts) -> Option<Address> {
    if !is_trusted(&rules.trusted, &facts.peer) {
        return None;
    }
    match &rules.source {
        RealIpSource::ProxyProtocol => proxied(facts),
        RealIpSource::Field(name) => {
            let mut list = Vec::new();
            request.field(name, b",", &mut list)?;
            from_list(&list, rules)
        }
    }
}

/// The same for a connection that passes unread: only its PROXY header can name the client.
pub fn remote_unread(rules: &RealIp, facts: &Facts) -> Option<Address> {
    match rules.source {
        RealIpSource::ProxyProtocol if is_trusted(&rules.trusted, &facts.peer) => proxied(facts),
        RealIpSource::ProxyProtocol | RealIpSource::Field(_) => None,
    }
}

/// The client's address from its PROXY header.
pub fn proxied(facts: &Facts) -> Option<Address> {
    facts.proxied().map(|proxied| Address::Inet(proxied.source))
}

/// The last address of a list. With `real_ip_recursive`, the last address that is not trusted, or
/// else the first. A word that is no address ends the search.
fn from_list(list: &[u8], rules: &RealIp) -> Option<Address> {
    let mut found = None;
    for word in list.rsplit(|&byte| byte == b',') {
        let Some(address) = std::str::from_utf8(word).ok().and_then(|word| parse(word.trim()))
        else {
            break;
        };
        let address = Address::Inet(address);
        let passed_over = rules.recursive && is_trusted(&rules.trusted, &address);
        found = Some(address);
        if !passed_over {
            break;
        }
    }
    found
}

/// Parses an address whose port may be missing, which then is 0.
fn parse(word: &str) -> Option<SocketAddr> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    let ip = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    ip.or_else(|_| word.parse()).ok()
}

/// Whether a peer is trusted to name its client.
pub fn is_trusted(trusted: &[Trusted], address: &Address) -> bool {
    trusted.iter().any(|trusted| trusted.covers(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(recursive: bool) -> RealIp {
        let net = |text: &str| Trusted::Net(text.parse().unwrap());
        RealIp {
            trusted: vec![net("10.0.0.0/8"), net("2001:db8::/32")],
            source: RealIpSource::Field("x-forwarded-for".into()),
            recursive,
        }
    }

    fn check(list: &str, recursive: bool, expected: Option<&str>) {
        let expected = expected.map(|text| Address::Inet(text.parse().unwrap()));
        assert_eq!(from_list(list.as_bytes(), &rules(recursive)), expected, "{list}");
    }

    #[test]
    fn the_last_address_of_the_list_counts() {
        check("1.1.1.1, 2.2.2.2", false, Some("2.2.2.2:0"));
        check("1.1.1.1,10.0.0.1:99", false, Some("10.0.0.1:99"));
        check("[2001:db8::1]:80", false, Some("[2001:db8::1]:80"));
        check("[2001:db8::1]", false, Some("[2001:db8::1]:0"));
        check("2001:db8::1", false, Some("[2001:db8::1]:0"));
    }

    #[test]
    fn trusted_addresses_are_passed_over_if_asked() {
        check("1.1.1.1, 10.0.0.1, 2001:db8::1", true, Some("1.1.1.1:0"));
        check("10.0.0.2, 10.0.0.1", true, Some("10.0.0.2:0"));
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        check("1.1.1.1, unknown", false, None);
        check("1.1.1.1, unknown, 10.0.0.1", true, Some("10.0.0.1:0"));
        check("", false, None);
    }
}
