//! The broker's host: what the resolver is asked for, and who the other side has to be.
//!
//! These differ. A trailing dot keeps the resolver from adding its search domains, and a zone chooses the interface of a
//! link-local address, but neither belongs into SNI, a certificate or the Host header (RFC 6066 section 3, RFC 6125
//! section 6.4, RFC 6874 section 4).

use crate::status::{Error, Status::*};
use std::net::{IpAddr, Ipv6Addr};

/// A host name or address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// With the trailing dot or the zone.
    lookup: String,
    /// Without them: a name, or an address in its usual form.
    identity: String,
}

impl Default for Host {
    /// The platform's.
    fn default() -> Self {
        let host = "broker.losant.com".to_owned();
        Host { lookup: host.clone(), identity: host }
    }
}

impl Host {
    /// A name, an IPv4 address, or an IPv6 address with or without brackets and zone.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let host = if let Some(host) = bracketed(text).or_else(|| ipv6(text)) { Ok(host) } else { name(text) };
        host.map_err(|problem| Error::new(LOSANT_ERR_INVALID_ARGUMENT, format!("host {problem}")))
    }

    /// What the resolver is asked for; an address without a zone needs none.
    pub fn lookup(&self) -> &str {
        &self.lookup
    }

    /// Who the certificate must be for: the name, which is sent as SNI too, or the address, which never is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Host and port as in a URL.
    pub fn authority(&self, port: u16) -> String {
        format!("{}:{port}", self.in_url())
    }

    /// The value of the HTTP header Host, which names a port only if it is not the usual one (RFC 9110 section 7.2).
    pub fn http_host(&self, port: u16, secure: bool) -> String {
        let usual = if secure { 443 } else { 80 };
        if port == usual { self.in_url() } else { self.authority(port) }
    }

    fn in_url(&self) -> String {
        if self.identity.contains(':') { format!("[{}]", self.identity) } else { self.identity.clone() }
    }
}

fn bracketed(text: &str) -> Option<Host> {
    ipv6(text.strip_prefix('[')?.strip_suffix(']')?)
}

/// An IPv6 address, which may have a zone: the name or number of an interface.
fn ipv6(text: &str) -> Option<Host> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let identity = address.parse::<Ipv6Addr>().ok()?.to_string();
    let lookup = match zone {
        None => identity.clone(),
        Some(zone) if is_zone(zone) => format!("{identity}%{zone}"),
        Some(_) => return None,
    };
    Some(Host { lookup, identity })
}

fn is_zone(zone: &str) -> bool {
    // IFNAMSIZ is 16, its NUL included.
    (1..=15).contains(&zone.len()) && zone.bytes().all(|byte| byte.is_ascii_graphic() && !b"/%[]".contains(&byte))
}

/// A DNS name, which may be one label and hold underscores, or an IPv4 address.
fn name(text: &str) -> Result<Host, String> {
    let identity = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains('/') {
        return Err("is a URL; give the host name or address alone".to_owned());
    }
    if text.contains([':', '[', ']', '%']) {
        let why = "is no IPv6 address, and a name has none of the characters : [ ] %; the port is an option of its own";
        return Err(why.to_owned());
    }
    if !text.is_ascii() {
        let why = "is not ASCII: give an internationalised name in its ASCII form, whose parts begin with xn--";
        return Err(why.to_owned());
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(c) = text.chars().find(|c| !allowed(c)) {
        return Err(format!("contains {c:?}, which no host name does"));
    }
    if identity.len() > 253 {
        return Err("is longer than 253 bytes".to_owned());
    }
    if let Some(label) = identity.split('.').find(|label| label.is_empty() || label.len() > 63) {
        let why = if label.is_empty() { "has nothing between two dots" } else { "has a part of more than 63 bytes" };
        return Err(why.to_owned());
    }
    if identity.split('.').all(is_number) && text.parse::<IpAddr>().is_err() {
        // Resolvers read 127.1, 0x7f.1 and 010.0.0.1 in more than one way (RFC 3986 section 7.4): whom a certificate would
        // have to name is not clear.
        return Err(
            "is made of numbers, but is no IPv4 address: those are four of 0 to 255, without zeros in front".into()
        );
    }
    Ok(Host { lookup: text.to_ascii_lowercase(), identity })
}

/// A number as inet_aton(3) takes it.
fn is_number(label: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    digits(label) || label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_as_resolver_certificate_and_http_know_them() {
        for (text, lookup, identity, url) in [
            ("broker.losant.com", "broker.losant.com", "broker.losant.com", "broker.losant.com"),
            ("Broker.LOSANT.com", "broker.losant.com", "broker.losant.com", "broker.losant.com"),
            ("localhost.", "localhost.", "localhost", "localhost"),
            ("LOCALHOST", "localhost", "localhost", "localhost"),
            ("my_broker", "my_broker", "my_broker", "my_broker"),
            ("-a.b-", "-a.b-", "-a.b-", "-a.b-"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("3com.com", "3com.com", "3com.com", "3com.com"),
            ("1.2.3.x", "1.2.3.x", "1.2.3.x", "1.2.3.x"),
            ("0xyz", "0xyz", "0xyz", "0xyz"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::1", "::1", "::1", "[::1]"),
            ("[::1]", "::1", "::1", "[::1]"),
            ("2001:DB8:0::0:1", "2001:db8::1", "2001:db8::1", "[2001:db8::1]"),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]"),
            ("fe80::1%lo", "fe80::1%lo", "fe80::1", "[fe80::1]"),
            ("[FE80::1%Wlan-0.7]", "fe80::1%Wlan-0.7", "fe80::1", "[fe80::1]"),
            ("fe80::1%3", "fe80::1%3", "fe80::1", "[fe80::1]"),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!((host.lookup(), host.identity()), (lookup, identity), "{text}");
            assert_eq!(host.authority(8883), format!("{url}:8883"), "{text}");
            for (port, secure, shown) in [
                (80, false, url.to_owned()),
                (443, true, url.to_owned()),
                (443, false, format!("{url}:443")),
                (80, true, format!("{url}:80")),
                (8080, false, format!("{url}:8080")),
            ] {
                assert_eq!(host.http_host(port, secure), shown);
            }
        }
        assert_eq!(Host::parse("broker.losant.com"), Ok(Host::default()));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_reason() {
        let (long_label, long_name) = ("x".repeat(64), format!("{}abcd", "x.".repeat(125)));
        for (text, reason) in [
            ("", "empty"),
            ("mqtts://broker.losant.com", "URL"),
            ("host/path", "URL"),
            ("broker.losant.com:8883", "port"),
            ("127.0.0.1:1883", "port"),
            ("[::1]:1883", "port"),
            ("[127.0.0.1]", "IPv6"),
            ("[localhost]", "IPv6"),
            ("[", "IPv6"),
            ("[::1", "IPv6"),
            ("::1]", "IPv6"),
            ("[[::1]]", "IPv6"),
            ("1:2:3", "IPv6"),
            ("::1.", "IPv6"),
            ("fe80::1%", "IPv6"),
            ("fe80::1%a b", "IPv6"),
            ("fe80::1%sixteen-bytes-xx", "IPv6"),
            ("localhost%lo", "IPv6"),
            ("bücher.example", "xn--"),
            ("ﬁ", "xn--"),
            ("a\u{3002}b", "xn--"),
            ("a b", "' '"),
            (" localhost", "' '"),
            ("localhost\n", "'\\n'"),
            ("a\tb", "'\\t'"),
            ("a\u{7f}", "'\\u{7f}'"),
            ("user@host", "'@'"),
            ("*.losant.com", "'*'"),
            (".", "between two dots"),
            ("..", "between two dots"),
            (".a", "between two dots"),
            ("a..b", "between two dots"),
            ("a..", "between two dots"),
            (&long_label, "63"),
            (&long_name, "253"),
            ("127.1", "four"),
            ("0x7f.1", "four"),
            ("0X7F000001", "four"),
            ("2130706433", "four"),
            ("0", "four"),
            ("127.0.0.01", "four"),
            ("127.0.0.256", "four"),
            ("1.2.3.4.5", "four"),
            ("127.0.0.1.", "four"),
            ("0x", "four"),
        ] {
            let error = Host::parse(text).unwrap_err();
            assert_eq!(error.status, LOSANT_ERR_INVALID_ARGUMENT, "{text:?}");
            assert!(error.text.starts_with("host ") && error.text.contains(reason), "{text:?}: {error}");
        }
        for longest in [format!("{}abc", "x.".repeat(125)), format!("{}abc.", "x.".repeat(125)), "x".repeat(63)] {
            assert_eq!(Host::parse(&longest).map(|host| host.lookup), Ok(longest));
        }
    }
}
