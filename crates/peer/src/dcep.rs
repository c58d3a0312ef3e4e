//! Messages of the data channel establishment protocol (RFC 8832).

use std::time::Duration;

use antiphon_sctp::{PayloadProtocolId, Reliability};
use antiphon_util::{ParseError, Reader, Writer};

/// DCEP itself (RFC 8832 §8.1).
pub const PPID_DCEP: PayloadProtocolId = PayloadProtocolId(50);
/// Text (RFC 8831 §8).
pub const PPID_STRING: PayloadProtocolId = PayloadProtocolId(51);
/// Part of binary data, deprecated (RFC 8831 §8).
pub const PPID_BINARY_PARTIAL: PayloadProtocolId = PayloadProtocolId(52);
/// Binary data.
pub const PPID_BINARY: PayloadProtocolId = PayloadProtocolId(53);
/// Part of a text, deprecated.
pub const PPID_STRING_PARTIAL: PayloadProtocolId = PayloadProtocolId(54);
/// An empty text; its one byte means nothing.
pub const PPID_STRING_EMPTY: PayloadProtocolId = PayloadProtocolId(56);
/// Empty binary data; its one byte means nothing.
pub const PPID_BINARY_EMPTY: PayloadProtocolId = PayloadProtocolId(57);

const MESSAGE_ACK: u8 = 0x02;
const MESSAGE_OPEN: u8 = 0x03;
const UNORDERED: u8 = 0x80;

/// A message of DCEP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DcepMessage {
    /// Opens a channel on the stream it arrives on.
    Open(Open),
    /// Confirms it.
    Ack,
}

/// What the opener of a channel says about it.
///
/// ```text
///  0                   1                   2                   3
/// |  type (0x03)  | channel type  |           priority            |
/// |                    reliability parameter                      |
/// |         label length          |        protocol length        |
/// |                            label …                            |
/// |                           protocol …                          |
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Whether messages keep their order.
    pub ordered: bool,
    /// How hard delivery is tried.
    pub reliability: Reliability,
    /// The priority (RFC 8831 §6.4); 256 is normal.
    pub priority: u16,
    /// The label.
    pub label: String,
    /// The protocol spoken on the channel, by name.
    pub protocol: String,
}

impl DcepMessage {
    /// Reads a message; label and protocol are read as UTF-8 with what is not replaced, since some peers count
    /// characters in place of bytes.
    ///
    /// # Errors
    ///
    /// It is not a message of DCEP.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        match reader.u8()? {
            // Some peers send more than the one byte.
            MESSAGE_ACK => Ok(Self::Ack),
            MESSAGE_OPEN => Open::parse(reader).map(Self::Open),
            _ => Err(ParseError::Value),
        }
    }

    /// Writes the message.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Ack => writer.u8(MESSAGE_ACK),
            Self::Open(open) => open.write(writer),
        }
    }
}

impl Open {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let kind = reader.u8()?;
        let priority = reader.u16()?;
        let parameter = reader.u32()?;
        let label_length = reader.u16()?;
        let protocol_length = reader.u16()?;
        let label = reader.bytes(label_length.into())?;
        let protocol = reader.bytes(protocol_length.into())?;
        let reliability = match kind & !UNORDERED {
            0 => Reliability::Reliable,
            // More retransmissions than the association counts are as good as any number.
            1 => Reliability::MaxRetransmits(u16::try_from(parameter).unwrap_or(u16::MAX)),
            2 => Reliability::MaxLifetime(Duration::from_millis(parameter.into())),
            _ => return Err(ParseError::Value),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (label, protocol) = (text(label), text(protocol));
        Ok(Self { ordered: kind & UNORDERED == 0, reliability, priority, label, protocol })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let (kind, parameter) = match self.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::MaxRetransmits(count) => (1, u32::from(count)),
            Reliability::MaxLifetime(time) => (2, u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
        };
        writer.u8(MESSAGE_OPEN);
        writer.u8(if self.ordered { kind } else { kind | UNORDERED });
        writer.u16(self.priority);
        writer.u32(parameter);
        // Channels are made with labels and protocols that fit (`Limits::label_length`).
        writer.u16(u16::try_from(self.label.len()).unwrap_or(u16::MAX));
        writer.u16(u16::try_from(self.protocol.len()).unwrap_or(u16::MAX));
        writer.bytes(self.label.as_bytes());
        writer.bytes(self.protocol.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(message: &DcepMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.write(&mut Writer::new(&mut bytes));
        bytes
    }

    /// What Chromium sends for `createDataChannel("ab", {ordered: false, maxRetransmits: 3})`.
    const OPEN: [u8; 14] = [3, 0x81, 1, 0, 0, 0, 0, 3, 0, 2, 0, 0, b'a', b'b'];

    fn open() -> DcepMessage {
        DcepMessage::Open(Open {
            ordered: false,
            reliability: Reliability::MaxRetransmits(3),
            priority: 256,
            label: "ab".into(),
            protocol: String::new(),
        })
    }

    #[test]
    fn open_and_ack_have_their_bytes() {
        assert_eq!(write(&open()), OPEN);
        assert_eq!(DcepMessage::parse(&mut Reader::new(&OPEN)).unwrap(), open());
        assert_eq!(write(&DcepMessage::Ack), [2]);
        assert_eq!(DcepMessage::parse(&mut Reader::new(&[2])).unwrap(), DcepMessage::Ack);
    }

    #[test]
    fn every_channel_type_survives_a_round_trip() {
        for ordered in [true, false] {
            for reliability in [
                Reliability::Reliable,
                Reliability::MaxRetransmits(0),
                Reliability::MaxRetransmits(u16::MAX),
                Reliability::MaxLifetime(Duration::from_millis(1_500)),
            ] {
                let message = DcepMessage::Open(Open {
                    ordered,
                    reliability,
                    priority: 0,
                    label: "ü".into(),
                    protocol: "p".into(),
                });
                assert_eq!(DcepMessage::parse(&mut Reader::new(&write(&message))).unwrap(), message);
            }
        }
    }

    #[test]
    fn truncated_and_unknown_messages_are_refused() {
        for length in 0..OPEN.len() {
            assert!(DcepMessage::parse(&mut Reader::new(&OPEN[..length])).is_err(), "{length}");
        }
        for (at, value) in [(0, 1), (0, 4), (1, 3), (1, 0x7f)] {
            let mut bytes = OPEN;
            bytes[at] = value;
            assert!(DcepMessage::parse(&mut Reader::new(&bytes)).is_err());
        }
    }
}
