//! ChannelData, the short form of what goes to and comes from a peer (RFC 8656 §12.4).
//!
//! ```text
//! |0 1 0 0|  channel number       |           length              |  data
//! ```

use std::ops::RangeInclusive;

use antiphon_util::{ParseError, Reader, Writer};

/// Bytes in front of the data.
pub const CHANNEL_HEADER_LEN: usize = 4;

/// Numbers that our client chooses (RFC 8656 §12).
pub(crate) const CHANNEL_NUMBERS: RangeInclusive<u16> = 0x4000..=0x4fff;

/// Numbers that are understood: clients of RFC 5766 §11 choose among more, coturn's for one, and nothing else comes from a client
/// of ours at the same port.
pub(crate) const UNDERSTOOD_NUMBERS: RangeInclusive<u16> = 0x4000..=0x7fff;

/// Whether `datagram` is meant as ChannelData: its first two bits say so (RFC 8656 §12.4).
pub fn is_channel_data(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(64..=127))
}

/// Reads ChannelData: the channel, and the length of the data behind the header. Padding may follow, as it does where a
/// client pads over UDP too (RFC 8656 §12.5).
///
/// # Errors
/// Where it has another number than a channel's, or ends before its data.
pub(crate) fn parse(datagram: &[u8]) -> Result<(u16, usize), ParseError> {
    let mut reader = Reader::new(datagram);
    let number = reader.u16()?;
    let len = usize::from(reader.u16()?);
    if !UNDERSTOOD_NUMBERS.contains(&number) {
        return Err(ParseError::Value);
    }
    if len > reader.remaining() {
        return Err(ParseError::Truncated);
    }
    Ok((number, len))
}

/// Appends ChannelData, padded where it goes over a stream; `false`, with nothing appended, where `data` is too long for it.
pub(crate) fn write(writer: &mut Writer<'_>, number: u16, data: &[u8], padded: bool) -> bool {
    let Ok(len) = u16::try_from(data.len()) else { return false };
    let mut writer = writer.nested();
    writer.u16(number);
    writer.u16(len);
    writer.bytes(data);
    if padded {
        writer.pad(4);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(data: &[u8], padded: bool) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(write(&mut Writer::new(&mut out), 0x4001, data, padded));
        out
    }

    #[test]
    fn survives_a_round_trip_with_and_without_padding() {
        for len in 0..20 {
            let data = vec![7; len];
            for padded in [false, true] {
                let out = written(&data, padded);
                assert!(is_channel_data(&out));
                assert_eq!(parse(&out), Ok((0x4001, len)));
                assert_eq!(out.len().is_multiple_of(4), padded || len.is_multiple_of(4));
            }
        }
    }

    #[test]
    fn every_shorter_datagram_and_every_other_number_is_refused() {
        let out = written(b"hello", false);
        for len in 0..out.len() {
            assert_eq!(parse(&out[..len]), Err(ParseError::Truncated));
        }
        for number in [0_u16, 0x3fff, 0x8000, 0xffff] {
            let mut other = out.clone();
            other[..2].copy_from_slice(&number.to_be_bytes());
            assert_eq!(parse(&other), Err(ParseError::Value), "{number:#x}");
        }
    }

    #[test]
    fn data_beyond_16_bits_is_not_written() {
        let mut out = vec![1];
        assert!(!write(&mut Writer::new(&mut out), 0x4000, &vec![0; 0x10000], true));
        assert_eq!(out, [1]);
    }
}
