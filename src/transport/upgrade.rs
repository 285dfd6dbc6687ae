//! The HTTP upgrade that opens a WebSocket (RFC 6455 section 4), without its I/O: a request goes out, bytes come in.
//!
//! tungstenite's own needs the whole `http` crate, a tenth of this library.

use super::Headers;
use crate::{
    json::excerpt,
    status::{Error, Status::*},
};
use openssl::{base64, rand::rand_bytes, sha::sha1};
use zeroize::Zeroizing;

/// No server has a reason to send more in front of the first frame.
const MAX_HEAD: usize = 16 * 1024;

/// RFC 6455 section 1.3.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[derive(Debug)]
pub(crate) struct Upgrade {
    key: String,
    response: Vec<u8>,
}

impl Upgrade {
    /// The upgrade and its request. `host` is the value of the header Host. All have been checked for characters that could
    /// end a header.
    pub fn new(host: &str, path: &str, headers: &Headers) -> Result<(Self, Zeroizing<Vec<u8>>), Error> {
        let mut nonce = [0; 16];
        rand_bytes(&mut nonce).map_err(|e| Error::new(LOSANT_ERR_SYSTEM, format!("no random numbers: {e}")))?;
        let key = base64::encode_block(&nonce);
        let ours = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: mqtt\r\n"
        );
        // Large enough at once: what grows leaves copies behind.
        let mut request = String::with_capacity(ours.len() + headers.len() + 2);
        request.push_str(&ours);
        headers.write(&mut request);
        request.push_str("\r\n");
        Ok((Upgrade { key, response: Vec::new() }, Zeroizing::new(request.into_bytes())))
    }

    /// Takes what the server sent. When its answer is complete and right: the bytes that came behind it.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.response.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let wrong = |why: &str| Error::new(LOSANT_ERR_WEBSOCKET, format!("the WebSocket handshake failed: {why}"));
        match response.parse(&self.response) {
            Ok(httparse::Status::Complete(length)) => {
                self.check(&response)?;
                Ok(Some(self.response.split_off(length)))
            }
            Ok(httparse::Status::Partial) if self.response.len() > MAX_HEAD => Err(wrong("the answer does not end")),
            Ok(httparse::Status::Partial) => Ok(None),
            Err(_) => Err(wrong("the server does not answer in HTTP")),
        }
    }

    /// The conditions of RFC 6455 section 4.1 and MQTT 3.1.1 section 6.
    fn check(&self, response: &httparse::Response<'_, '_>) -> Result<(), Error> {
        if response.code != Some(101) {
            return Err(refused(response));
        }
        let values = |name: &'static str| {
            let named = response.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
            named.map(|header| header.value.trim_ascii())
        };
        let has = |name, token: &str| {
            let token = token.as_bytes();
            values(name)
                .any(|value| value.split(|byte| *byte == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(token)))
        };
        let wrong = |why| Err(Error::new(LOSANT_ERR_WEBSOCKET, format!("the WebSocket handshake failed: {why}")));
        if !has("Upgrade", "websocket") || !has("Connection", "Upgrade") {
            return wrong("the answer does not upgrade to websocket");
        }
        if !values("Sec-WebSocket-Accept").eq([accept(&self.key).as_bytes()]) {
            return wrong("the answer is not to this request");
        }
        if values("Sec-WebSocket-Extensions").any(|value| !value.is_empty()) {
            return wrong("the server uses an extension that was not offered");
        }
        if !values("Sec-WebSocket-Protocol").eq([b"mqtt".as_slice()]) {
            let detail = "the server did not choose the WebSocket sub-protocol \"mqtt\"";
            return Err(Error::new(LOSANT_ERR_WEBSOCKET_PROTOCOL, detail));
        }
        Ok(())
    }
}

/// An answer with another status than 101. No redirect is followed (RFC 6455 section 4.1 leaves it open): who asks for one
/// host does not want key and secret sent to another.
fn refused(response: &httparse::Response<'_, '_>) -> Error {
    let (status, reason) = (response.code.unwrap_or(0), excerpt(response.reason.unwrap_or_default().trim()));
    let mut text = format!("the server refused the WebSocket: HTTP status {status}");
    if !reason.is_empty() {
        text.push_str(&format!(" {}", reason.escape_debug()));
    }
    let location = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("Location"));
    if let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) {
        let location = String::from_utf8_lossy(location.value);
        text.push_str(&format!(", it is at {:?}", excerpt(&location)));
    }
    Error::new(LOSANT_ERR_WEBSOCKET_REFUSED, text)
}

/// What a server answers to a key (RFC 6455 section 4.2.2).
pub(crate) fn accept(key: &str) -> String {
    base64::encode_block(&sha1(format!("{key}{ACCEPT_SUFFIX}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    fn upgrade() -> Upgrade {
        Upgrade { key: "dGhlIHNhbXBsZSBub25jZQ==".into(), response: Vec::new() }
    }

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

    #[test]
    fn a_right_answer_is_taken_however_it_is_cut() {
        let sent = format!("{GOOD}\u{1}frame");
        for size in 1..sent.len() {
            let mut upgrade = upgrade();
            let mut rest = None;
            for chunk in sent.as_bytes().chunks(size) {
                match &mut rest {
                    None => rest = upgrade.receive(chunk).unwrap(),
                    Some(rest) => rest.extend_from_slice(chunk),
                }
            }
            assert_eq!(rest.as_deref(), Some(&b"\x01frame"[..]), "chunks of {size}");
        }
    }

    #[test]
    fn every_wrong_answer_is_refused() {
        for (from, to, status) in [
            ("101 Switching Protocols", "403 Forbidden", LOSANT_ERR_WEBSOCKET_REFUSED),
            ("101 Switching Protocols", "200", LOSANT_ERR_WEBSOCKET_REFUSED),
            ("HTTP/1.1", "SSH-2.0", LOSANT_ERR_WEBSOCKET),
            ("upgrade: WebSocket", "upgrade: h2c", LOSANT_ERR_WEBSOCKET),
            ("keep-alive, Upgrade", "keep-alive", LOSANT_ERR_WEBSOCKET),
            ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=", LOSANT_ERR_WEBSOCKET),
            ("Sec-WebSocket-Protocol: mqtt\r\n", "", LOSANT_ERR_WEBSOCKET_PROTOCOL),
            ("Protocol: mqtt", "Protocol: mqttv3.1", LOSANT_ERR_WEBSOCKET_PROTOCOL),
            ("Protocol: mqtt", "Extensions: x\r\nSec-WebSocket-Protocol: mqtt", LOSANT_ERR_WEBSOCKET),
        ] {
            let answer = upgrade().receive(GOOD.replace(from, to).as_bytes());
            assert_eq!(answer.map_err(|e| e.status), Err(status), "{to}");
        }
    }

    #[test]
    fn a_refusal_tells_its_status_and_where_to_go_instead() {
        let long = "x".repeat(1000);
        for (answer, told) in [
            ("403 Forbidden\r\nLocation: elsewhere", "403 Forbidden"),
            ("429 Too Many Requests", "429 Too Many Requests"),
            ("503", "503"),
            ("301 Moved\r\nlocation: https://h/p", "301 Moved, it is at \"https://h/p\""),
            ("302 Found\r\nLocation: \t/a\tb\"\u{202e}c", r#"302 Found, it is at "/a\tb\"\u{202e}c""#),
            ("307 Temporary Redirect", "307 Temporary Redirect"),
            ("308 \t\r\nLocation:", "308, it is at \"\""),
            (&format!("308 x\r\nLocation: {long}"), &format!("308 x, it is at \"{}\"", &long[..100])),
        ] {
            let error = upgrade().receive(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).unwrap_err();
            assert_eq!(error.status, LOSANT_ERR_WEBSOCKET_REFUSED, "{error}");
            assert_eq!(error.text, format!("the server refused the WebSocket: HTTP status {told}"));
        }
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let mut upgrade = upgrade();
        let endless = format!("HTTP/1.1 101 x\r\nA: {}", "x".repeat(MAX_HEAD));
        assert_eq!(upgrade.receive(endless.as_bytes()).map_err(|e| e.status), Err(LOSANT_ERR_WEBSOCKET));
    }

    #[test]
    fn the_request_asks_for_mqtt() {
        let mut headers = Headers::default();
        headers.set("Authorization", Some("Basic x")).unwrap();
        let (upgrade, request) = Upgrade::new("h:81", "/mqtt", &headers).unwrap();
        let request = String::from_utf8(request.to_vec()).unwrap();
        assert!(
            request.starts_with("GET /mqtt HTTP/1.1\r\nHost: h:81\r\n") && request.ends_with("\r\n\r\n"),
            "{request}"
        );
        assert!(request.contains(&format!("Sec-WebSocket-Key: {}\r\n", upgrade.key)));
        assert!(request.contains("\r\nUser-Agent: liblosant/") && request.contains("\r\nAuthorization: Basic x\r\n"));
        assert_eq!(upgrade.key.len(), 24);
    }
}
