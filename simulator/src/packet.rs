//! The packets that the platform sends, as bytes.

use serde_json::{Map, Value, json};

use crate::iso;

/// Payloads that are no command, each with what is wrong with it.
pub const MALFORMED: &[(&str, &[u8])] = &[
    ("empty", b""),
    ("not JSON", b"{\"name\":"),
    ("no UTF-8", b"{\"name\":\"\xff\xfe\"}"),
    ("not an object", b"[1,2]"),
    ("null", b"null"),
    ("no name", b"{\"payload\":1}"),
    ("the name is a number", b"{\"name\":7}"),
    ("the name is null", b"{\"name\":null,\"payload\":{}}"),
    ("more than one value", b"{\"name\":\"a\"} {\"name\":\"b\"}"),
    ("binary", b"\x00\x01\x02\x03"),
];

/// One MQTT packet from its first byte and what follows the length.
fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![first];
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(crate) fn connack(code: u8) -> Vec<u8> {
    packet(0x20, &[&[0, code]])
}

pub(crate) fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &[&id.to_be_bytes()])
}

/// Grants QoS 0 to each of `count` topics.
pub(crate) fn suback(id: u16, count: usize) -> Vec<u8> {
    packet(0x90, &[&id.to_be_bytes(), &vec![0; count]])
}

pub(crate) fn unsuback(id: u16) -> Vec<u8> {
    packet(0xb0, &[&id.to_be_bytes()])
}

pub(crate) fn pingresp() -> Vec<u8> {
    packet(0xd0, &[])
}

/// A QoS 0 message.
pub(crate) fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(0);
    packet(0x30, &[&length.to_be_bytes(), topic.as_bytes(), payload])
}

/// The topic of a device's commands.
pub(crate) fn command_topic(device: &str) -> String {
    format!("losant/{device}/command")
}

/// The payload of a command.
pub(crate) fn command(name: &str, payload: Option<&Value>, time_ms: i64) -> Vec<u8> {
    let mut command = Map::new();
    command.insert("name".into(), name.into());
    if let Some(payload) = payload {
        command.insert("payload".into(), payload.clone());
    }
    command.insert("time".into(), json!({ "$date": iso::format(time_ms) }));
    Value::Object(command).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish};

    fn read(bytes: &[u8]) -> Packet {
        let mut buffer = bytes::BytesMut::from(bytes);
        let packet = Packet::read(&mut buffer, 1_000_000).expect("a packet");
        assert!(buffer.is_empty());
        packet
    }

    #[test]
    fn packets_are_read_by_a_client() {
        assert_eq!(read(&connack(5)), Packet::ConnAck(ConnAck::new(ConnectReturnCode::NotAuthorized, false)));
        assert_eq!(read(&puback(515)), Packet::PubAck(PubAck::new(515)));
        assert!(matches!(read(&suback(3, 2)), Packet::SubAck(ack) if ack.pkid == 3 && ack.return_codes.len() == 2));
        assert!(matches!(read(&unsuback(3)), Packet::UnsubAck(ack) if ack.pkid == 3));
        assert_eq!(read(&pingresp()), Packet::PingResp);
        for size in [0, 127, 128, 300_000] {
            let payload = vec![b'x'; size];
            let expected = Publish::new("t/é", rumqttc::mqttbytes::QoS::AtMostOnce, payload.clone());
            assert_eq!(read(&publish("t/é", &payload)), Packet::Publish(expected));
        }
    }

    #[test]
    fn a_command_has_its_time() {
        let command = command("go", Some(&json!({"a": 1})), 1_464_743_391_145);
        let expected = json!({"name": "go", "payload": {"a": 1}, "time": {"$date": "2016-06-01T01:09:51.145Z"}});
        assert_eq!(serde_json::from_slice::<Value>(&command).ok(), Some(expected));
    }
}
