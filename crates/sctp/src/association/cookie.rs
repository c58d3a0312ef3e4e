//! The state cookie (RFC 9260 §5.1.3) and what becomes of one that comes back (§5.2.4).

use std::time::Duration;

use antiphon_crypto::HmacKey;
use antiphon_util::{ParseError, Reader, Writer};

use crate::Config;
use crate::packet::{Capabilities, Init};

/// What the peer said about itself in INIT or INIT ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerInit {
    pub(super) tag: u32,
    pub(super) initial_tsn: u32,
    pub(super) window: u32,
    /// Streams that we may send on.
    pub(super) outgoing_streams: u16,
    /// Streams that the peer may send on.
    pub(super) incoming_streams: u16,
    pub(super) capabilities: Capabilities,
}

impl PeerInit {
    pub(super) fn new(init: &Init<'_>, capabilities: Capabilities) -> Self {
        Self {
            tag: init.initiate_tag,
            initial_tsn: init.initial_tsn,
            window: init.a_rwnd,
            outgoing_streams: init.incoming_streams,
            incoming_streams: init.outgoing_streams,
            capabilities,
        }
    }

    /// Whether `init` is of the same attempt.
    pub(super) fn is_of(&self, init: &Init<'_>) -> bool {
        (self.tag, self.initial_tsn) == (init.initiate_tag, init.initial_tsn)
    }

    /// With no more streams than `config` has.
    pub(super) fn limited(self, config: &Config) -> Self {
        Self {
            outgoing_streams: self.outgoing_streams.min(config.outgoing_streams),
            incoming_streams: self.incoming_streams.min(config.incoming_streams),
            ..self
        }
    }
}

/// Tag and first TSN of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalInit {
    pub(super) tag: u32,
    pub(super) initial_tsn: u32,
}

/// The association that a cookie stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cookie {
    /// Time since the association's origin.
    pub(super) created: Duration,
    pub(super) local: LocalInit,
    pub(super) peer: PeerInit,
    /// Tags of the association that existed when it was made; 0 where there was none.
    pub(super) tie_tags: TieTags,
}

/// Local and peer's tie-tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TieTags {
    pub(super) local: u32,
    pub(super) peer: u32,
}

/// Length of the signature: HMAC-SHA-256 cut in half.
const MAC_LEN: usize = 16;

impl Cookie {
    /// Appends the cookie and its signature.
    pub(super) fn write(&self, key: &HmacKey, out: &mut Writer<'_>) {
        out.u64(u64::try_from(self.created.as_micros()).unwrap_or(u64::MAX));
        out.u32(self.local.tag);
        out.u32(self.local.initial_tsn);
        out.u32(self.peer.tag);
        out.u32(self.peer.initial_tsn);
        out.u32(self.peer.window);
        out.u16(self.peer.outgoing_streams);
        out.u16(self.peer.incoming_streams);
        out.u32(self.tie_tags.local);
        out.u32(self.tie_tags.peer);
        out.u8(self.peer.capabilities.to_bits());
        let mac = key.sign(&[out.written()]);
        out.bytes(mac.get(..MAC_LEN).unwrap_or_default());
    }

    /// Reads a cookie that came back; `None` where we did not sign it.
    pub(super) fn verify(key: &HmacKey, bytes: &[u8]) -> Option<Self> {
        let (body, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LEN)?)?;
        if !key.verify(&[body], mac) {
            return None;
        }
        let mut reader = Reader::new(body);
        Self::parse(&mut reader).ok().filter(|_| reader.is_empty())
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let created = Duration::from_micros(reader.u64()?);
        let local = LocalInit { tag: reader.u32()?, initial_tsn: reader.u32()? };
        let (tag, initial_tsn, window) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let (outgoing_streams, incoming_streams) = (reader.u16()?, reader.u16()?);
        let tie_tags = TieTags { local: reader.u32()?, peer: reader.u32()? };
        let capabilities = Capabilities::from_bits(reader.u8()?);
        let peer = PeerInit { tag, initial_tsn, window, outgoing_streams, incoming_streams, capabilities };
        Ok(Self { created, local, peer, tie_tags })
    }
}

/// The association that exists when a cookie comes back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Existing {
    pub(super) local_tag: u32,
    /// `None` while INIT ACK is awaited.
    pub(super) peer_tag: Option<u32>,
    pub(super) tie_tags: TieTags,
}

/// What to do with a valid cookie: the actions of RFC 9260 §5.2.4, table 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CookieAction {
    /// Action A: the peer restarted.
    Restart,
    /// Action B: both started at once, and this cookie tells the peer's tag.
    Establish,
    /// Action C: it is of an earlier attempt of ours.
    DiscardLate,
    /// Action D: it is the association that exists.
    Acknowledge,
    /// Not in the table.
    Discard,
}

/// Decides by the tags alone.
pub(super) fn decide(existing: Existing, cookie: &Cookie) -> CookieAction {
    let local = existing.local_tag == cookie.local.tag;
    let peer = existing.peer_tag.map(|tag| tag == cookie.peer.tag);
    let tied = cookie.tie_tags == existing.tie_tags && cookie.tie_tags != TieTags::default();
    match (local, peer) {
        (true, Some(true)) => CookieAction::Acknowledge,
        (true, Some(false) | None) => CookieAction::Establish,
        (false, Some(true)) if cookie.tie_tags == TieTags::default() => CookieAction::DiscardLate,
        (false, Some(false)) if tied => CookieAction::Restart,
        (false, _) => CookieAction::Discard,
    }
}

#[cfg(test)]
mod tests {
    use antiphon_crypto::{HashAlgorithm, Provider};

    use super::*;

    fn cookie(local_tag: u32, peer_tag: u32, tie_tags: TieTags) -> Cookie {
        let capabilities = Capabilities { forward_tsn: true, interleaving: true, ..Capabilities::default() };
        Cookie {
            created: Duration::from_millis(77),
            local: LocalInit { tag: local_tag, initial_tsn: 8 },
            peer: PeerInit {
                tag: peer_tag,
                initial_tsn: 9,
                window: 10,
                outgoing_streams: 11,
                incoming_streams: 12,
                capabilities,
            },
            tie_tags,
        }
    }

    #[test]
    fn survives_a_round_trip_and_no_flipped_bit() {
        let key = Provider::default().hmac_key(HashAlgorithm::Sha256, b"key");
        let original = cookie(1, 2, TieTags { local: 3, peer: 4 });
        let mut bytes = Vec::new();
        original.write(&key, &mut Writer::new(&mut bytes));
        assert_eq!(Cookie::verify(&key, &bytes), Some(original));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Cookie::verify(&key, &bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..bytes.len() {
            assert_eq!(Cookie::verify(&key, &bytes[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn decides_as_table_12() {
        let ties = TieTags { local: 31, peer: 32 };
        let none = TieTags::default();
        let existing = |peer_tag| Existing { local_tag: 1, peer_tag, tie_tags: ties };
        let rows = [
            (existing(Some(2)), cookie(7, 8, ties), CookieAction::Restart),
            (existing(Some(2)), cookie(7, 8, none), CookieAction::Discard),
            (existing(Some(2)), cookie(1, 8, none), CookieAction::Establish),
            (existing(None), cookie(1, 8, none), CookieAction::Establish),
            (existing(Some(2)), cookie(7, 2, none), CookieAction::DiscardLate),
            (existing(Some(2)), cookie(7, 2, ties), CookieAction::Discard),
            (existing(None), cookie(7, 8, none), CookieAction::Discard),
            (existing(Some(2)), cookie(1, 2, none), CookieAction::Acknowledge),
            (existing(Some(2)), cookie(1, 2, ties), CookieAction::Acknowledge),
        ];
        for (at, (existing, cookie, action)) in rows.into_iter().enumerate() {
            assert_eq!(decide(existing, &cookie), action, "row {at}");
        }
    }
}
