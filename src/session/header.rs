//! The beginning of a packet from the broker, which is judged before the rest has come: a length that no packet of its
//! kind has would be waited for in vain.

use super::MAX_INCOMING;
use crate::status::{Error, Status::*};
use rumqttc::{PacketType, mqttbytes};

/// What the first byte says (2.2): the kind of packet, if the broker of a client may send it. Looked at alone, so that a
/// server of another protocol is found out by it.
pub(super) fn kind(first: u8) -> Result<PacketType, Error> {
    match first {
        0x20 => Ok(PacketType::ConnAck),
        0x34 | 0x35 | 0x3c | 0x3d => Err(Error::new(LOSANT_ERR_PROTOCOL, "the broker sent a QoS 2 message")),
        0x30..=0x33 | 0x38..=0x3b => Ok(PacketType::Publish),
        0x40 => Ok(PacketType::PubAck),
        0x90 => Ok(PacketType::SubAck),
        0xb0 => Ok(PacketType::UnsubAck),
        0xd0 => Ok(PacketType::PingResp),
        _ => Err(Error::new(
            LOSANT_ERR_PROTOCOL,
            format!("the broker sent what is no MQTT packet for a client: {first:#04x}"),
        )),
    }
}

/// Checks the length of the packet that begins `input`, as far as it is there: the one that packets of its kind have, or
/// for a message one that holds its topic.
pub(super) fn check_length(kind: PacketType, input: &[u8]) -> Result<(), Error> {
    let expected = match kind {
        PacketType::Publish => return check_message(input),
        // One return code: all that we subscribe to is one topic.
        PacketType::SubAck => 3,
        PacketType::PingResp => 0,
        _ => 2,
    };
    match input.get(1) {
        // It takes one byte; one that others follow is not it.
        Some(&length) if length != expected => Err(wrong_length(kind)),
        _ => Ok(()),
    }
}

fn check_message(input: &[u8]) -> Result<(), Error> {
    let (mut length, mut at) = (0, 1);
    loop {
        let Some(&byte) = input.get(at) else { return Ok(()) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        match (byte & 0x80 == 0, at) {
            (true, _) => break,
            (false, 5) => return Err(super::malformed(mqttbytes::Error::MalformedRemainingLength)),
            _ => {}
        }
    }
    if length > MAX_INCOMING {
        return Err(super::malformed(mqttbytes::Error::PayloadSizeLimitExceeded(length)));
    }
    // Before the payload come the topic with its length and, above QoS 0, the packet id.
    let id = if input[0] & 0x06 == 0 { 0 } else { 2 };
    let topic = match input.get(at..at + 2) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    if length < 2 + topic + id { Err(wrong_length(PacketType::Publish)) } else { Ok(()) }
}

fn wrong_length(kind: PacketType) -> Error {
    Error::new(LOSANT_ERR_PROTOCOL, format!("malformed MQTT packet: no {kind:?} has this length"))
}
