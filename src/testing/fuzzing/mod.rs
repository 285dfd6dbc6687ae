//! What the fuzz targets in `fuzz/` call: each takes any bytes, plays a hostile other side with them, and panics when a
//! promise is broken. Not part of the library. The tests replay the corpus, so that what was found once stays found.

pub use websocket::websocket;

use crate::{
    json::for_each_field,
    parse_time,
    payload::{Element, MAX_PAYLOAD, decode_command, encode_states, validate_state},
    session::{Credentials, Identity, Incoming, Session},
    status::Status,
};
use bytes::BytesMut;
use serde::de::IgnoredAny;
use std::time::{Duration, Instant};
use tree::Tree;
use zeroize::Zeroizing;

mod tree;
mod websocket;

/// What the broker sends, after one byte that tells into how long pieces it is cut. The cuts change nothing.
pub fn session(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = converse(stream, stream.len().max(1));
    let cut = converse(stream, usize::from(size).max(1));
    assert_eq!(whole, cut, "pieces of {size}");
}

/// What a session makes of a stream in pieces of this size: what happened, how it ended, and what it sent after CONNECT.
fn converse(stream: &[u8], size: usize) -> (Vec<Incoming>, Option<Status>, Vec<u8>) {
    let identity = Identity {
        client_id: "d1".to_owned(),
        credentials: Some(Credentials {
            key: Zeroizing::new("key".to_owned()),
            secret: Zeroizing::new("secret".to_owned()),
        }),
        command_topic: "losant/d1/command".to_owned(),
        subscribe: true,
        keep_alive: Duration::from_secs(15),
    };
    let (now, timeout) = (Instant::now(), Duration::from_secs(30));
    let mut session = Session::new(&identity, now, now + timeout, timeout);
    let (mut happened, mut sent, mut end) = (Vec::new(), Vec::new(), None);
    for piece in stream.chunks(size) {
        let received = session.receive(piece, now, &mut happened);
        // The network takes what it likes.
        let taken = size.min(session.output().len());
        sent.extend_from_slice(&session.output()[..taken]);
        session.take(taken, now);
        assert_eq!(session.output_end() - session.taken() > 0, !session.output().is_empty());
        if let Err(e) = received {
            end = Some(e.status);
            break;
        }
    }
    while !session.output().is_empty() {
        sent.extend_from_slice(session.output());
        session.take(session.output().len(), now);
    }
    assert_eq!(session.taken(), sent.len() as u64);
    let connect = b"\x10\x1b\0\x04MQTT\x04\xc2\0\x0f\0\x02d1\0\x03key\0\x06secret";
    assert!(sent.starts_with(connect));
    (happened, end, sent.split_off(connect.len()))
}

/// A message on the command topic.
pub fn command(data: &[u8]) {
    const ARRIVED: i64 = 42;
    let command = match decode_command(data, ARRIVED) {
        Ok(command) => command,
        Err(why) => return assert!(why.len() < 1000, "{} bytes of error", why.len()),
    };
    assert!(is_json(&command.payload), "{}", command.payload);
    assert!(command.payload.len() <= String::from_utf8_lossy(data).len() + "null".len());
    // A number that came as a JSON number is milliseconds, where a text of as many digits may be a date.
    let is_number = command.time.bytes().all(|byte| byte.is_ascii_digit());
    if command.time_ms != ARRIVED && !is_number {
        assert_eq!(parse_time(&command.time).ok(), Some(command.time_ms), "{}", command.time);
    }
    // Another way to the same payload: through a tree.
    let text = std::str::from_utf8(data).unwrap_or_default();
    let sent = fields(text).unwrap_or_default().into_iter().rev().find(|(name, _)| name == "payload");
    if let Some((_, sent)) = sent {
        if let (Some(sent), Some(received)) = (Tree::read(sent), Tree::read(&command.payload)) {
            assert_eq!(sent.without_undefined(), received, "{text}");
        }
    }
}

/// A state: eight bytes for its time, then its text.
pub fn state(data: &[u8]) {
    let Some((time_ms, text)) = data.split_first_chunk() else { return };
    let (time_ms, Ok(text)) = (i64::from_le_bytes(*time_ms), std::str::from_utf8(text)) else { return };
    let json = match validate_state(text) {
        Ok((json, _)) => json,
        Err(e) => return assert!(e.text.len() < 1000, "{} bytes of error", e.text.len()),
    };
    let mut message = BytesMut::new();
    encode_states(&mut message, [(json, time_ms)].map(Element::from).into_iter());
    assert!(message.len() <= MAX_PAYLOAD);
    let message = std::str::from_utf8(&message).expect("a message is UTF-8");
    assert!(is_json(message), "{message}");
    let fields = fields(message).expect("a message is a JSON object");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(fields, [("time", time_ms.to_string().as_str()), ("data", json)]);
    assert!(json.starts_with('{') && text.contains(json));
    let mut merged = BytesMut::new();
    encode_states(&mut merged, [(json, time_ms), ("{}", 1), (json, time_ms)].map(Element::from).into_iter());
    let expected = format!("[{message},{{\"time\":1,\"data\":{{}}}},{message}]");
    assert_eq!(merged, expected.as_bytes());
}

/// The text of a time.
pub fn time(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_time(text) {
        Ok(ms) => {
            let plain = text.trim();
            if !plain.starts_with(['{', '"']) {
                for form in
                    [format!("\"{plain}\""), format!("{{\"$date\":\"{plain}\"}}"), format!("{{\"$date\":{ms}}}")]
                {
                    assert_eq!(parse_time(&form).ok(), Some(ms), "{form}");
                }
            }
        }
        Err(e) => assert!(e.text.len() < 2000, "{} bytes of error", e.text.len()),
    }
}

fn fields(json: &str) -> Option<Vec<(String, &str)>> {
    let mut fields = Vec::new();
    for_each_field(json, |name, value| fields.push((name.into_owned(), value))).ok().map(|()| fields)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn replay(target: &str, entry: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut count = 0;
        for file in fs::read_dir(&corpus).expect("the corpus is there") {
            let path = file.expect("it can be read").path();
            // Shown when the test fails.
            println!("{}", path.display());
            entry(&fs::read(path).expect("it can be read"));
            count += 1;
        }
        assert!(count > 10, "{count} files in {}", corpus.display());
    }

    #[test]
    fn the_corpus_holds() {
        replay("session", super::session);
        replay("websocket", super::websocket);
        replay("command", super::command);
        replay("state", super::state);
        replay("time", super::time);
    }
}
