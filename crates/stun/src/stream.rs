//! Messages on a stream: where one ends and the next begins.
//!
//! ```text
//! LengthPrefixed (RFC 4571 §2), ICE over TCP       SelfDelimiting (RFC 8489 §6.2.2, RFC 8656 §12.5), to a STUN or TURN server
//! |  length       |  length bytes ...              |0 0| type     |  length       |  cookie, id, length bytes ...
//!                                                  |0 1| channel  |  length       |  length bytes, padded to a multiple of 4
//! ```

use crate::{HEADER_LEN, MAGIC_COOKIE, TooLong};

/// Bytes in front of a ChannelData message (RFC 8656 §12.4).
const CHANNEL_HEADER_LEN: usize = 4;

/// How a stream is cut into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Every frame stands behind its length in two bytes (RFC 4571 §2), whatever it holds: ICE over TCP (RFC 6544).
    LengthPrefixed,
    /// STUN messages and TURN's ChannelData one behind the other, each with the length it has inside (RFC 8489 §6.2.2,
    /// RFC 8656 §12.5): clients of a STUN or TURN server over TCP or TLS.
    SelfDelimiting,
}

/// Why a stream can't be read on; its connection is to be closed, since the next frame cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// What comes next is neither a STUN message nor ChannelData.
    #[error("not a frame")]
    Malformed,
    /// The next frame is longer than permitted.
    #[error("frame too long")]
    TooLong,
}

impl Framing {
    /// Appends `frame` to `out`, framed.
    ///
    /// # Errors
    /// [`TooLong`] where a length of two bytes is wanted and does not suffice; nothing is appended then.
    pub fn encode(self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
        self.encode_with(out, |out| out.extend_from_slice(frame))
    }

    /// Appends what `write` appends to `out`, framed: the frame is built where it is sent from.
    ///
    /// # Errors
    /// [`TooLong`] where a length of two bytes is wanted and does not suffice; nothing is appended then.
    pub fn encode_with<R>(
        self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, TooLong> {
        let start = out.len();
        match self {
            Framing::LengthPrefixed => {
                out.extend_from_slice(&[0; 2]);
                let result = write(out);
                let Ok(len) = u16::try_from(out.len().saturating_sub(start + 2)) else {
                    out.truncate(start);
                    return Err(TooLong);
                };
                if let Some(prefix) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
                    *prefix = len.to_be_bytes();
                }
                Ok(result)
            }
            Framing::SelfDelimiting => {
                let result = write(out);
                let len = out.len().saturating_sub(start);
                out.resize(start + len.next_multiple_of(4), 0);
                Ok(result)
            }
        }
    }

    /// What the first bytes of a frame say about it; `None` where more of them are needed.
    fn measure(self, front: &[u8]) -> Result<Option<Extent>, FrameError> {
        let Some([a, b]) = front.first_chunk::<2>().copied() else { return Ok(None) };
        if self == Framing::LengthPrefixed {
            return Ok(Some(Extent {
                header: 2,
                frame: usize::from(u16::from_be_bytes([a, b])),
                padding: 0,
            }));
        }
        let Some([_, _, c, d]) = front.first_chunk::<4>().copied() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([c, d]));
        match a >> 6 {
            0 => {
                let cookie = front.get(4..8).is_none_or(|cookie| cookie == MAGIC_COOKIE.to_be_bytes());
                if !cookie || !len.is_multiple_of(4) {
                    return Err(FrameError::Malformed);
                }
                Ok(Some(Extent { header: 0, frame: HEADER_LEN + len, padding: 0 }))
            }
            1 => {
                let padding = len.wrapping_neg() & 3;
                Ok(Some(Extent { header: 0, frame: CHANNEL_HEADER_LEN + len, padding }))
            }
            _ => Err(FrameError::Malformed),
        }
    }
}

/// The parts of a frame on the stream, in bytes.
#[derive(Debug, Clone, Copy)]
struct Extent {
    header: usize,
    frame: usize,
    padding: usize,
}

impl Extent {
    fn total(self) -> usize {
        self.header + self.frame + self.padding
    }
}

/// Cuts a stream into frames, however its bytes arrive. It holds one frame at most, and of that only what has come.
///
/// ```
/// use antiphon_stun::{FrameDecoder, Framing};
///
/// let mut decoder = FrameDecoder::new(Framing::LengthPrefixed, 1_500);
/// let mut input = &b"\x00\x05hello\x00\x05wo"[..];
/// assert!(decoder.decode(&mut input)?.is_some_and(|frame| frame == b"hello"));
/// assert!(decoder.decode(&mut input)?.is_none());
/// let mut more = &b"rld"[..];
/// assert!(decoder.decode(&mut more)?.is_some_and(|frame| frame == b"world"));
/// # Ok::<(), antiphon_stun::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    framing: Framing,
    limit: usize,
    /// The beginning of a frame, or the whole one that was given last.
    buffer: Vec<u8>,
}

impl FrameDecoder {
    /// A decoder at the start of a stream; `limit` is how many bytes a frame may have, its length prefix and padding not
    /// counted.
    pub fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, buffer: Vec::new() }
    }

    /// Takes bytes from the front of `input` up to the end of the next frame and gives that: a STUN message, ChannelData with
    /// its header and without padding, or what stood behind a length. `None` where `input` was used up before.
    ///
    /// Empty frames, which keep a connection alive (RFC 4571 §2), are passed over.
    ///
    /// # Errors
    /// [`FrameError`] where the stream can't be read on; the same error is given from then on.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<&mut [u8]>, FrameError> {
        if self.extent()?.is_some_and(|extent| self.buffer.len() >= extent.total()) {
            self.buffer.clear();
        }
        loop {
            let Some(extent) = self.extent()? else {
                // Byte for byte up to the length, so that nothing of the next frame is taken.
                let Some((byte, rest)) = input.split_first() else { return Ok(None) };
                self.buffer.push(*byte);
                *input = rest;
                continue;
            };
            let missing = extent.total().saturating_sub(self.buffer.len());
            let Some((taken, rest)) = input.split_at_checked(missing) else {
                self.buffer.extend_from_slice(std::mem::take(input));
                self.extent()?;
                return Ok(None);
            };
            self.buffer.extend_from_slice(taken);
            *input = rest;
            self.extent()?;
            if extent.frame > 0 {
                return Ok(self.buffer.get_mut(extent.header..extent.header + extent.frame));
            }
            self.buffer.clear();
        }
    }

    fn extent(&self) -> Result<Option<Extent>, FrameError> {
        match self.framing.measure(&self.buffer)? {
            Some(extent) if extent.frame > self.limit => Err(FrameError::TooLong),
            extent => Ok(extent),
        }
    }
}
