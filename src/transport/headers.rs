//! Headers of the host program's own in the WebSocket request. Their values may be secrets: they are wiped, and no text
//! repeats them.

use crate::status::{Error, Status::*};
use zeroize::Zeroizing;

/// As many as a request may have, and how long their names and values may be together: servers refuse longer requests.
pub(crate) const MAX_HEADERS: usize = 16;
pub(crate) const MAX_BYTES: usize = 8192;

/// Those that the handshake itself needs (RFC 6455 section 4.1), and those that would announce a body.
const RESERVED: [&str; 5] = ["Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding"];

const USER_AGENT: (&str, &str) = ("User-Agent", concat!("liblosant/", env!("CARGO_PKG_VERSION")));

/// Not printable.
#[derive(Clone, Default)]
pub(crate) struct Headers(Vec<(String, Zeroizing<String>)>);

impl Headers {
    /// Adds a header, in the place of one with the same name if there is one; `None` takes it away.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Error> {
        let wrong = |why: &str| Error::new(LOSANT_ERR_INVALID_ARGUMENT, why);
        check_name(name).map_err(wrong)?;
        let others = self.0.iter().filter(|(other, _)| !other.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            // Tab is the only control character that a value may hold (RFC 9110 section 5.5).
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(wrong("value contains a control character"));
            }
            let (count, bytes) = others.fold((1, name.len() + value.len()), |(count, bytes), (name, value)| {
                (count + 1, bytes + name.len() + value.len())
            });
            if count > MAX_HEADERS {
                return Err(wrong("value would be that of a 17th header"));
            }
            if bytes > MAX_BYTES {
                return Err(wrong("value is too long: names and values would have more than 8,192 bytes together"));
            }
        }
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        let added = value.map(|value| (name.to_owned(), Zeroizing::new(value.to_owned())));
        self.0.extend(added);
        Ok(())
    }

    /// How long the text of [`Self::write`] may be at most.
    pub fn len(&self) -> usize {
        let own = USER_AGENT.0.len() + USER_AGENT.1.len() + 4;
        self.0.iter().fold(own, |sum, (name, value)| sum + name.len() + value.len() + 4)
    }

    /// Appends them to a request.
    pub fn write(&self, request: &mut String) {
        let replaced = self.0.iter().any(|(name, _)| name.eq_ignore_ascii_case(USER_AGENT.0));
        let own = (!replaced).then_some(USER_AGENT);
        let added = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.into_iter().chain(added) {
            for part in [name, ": ", value, "\r\n"] {
                request.push_str(part);
            }
        }
    }
}

/// A token (RFC 9110 section 5.6.2) that is not the handshake's.
fn check_name(name: &str) -> Result<(), &'static str> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_token) {
        return Err("name is not the name of an HTTP header: letters, digits and some signs such as -");
    }
    let handshake = "Sec-WebSocket-";
    let ours = name.get(..handshake.len()).is_some_and(|start| start.eq_ignore_ascii_case(handshake));
    if ours || RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return Err("name is that of a header which the WebSocket handshake sets itself");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(headers: &Headers) -> String {
        let mut text = String::new();
        headers.write(&mut text);
        assert!(text.len() <= headers.len());
        text
    }

    #[test]
    fn a_header_has_one_place_until_it_is_taken_away() {
        let mut headers = Headers::default();
        let own = concat!("User-Agent: liblosant/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert_eq!(text(&headers), own);
        headers.set("Authorization", Some("Basic x")).unwrap();
        headers.set("X-Empty", Some("")).unwrap();
        headers.set("authorization", Some("Bearer\ty \u{e9}")).unwrap();
        assert_eq!(text(&headers), format!("{own}X-Empty: \r\nauthorization: Bearer\ty \u{e9}\r\n"));
        headers.set("user-agent", Some("mine")).unwrap();
        headers.set("AUTHORIZATION", None).unwrap();
        headers.set("never-there", None).unwrap();
        assert_eq!(text(&headers), "X-Empty: \r\nuser-agent: mine\r\n");
        headers.set("User-Agent", None).unwrap();
        headers.set("X-Empty", None).unwrap();
        assert_eq!(text(&headers), own);
    }

    #[test]
    fn what_could_break_the_request_is_refused_and_not_repeated() {
        let mut headers = Headers::default();
        for name in [
            "",
            " ",
            "a b",
            "a:",
            "a\r\nb",
            "a\0",
            "é",
            "(a)",
            "a/b",
            "\"a\"",
            "host",
            "Host",
            "CONNECTION",
            "upgrade",
            "Sec-WebSocket-Key",
            "sec-websocket-",
            "SEC-WEBSOCKET-PROTOCOL",
            "Content-Length",
            "transfer-encoding",
        ] {
            for value in [Some("secret"), None] {
                let error = headers.set(name, value).unwrap_err();
                assert_eq!(error.status, LOSANT_ERR_INVALID_ARGUMENT, "{name}");
                assert!(error.text.starts_with("name ") && !error.text.contains("secret"), "{error}");
            }
        }
        for value in ["secret\r", "secret\n", "secret\0", "\u{1}secret", "secret\u{7f}", "secret\r\nHost: x"] {
            let error = headers.set("X-A", Some(value)).unwrap_err();
            assert!(error.text.starts_with("value ") && !error.text.contains("secret"), "{error}");
        }
        for name in ["Sec-WebSocket", "X-Host", "!#$%&'*+-.^_`|~09azAZ"] {
            headers.set(name, Some("")).unwrap();
        }
    }

    #[test]
    fn their_number_and_size_are_bounded() {
        let mut headers = Headers::default();
        for number in 10..26 {
            headers.set(&format!("X-{number}"), Some("v")).unwrap();
        }
        assert!(headers.set("X-26", Some("v")).is_err());
        headers.set("x-25", Some("w")).unwrap();
        headers.set("x-25", None).unwrap();
        // 15 of five bytes.
        let rest = "v".repeat(MAX_BYTES - 15 * 5 - 4);
        assert!(headers.set("X-26", Some(&format!("{rest}v"))).is_err());
        headers.set("X-26", Some(&rest)).unwrap();
        headers.set("X-26", Some(&rest)).unwrap();
        assert!(headers.set("X-10", Some("vv")).is_err());
        assert!(text(&headers).contains("X-10: v\r\n"), "what is refused changes nothing");
    }
}
