//! Records of DTLS 1.2 (RFC 6347 §4.1), which those without protection have in 1.3 too, and their protection under AEAD
//! suites (RFC 5246 §6.2.3.3).
//!
//! ```text
//!  type (1) | version (2) | epoch (2) | sequence number (6) | length (2) | fragment
//!                                     fragment under GCM: explicit nonce (8) | ciphertext | tag (16)
//!                                     under ChaCha20-Poly1305: ciphertext | tag (16)
//! ```
//!
//! Where the receiver wants its connection id in there (RFC 9146 §4), the id stands in front of the length, the type is 25, and the
//! ciphertext is that of: content | type (1) | zeros.

use antiphon_crypto::{AeadAlgorithm, KeyLengthError, NONCE_LEN, OpeningKey, Provider, SealingKey, TAG_LEN};
use antiphon_util::{Reader, ReplayWindow};

use super::{ContentType, MAX_PLAINTEXT, OpenError, Opened, RecordNumber};
use crate::SealError;
use crate::registry::DTLS_1_2;

/// Length of a record's header.
pub(crate) const HEADER_LEN: usize = 13;

const EXPLICIT_NONCE_LEN: usize = 8;

/// Where a connection id stands: behind type, version and number.
const ID_AT: usize = 11;

/// Bytes that the longest protection adds to a plaintext, header included.
pub(super) const MAX_OVERHEAD: usize = HEADER_LEN + EXPLICIT_NONCE_LEN + TAG_LEN;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) content_type: ContentType,
    /// Epoch in the upper 16 bits, sequence number in the lower 48.
    pub(crate) number: u64,
    /// Bytes of the connection id.
    id_len: usize,
}

impl RecordHeader {
    pub(crate) fn epoch(self) -> u16 {
        (self.number >> 48) as u16
    }

    pub(crate) fn record_number(self) -> RecordNumber {
        record_number(self.number)
    }

    /// Bytes in front of the fragment.
    fn len(self) -> usize {
        HEADER_LEN + self.id_len
    }

    /// The id by which it names the connection, if it does.
    pub(crate) fn connection_id<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        if self.id_len == 0 { None } else { record.get(ID_AT..ID_AT + self.id_len) }
    }

    /// Reads a header; gives the length of the whole record besides. Ids have `cid_len` bytes.
    pub(super) fn parse(datagram: &[u8], cid_len: usize) -> Option<(Self, usize)> {
        let mut reader = Reader::new(datagram);
        let content_type = ContentType::of_code(reader.u8().ok()?)?;
        // The version of a first hello may be any of DTLS (RFC 6347 §4.2.1); later ones say 1.2.
        let version = reader.u16().ok()?;
        let number = reader.u64().ok()?;
        let id_len = match content_type {
            ContentType::WithConnectionId if cid_len == 0 => return None,
            ContentType::WithConnectionId => cid_len,
            _ => 0,
        };
        reader.bytes(id_len).ok()?;
        let len = reader.vec16().ok()?.remaining();
        // A record with an id may have padding besides.
        let more = if id_len == 0 { EXPLICIT_NONCE_LEN + TAG_LEN } else { 256 };
        if version >> 8 != 0xfe || len > MAX_PLAINTEXT + more {
            return None;
        }
        let header = Self { content_type, number, id_len };
        Some((header, header.len() + len))
    }
}

fn record_number(number: u64) -> RecordNumber {
    RecordNumber { epoch: number >> 48, sequence: number & ((1 << 48) - 1) }
}

/// Writes a header in front of a fragment of `len` bytes.
pub(crate) fn header(content_type: ContentType, version: u16, number: u64, len: usize) -> [u8; HEADER_LEN] {
    let [v, w] = version.to_be_bytes();
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let [l, m] = (len as u16).to_be_bytes();
    [content_type as u8, v, w, a, b, c, d, e, f, g, h, l, m]
}

/// What the tag covers besides the ciphertext (RFC 5246 §6.2.3.3); `len` is that of the plaintext.
fn additional_data(content_type: ContentType, number: u64, len: usize) -> [u8; 13] {
    let [v, w] = DTLS_1_2.to_be_bytes();
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    let [l, m] = (len as u16).to_be_bytes();
    [a, b, c, d, e, f, g, h, content_type as u8, v, w, l, m]
}

/// The same for a record with a connection id (RFC 9146 §5.3); `len` counts content, type and padding.
fn additional_data_with_id(number: u64, id: &[u8], len: usize) -> ([u8; 23 + 255], usize) {
    const CODE: u8 = ContentType::WithConnectionId as u8;
    let front = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, CODE, id.len() as u8, CODE];
    let mut data = [0; 23 + 255];
    let parts = front.into_iter().chain(DTLS_1_2.to_be_bytes()).chain(number.to_be_bytes());
    let parts = parts.chain(id.iter().copied()).chain((len as u16).to_be_bytes());
    data.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    (data, 23 + id.len())
}

/// Key and fixed part of the nonce of one direction.
pub(crate) struct Protection<'a> {
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) key: &'a [u8],
    /// 4 bytes under GCM, 12 under ChaCha20-Poly1305.
    pub(crate) iv: &'a [u8],
    /// What the receiver wants in the records; may be empty.
    pub(crate) connection_id: &'a [u8],
}

impl Protection<'_> {
    /// Length of the fixed part of the nonce.
    pub(crate) fn iv_len(algorithm: AeadAlgorithm) -> usize {
        NONCE_LEN - explicit_nonce_len(algorithm)
    }

    fn base(&self) -> [u8; NONCE_LEN] {
        let mut base = [0; NONCE_LEN];
        base.iter_mut().zip(self.iv).for_each(|(to, from)| *to = *from);
        base
    }
}

/// GCM suites carry 8 bytes of the nonce in the record (RFC 5288 §3), ChaCha20 suites none (RFC 7905 §2).
fn explicit_nonce_len(algorithm: AeadAlgorithm) -> usize {
    match algorithm {
        AeadAlgorithm::Aes128Gcm | AeadAlgorithm::Aes256Gcm => EXPLICIT_NONCE_LEN,
        AeadAlgorithm::ChaCha20Poly1305 => 0,
    }
}

/// Seals the records of one epoch.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: SealingKey,
    explicit_nonce_len: usize,
    /// The id that the peer wants in what it receives; may be empty.
    connection_id: Box<[u8]>,
}

impl Sealer {
    pub(crate) fn new(
        provider: Provider,
        epoch: u16,
        protection: &Protection<'_>,
    ) -> Result<Self, KeyLengthError> {
        let first = u64::from(epoch) << 48;
        let numbers = first..first + (1 << 48);
        Ok(Self {
            key: provider.sealing_key(protection.algorithm, protection.key, protection.base(), numbers)?,
            explicit_nonce_len: explicit_nonce_len(protection.algorithm),
            connection_id: protection.connection_id.into(),
        })
    }

    /// Bytes in front of the plaintext.
    pub(crate) fn headroom(&self) -> usize {
        HEADER_LEN + self.connection_id.len() + self.explicit_nonce_len
    }

    /// Bytes around the plaintext.
    pub(crate) fn overhead(&self) -> usize {
        self.headroom() + usize::from(!self.connection_id.is_empty()) + TAG_LEN
    }

    /// Makes a record of `buf[start..]`, which holds [`Sealer::headroom`] bytes and the plaintext.
    pub(crate) fn seal(
        &mut self,
        content_type: ContentType,
        buf: &mut Vec<u8>,
        start: usize,
    ) -> Result<RecordNumber, SealError> {
        let headroom = self.headroom();
        let (front, plaintext) = buf
            .get_mut(start..)
            .and_then(|record| record.split_at_mut_checked(headroom))
            .ok_or(SealError::Length)?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::Length);
        }
        let number = self.key.next_number().map_err(|_| SealError::Exhausted)?;
        if !self.connection_id.is_empty() {
            return self.seal_with_id(number, content_type, buf, start);
        }
        let aad = additional_data(content_type, number, plaintext.len());
        let fragment_len = self.explicit_nonce_len + plaintext.len() + TAG_LEN;
        let header = header(content_type, DTLS_1_2, number, fragment_len);
        // Unlike a random one, the record's own number as the explicit nonce cannot repeat.
        let front_bytes = header.into_iter().chain(number.to_be_bytes());
        front.iter_mut().zip(front_bytes).for_each(|(to, from)| *to = from);
        let tag = self.key.seal_in_place(&aad, plaintext).map_err(|_| SealError::Exhausted)?;
        buf.extend_from_slice(&tag);
        Ok(record_number(number))
    }

    fn seal_with_id(
        &mut self,
        number: u64,
        content_type: ContentType,
        buf: &mut Vec<u8>,
        start: usize,
    ) -> Result<RecordNumber, SealError> {
        buf.push(content_type as u8);
        let (front, inner) = buf
            .get_mut(start..)
            .and_then(|record| record.split_at_mut_checked(self.headroom()))
            .ok_or(SealError::Length)?;
        let (aad, aad_len) = additional_data_with_id(number, &self.connection_id, inner.len());
        let fragment_len = self.explicit_nonce_len + inner.len() + TAG_LEN;
        let header = header(ContentType::WithConnectionId, DTLS_1_2, number, fragment_len);
        let (before, len) = header.split_at(ID_AT);
        let bytes = before.iter().chain(&self.connection_id).chain(len).copied();
        front.iter_mut().zip(bytes.chain(number.to_be_bytes())).for_each(|(to, from)| *to = from);
        let aad = aad.get(..aad_len).unwrap_or_default();
        let tag = self.key.seal_in_place(aad, inner).map_err(|_| SealError::Exhausted)?;
        buf.extend_from_slice(&tag);
        Ok(record_number(number))
    }
}

/// Opens the records of one epoch, each once.
#[derive(Debug)]
pub(crate) struct Opener {
    key: OpeningKey,
    explicit_nonce_len: usize,
    /// Bytes of the connection id that every record has; 0 where none was agreed.
    id_len: usize,
    window: ReplayWindow,
    forged: u64,
}

impl Opener {
    pub(crate) fn new(provider: Provider, protection: &Protection<'_>) -> Result<Self, KeyLengthError> {
        Ok(Self {
            key: provider.opening_key(protection.algorithm, protection.key, protection.base())?,
            explicit_nonce_len: explicit_nonce_len(protection.algorithm),
            id_len: protection.connection_id.len(),
            window: ReplayWindow::new(),
            forged: 0,
        })
    }

    /// Whether a record with this header may be one of these: RFC 9146 §3 has all of them with an id, or none.
    pub(crate) fn suits(&self, header: RecordHeader) -> bool {
        header.epoch() == 1 && header.id_len == self.id_len
    }

    pub(crate) fn open<'a>(
        &mut self,
        header: RecordHeader,
        record: &'a mut [u8],
    ) -> Result<Opened<'a>, OpenError> {
        if !self.window.is_fresh(header.number) {
            return Err(OpenError::Replayed);
        }
        let Some(plaintext) = self.decrypt(header, record) else {
            self.forged = self.forged.saturating_add(1);
            return Err(OpenError::Forged);
        };
        self.window.record(header.number);
        let (content_type, plaintext) = match header.content_type {
            ContentType::WithConnectionId => super::typed(plaintext)?,
            content_type => (content_type, plaintext),
        };
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(OpenError::Overflow);
        }
        Ok(Opened { content_type, number: header.record_number(), plaintext })
    }

    pub(crate) fn has_opened(&self) -> bool {
        self.window.next() > 0
    }

    /// Records that failed to open.
    pub(crate) fn forged(&self) -> u64 {
        self.forged
    }

    fn decrypt<'a>(&self, header: RecordHeader, record: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (front, fragment) = record.split_at_mut_checked(header.len())?;
        let (explicit, sealed) = fragment.split_at_mut_checked(self.explicit_nonce_len)?;
        // The peer may choose the explicit nonce as it likes (RFC 5288 §3).
        let nonce_number = Reader::new(explicit).u64().unwrap_or(header.number);
        let plaintext_len = sealed.len().checked_sub(TAG_LEN)?;
        if let Some(id) = header.connection_id(front) {
            let (aad, len) = additional_data_with_id(header.number, id, plaintext_len);
            return self.key.open_in_place(nonce_number, aad.get(..len)?, sealed);
        }
        let aad = additional_data(header.content_type, header.number, plaintext_len);
        self.key.open_in_place(nonce_number, &aad, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Header, split};
    use super::*;

    const ALGORITHMS: [AeadAlgorithm; 3] =
        [AeadAlgorithm::Aes128Gcm, AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305];

    fn pair(algorithm: AeadAlgorithm) -> (Sealer, Opener) {
        pair_with_id(algorithm, &[])
    }

    fn pair_with_id(algorithm: AeadAlgorithm, connection_id: &[u8]) -> (Sealer, Opener) {
        let provider = Provider::default();
        let (key, iv) = (vec![1; algorithm.key_len()], vec![2; Protection::iv_len(algorithm)]);
        let protection = Protection { algorithm, key: &key, iv: &iv, connection_id };
        (Sealer::new(provider, 1, &protection).unwrap(), Opener::new(provider, &protection).unwrap())
    }

    fn split_legacy(datagram: &mut [u8]) -> Option<(RecordHeader, &mut [u8], &mut [u8])> {
        match split(datagram, 0)? {
            (Header::Legacy(header), record, rest) => Some((header, record, rest)),
            _ => None,
        }
    }

    fn seal(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
        let mut buf = vec![0; sealer.headroom()];
        buf.extend_from_slice(plaintext);
        sealer.seal(ContentType::ApplicationData, &mut buf, 0).unwrap();
        buf
    }

    #[test]
    fn a_record_opens_once() {
        for algorithm in ALGORITHMS {
            let (mut sealer, mut opener) = pair(algorithm);
            for round in 0..3u64 {
                let record = seal(&mut sealer, b"hello");
                assert_eq!(record.len(), 5 + sealer.overhead());
                let (mut copy, seal_again) = (record.clone(), record);
                let (header, record, rest) = split_legacy(&mut copy).unwrap();
                assert_eq!((header.epoch(), header.number & 0xffff, rest.len()), (1, round, 0));
                assert_eq!(opener.open(header, record).map(|opened| &*opened.plaintext), Ok(&b"hello"[..]));
                let mut copy = seal_again.clone();
                let (header, record, _) = split_legacy(&mut copy).unwrap();
                assert_eq!(opener.open(header, record), Err(OpenError::Replayed));
            }
        }
    }

    #[test]
    fn a_changed_record_does_not_open_and_moves_no_window() {
        for algorithm in ALGORITHMS {
            let (mut sealer, mut opener) = pair(algorithm);
            let record = seal(&mut sealer, b"hello");
            for bit in (0..record.len() * 8).filter(|bit| !(8..24).contains(bit)) {
                let mut copy = record.clone();
                copy[bit / 8] ^= 1 << (bit % 8);
                if let Some((header, fragment, _)) = split_legacy(&mut copy) {
                    assert_eq!(opener.open(header, fragment), Err(OpenError::Forged), "bit {bit}");
                }
            }
            let mut copy = record.clone();
            let (header, fragment, _) = split_legacy(&mut copy).unwrap();
            assert!(opener.open(header, fragment).is_ok());
            assert!(opener.forged() > 100);
        }
    }

    #[test]
    fn the_last_number_of_an_epoch_is_used_and_none_after_it() {
        let end = 2 << 48;
        let key = Provider::default()
            .sealing_key(AeadAlgorithm::Aes128Gcm, &[1; 16], [0; 12], end - 1..end)
            .unwrap();
        let connection_id = Box::default();
        let mut sealer = Sealer { key, explicit_nonce_len: EXPLICIT_NONCE_LEN, connection_id };
        let mut record = seal(&mut sealer, b"last");
        let (header, _, _) = split_legacy(&mut record).unwrap();
        assert_eq!((header.epoch(), header.number), (1, end - 1));
        for _ in 0..10 {
            let mut buf = vec![0; sealer.headroom() + 4];
            assert_eq!(sealer.seal(ContentType::ApplicationData, &mut buf, 0), Err(SealError::Exhausted));
            assert!(buf.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_record_cut_anywhere_is_none() {
        let (mut sealer, _) = pair(AeadAlgorithm::Aes128Gcm);
        let record = seal(&mut sealer, b"hello");
        for len in 0..record.len() {
            assert!(split_legacy(&mut record[..len].to_vec()).is_none());
        }
    }

    #[test]
    fn what_is_too_long_or_lacks_headroom_is_refused() {
        let (mut sealer, _) = pair(AeadAlgorithm::Aes128Gcm);
        let headroom = sealer.headroom();
        let mut seal = |len: usize| sealer.seal(ContentType::ApplicationData, &mut vec![0; len], 0);
        assert_eq!(seal(headroom - 1), Err(SealError::Length));
        assert!(seal(headroom).is_ok());
        assert!(seal(headroom + MAX_PLAINTEXT).is_ok());
        assert_eq!(seal(headroom + MAX_PLAINTEXT + 1), Err(SealError::Length));
        assert_eq!(seal(headroom + 10 * MAX_PLAINTEXT), Err(SealError::Length));
    }

    /// Built byte by byte after the figures of RFC 9146 §4 and §5.3.
    #[test]
    fn a_record_with_an_id_has_the_form_of_the_rfc() {
        let id = [0xa1, 0xa2, 0xa3];
        let (mut sealer, mut opener) = pair_with_id(AeadAlgorithm::Aes128Gcm, &id);
        let record = seal(&mut sealer, b"hello");
        assert_eq!(record.len(), 5 + sealer.overhead());
        let number = [0, 1, 0, 0, 0, 0, 0, 0];
        let front = [&[25, 0xfe, 0xfd][..], &number, &id, &[0, 8 + 5 + 1 + 16], &number].concat();
        assert_eq!(record[..front.len()], front);
        let aad = [&[0xff; 8][..], &[25, 3, 25, 0xfe, 0xfd], &number, &id, &[0, 6]].concat();
        let key = Provider::default().opening_key(AeadAlgorithm::Aes128Gcm, &[1; 16], {
            let mut base = [0; NONCE_LEN];
            base[..4].copy_from_slice(&[2; 4]);
            base
        });
        let mut body = record[front.len()..].to_vec();
        let inner = key.unwrap().open_in_place(1 << 48, &aad, &mut body);
        assert_eq!(inner.as_deref(), Some(&b"hello\x17"[..]));

        let open = |opener: &mut Opener, mut record: Vec<u8>, id_len: usize| {
            let (Header::Legacy(header), record, _) = split(&mut record, id_len)? else { return None };
            assert_eq!(header.connection_id(record), Some(&id[..]));
            assert!(opener.suits(header));
            Some(opener.open(header, record).map(|opened| (opened.content_type, opened.plaintext.to_vec())))
        };
        assert_eq!(open(&mut opener, record.clone(), 0), None, "none was agreed");
        let opened = (ContentType::ApplicationData, b"hello".to_vec());
        assert_eq!(open(&mut opener, record.clone(), 3), Some(Ok(opened)));
        assert_eq!(open(&mut opener, record, 3), Some(Err(OpenError::Replayed)));
    }

    #[test]
    fn a_changed_record_with_an_id_does_not_open() {
        for algorithm in ALGORITHMS {
            let (mut sealer, mut opener) = pair_with_id(algorithm, &[7; 4]);
            let record = seal(&mut sealer, b"hello");
            for bit in (0..record.len() * 8).filter(|bit| !(8..24).contains(bit)) {
                let mut copy = record.clone();
                copy[bit / 8] ^= 1 << (bit % 8);
                if let Some((Header::Legacy(header), fragment, _)) = split(&mut copy, 4)
                    && opener.suits(header)
                {
                    assert_eq!(opener.open(header, fragment), Err(OpenError::Forged), "bit {bit}");
                }
            }
            let (_, plain) = pair(algorithm);
            let mut copy = record.clone();
            let Some((Header::Legacy(header), _, _)) = split(&mut copy, 4) else { panic!() };
            assert!(!plain.suits(header), "with an id, where none was agreed");
        }
    }

    #[test]
    fn padding_behind_the_type_is_taken_off_and_padding_alone_is_nothing() {
        let id = [7; 4];
        for (inner, expected) in [
            (&b"hello\x17\0\0\0"[..], Ok((ContentType::ApplicationData, &b"hello"[..]))),
            (b"\0\0\0\0", Err(OpenError::NoContent)),
            (b"", Err(OpenError::NoContent)),
            (b"hello\x63", Err(OpenError::UnknownContent)),
        ] {
            let (mut sealer, mut opener) = pair_with_id(AeadAlgorithm::ChaCha20Poly1305, &id);
            let mut body = inner.to_vec();
            let number = sealer.key.next_number().unwrap();
            let (aad, len) = additional_data_with_id(number, &id, inner.len());
            let tag = sealer.key.seal_in_place(&aad[..len], &mut body).unwrap();
            let outer = header(ContentType::WithConnectionId, DTLS_1_2, number, inner.len() + TAG_LEN);
            let mut record = [&outer[..ID_AT], &id, &outer[ID_AT..], &body, &tag].concat();
            let Some((Header::Legacy(header), record, _)) = split(&mut record, 4) else { panic!() };
            let opened = opener.open(header, record).map(|opened| (opened.content_type, &*opened.plaintext));
            assert_eq!(opened, expected);
        }
    }
}
