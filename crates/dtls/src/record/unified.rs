//! Records of DTLS 1.3 (RFC 9147 §4).
//!
//! ```text
//!  0 0 1 C S L E E | connection id, if C | number (1, or 2 if S) | length (2), if L | ciphertext | tag (16)
//!                                                                   ciphertext of: content | type (1) | zeros
//! ```

use antiphon_crypto::{
    AeadAlgorithm, KeyLengthError, MASK_SAMPLE_LEN, MaskKey, NONCE_LEN, OpeningKey, Provider, SealingKey,
    TAG_LEN,
};
use antiphon_util::{Reader, ReplayWindow};

use super::{ContentType, MAX_PLAINTEXT, OpenError, Opened, RecordNumber};
use crate::SealError;

const FIXED_BITS: u8 = 0b0010_0000;
const CONNECTION_ID: u8 = 0b0001_0000;
const LONG_NUMBER: u8 = 0b0000_1000;
const LENGTH: u8 = 0b0000_0100;
const EPOCH: u8 = 0b0000_0011;

/// A header as received; the number is still hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnifiedHeader {
    flags: u8,
    /// Where the number stands, how long it is, and how long the header is in all.
    number_at: usize,
    number_len: usize,
    len: usize,
}

impl UnifiedHeader {
    /// Whether a record that begins with `first` has this kind of header.
    pub(crate) fn is_first(first: u8) -> bool {
        first & 0b1110_0000 == FIXED_BITS
    }

    /// Reads a header; gives the length of the whole record besides.
    pub(crate) fn parse(datagram: &[u8], cid_len: usize) -> Option<(Self, usize)> {
        let mut reader = Reader::new(datagram);
        let flags = reader.u8().ok()?;
        if flags & CONNECTION_ID != 0 {
            if cid_len == 0 {
                return None;
            }
            reader.bytes(cid_len).ok()?;
        }
        let number_at = datagram.len() - reader.remaining();
        let number_len = if flags & LONG_NUMBER == 0 { 1 } else { 2 };
        reader.bytes(number_len).ok()?;
        let body = if flags & LENGTH == 0 { reader.remaining() } else { reader.vec16().ok()?.remaining() };
        let len = number_at + number_len + if flags & LENGTH == 0 { 0 } else { 2 };
        // RFC 9147 §4.2.3: what is too short to hide its number is no record.
        if !(MASK_SAMPLE_LEN..=MAX_PLAINTEXT + 256).contains(&body) {
            return None;
        }
        Some((Self { flags, number_at, number_len, len }, len + body))
    }

    /// Whether `epoch` ends in the two bits that the header has of it.
    pub(crate) fn suits(self, epoch: u64) -> bool {
        epoch & u64::from(EPOCH) == u64::from(self.flags & EPOCH)
    }

    /// Whether it names the connection by its id.
    pub(crate) fn connection_id<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        if self.flags & CONNECTION_ID == 0 { None } else { record.get(1..self.number_at) }
    }
}

/// Keys of one direction and epoch.
pub(crate) struct Protection<'a> {
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) key: &'a [u8],
    pub(crate) iv: [u8; NONCE_LEN],
    pub(crate) number_key: &'a [u8],
}

/// Records that may be sealed under one key: for AES-GCM what RFC 8446 §5.5 allows, for the others what the number space
/// has (RFC 9147 §4.5.3).
pub(crate) fn confidentiality_limit(algorithm: AeadAlgorithm) -> u64 {
    match algorithm {
        AeadAlgorithm::Aes128Gcm | AeadAlgorithm::Aes256Gcm => 1 << 24,
        AeadAlgorithm::ChaCha20Poly1305 => 1 << 48,
    }
}

/// Seals the records of one epoch.
#[derive(Debug)]
pub(crate) struct Sealer {
    epoch: u64,
    key: SealingKey,
    number_key: MaskKey,
    /// The id that the peer wants in what it receives; may be empty.
    connection_id: Box<[u8]>,
    /// From this number on new keys are due.
    renewal: u64,
}

impl Sealer {
    pub(crate) fn new(
        provider: Provider,
        epoch: u64,
        protection: &Protection<'_>,
        records: u64,
        connection_id: &[u8],
    ) -> Result<Self, KeyLengthError> {
        let records = records.min(confidentiality_limit(protection.algorithm));
        Ok(Self {
            epoch,
            key: provider.sealing_key(protection.algorithm, protection.key, protection.iv, 0..records)?,
            number_key: provider.mask_key(protection.algorithm, protection.number_key)?,
            connection_id: connection_id.into(),
            renewal: records / 2,
        })
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Puts another id into what is sealed from now on.
    pub(crate) fn set_connection_id(&mut self, id: &[u8]) {
        self.connection_id = id.into();
    }

    /// Whether half of what the key may seal has been sealed.
    pub(crate) fn is_renewal_due(&self) -> bool {
        self.key.next_number().is_ok_and(|number| number >= self.renewal)
    }

    pub(crate) fn headroom(&self) -> usize {
        5 + self.connection_id.len()
    }

    pub(crate) fn overhead(&self) -> usize {
        self.headroom() + 1 + TAG_LEN
    }

    pub(crate) fn seal(
        &mut self,
        content_type: ContentType,
        buf: &mut Vec<u8>,
        start: usize,
    ) -> Result<RecordNumber, SealError> {
        let headroom = self.headroom();
        let content_len = buf
            .len()
            .checked_sub(start)
            .and_then(|len| len.checked_sub(headroom))
            .ok_or(SealError::Length)?;
        if content_len > MAX_PLAINTEXT {
            return Err(SealError::Length);
        }
        let sequence = self.key.next_number().map_err(|_| SealError::Exhausted)?;
        buf.push(content_type as u8);
        let record = buf.get_mut(start..).unwrap_or_default();
        let (front, inner) = record.split_at_mut_checked(headroom).ok_or(SealError::Length)?;
        self.write_header(sequence, inner.len() + TAG_LEN, front);
        let tag = self.key.seal_in_place(front, inner).map_err(|_| SealError::Exhausted)?;
        buf.extend_from_slice(&tag);
        let record = buf.get_mut(start..).unwrap_or_default();
        hide_number(&self.number_key, record, 1 + self.connection_id.len(), 2, headroom);
        Ok(RecordNumber { epoch: self.epoch, sequence })
    }

    fn write_header(&self, sequence: u64, body_len: usize, front: &mut [u8]) {
        let id = if self.connection_id.is_empty() { 0 } else { CONNECTION_ID };
        let flags = FIXED_BITS | id | LONG_NUMBER | LENGTH | (self.epoch as u8 & EPOCH);
        let [a, b] = (sequence as u16).to_be_bytes();
        let [l, m] = (body_len as u16).to_be_bytes();
        let Some((first, rest)) = front.split_first_mut() else { return };
        let Some((id, rest)) = rest.split_at_mut_checked(self.connection_id.len()) else { return };
        let Some(number_and_length) = rest.first_chunk_mut() else { return };
        *first = flags;
        id.copy_from_slice(&self.connection_id);
        *number_and_length = [a, b, l, m];
    }
}

/// Hides or shows the number that stands at `at` (RFC 9147 §4.2.3).
fn hide_number(key: &MaskKey, record: &mut [u8], at: usize, number_len: usize, header_len: usize) {
    let sample = record.get(header_len..).and_then(|body| body.first_chunk::<MASK_SAMPLE_LEN>());
    let Some(mask) = sample.map(|sample| key.mask(sample)) else { return };
    record.iter_mut().skip(at).take(number_len).zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

/// Opens the records of one epoch, each once.
#[derive(Debug)]
pub(crate) struct Opener {
    epoch: u64,
    key: OpeningKey,
    number_key: MaskKey,
    window: ReplayWindow,
    forged: u64,
}

impl Opener {
    pub(crate) fn new(
        provider: Provider,
        epoch: u64,
        protection: &Protection<'_>,
    ) -> Result<Self, KeyLengthError> {
        Ok(Self {
            epoch,
            key: provider.opening_key(protection.algorithm, protection.key, protection.iv)?,
            number_key: provider.mask_key(protection.algorithm, protection.number_key)?,
            window: ReplayWindow::new(),
            forged: 0,
        })
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn has_opened(&self) -> bool {
        self.window.next() > 0
    }

    pub(crate) fn forged(&self) -> u64 {
        self.forged
    }

    pub(crate) fn open<'a>(
        &mut self,
        header: UnifiedHeader,
        record: &'a mut [u8],
    ) -> Result<Opened<'a>, OpenError> {
        hide_number(&self.number_key, record, header.number_at, header.number_len, header.len);
        let (front, body) = record.split_at_mut_checked(header.len).ok_or(OpenError::Forged)?;
        let digits = front.iter().skip(header.number_at).take(header.number_len);
        let low = digits.fold(0, |low, byte| low << 8 | u64::from(*byte));
        let sequence = expand_number(low, 8 * header.number_len as u32, self.window.next());
        if !self.window.is_fresh(sequence) {
            return Err(OpenError::Replayed);
        }
        let Some(inner) = self.key.open_in_place(sequence, front, body) else {
            self.forged = self.forged.saturating_add(1);
            return Err(OpenError::Forged);
        };
        self.window.record(sequence);
        let (content_type, plaintext) = super::typed(inner)?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(OpenError::Overflow);
        }
        Ok(Opened { content_type, number: RecordNumber { epoch: self.epoch, sequence }, plaintext })
    }
}

/// The number that ends in the `bits` bits `low` and is closest to `expected` (RFC 9147 §4.2.2).
fn expand_number(low: u64, bits: u32, expected: u64) -> u64 {
    let window = 1u64 << bits;
    let candidate = (expected & !(window - 1)) | low;
    if candidate + window / 2 < expected {
        candidate + window
    } else if candidate > expected + window / 2 && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Header, split};
    use super::*;

    const ALGORITHMS: [AeadAlgorithm; 3] =
        [AeadAlgorithm::Aes128Gcm, AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305];

    fn protection<R>(algorithm: AeadAlgorithm, with: impl FnOnce(&Protection<'_>) -> R) -> R {
        let (key, number_key) = (vec![1; algorithm.key_len()], vec![3; algorithm.key_len()]);
        with(&Protection { algorithm, key: &key, iv: [2; NONCE_LEN], number_key: &number_key })
    }

    fn pair(algorithm: AeadAlgorithm, records: u64, cid: &[u8]) -> (Sealer, Opener) {
        protection(algorithm, |protection| {
            let provider = Provider::default();
            (
                Sealer::new(provider, 3, protection, records, cid).unwrap(),
                Opener::new(provider, 3, protection).unwrap(),
            )
        })
    }

    fn seal(sealer: &mut Sealer, plaintext: &[u8]) -> Vec<u8> {
        let mut buf = vec![0; sealer.headroom()];
        buf.extend_from_slice(plaintext);
        sealer.seal(ContentType::ApplicationData, &mut buf, 0).unwrap();
        assert_eq!(buf.len(), plaintext.len() + sealer.overhead());
        buf
    }

    fn open(opener: &mut Opener, cid_len: usize, record: &[u8]) -> Option<Result<Vec<u8>, OpenError>> {
        let mut record = record.to_vec();
        let (Header::Unified(header), record, _) = split(&mut record, cid_len)? else { return None };
        Some(opener.open(header, record).map(|opened| opened.plaintext.to_vec()))
    }

    #[test]
    fn a_record_opens_once_with_and_without_an_id() {
        for algorithm in ALGORITHMS {
            for cid in [&[][..], &[9; 7]] {
                let (mut sealer, mut opener) = pair(algorithm, u64::MAX, cid);
                for _ in 0..3 {
                    let record = seal(&mut sealer, b"hello");
                    assert_eq!(open(&mut opener, cid.len(), &record), Some(Ok(b"hello".to_vec())));
                    assert_eq!(open(&mut opener, cid.len(), &record), Some(Err(OpenError::Replayed)));
                }
            }
        }
    }

    #[test]
    fn a_changed_record_does_not_open_and_moves_no_window() {
        for algorithm in ALGORITHMS {
            let (mut sealer, mut opener) = pair(algorithm, u64::MAX, &[]);
            let record = seal(&mut sealer, b"hello");
            for bit in 0..record.len() * 8 {
                let mut changed = record.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let opened = open(&mut opener, 0, &changed);
                assert!(matches!(opened, None | Some(Err(OpenError::Forged))), "{bit} {opened:?}");
            }
            assert!(opener.forged() > 100);
            assert_eq!(open(&mut opener, 0, &record), Some(Ok(b"hello".to_vec())));
        }
    }

    #[test]
    fn every_form_of_the_header_is_read() {
        for flags in [0, LONG_NUMBER, LENGTH, LONG_NUMBER | LENGTH] {
            for cid in [&[][..], &[7; 3]] {
                let (_, mut opener) = pair(AeadAlgorithm::Aes128Gcm, u64::MAX, &[]);
                let id = if cid.is_empty() { 0 } else { CONNECTION_ID };
                let mut record = vec![FIXED_BITS | flags | id | 3];
                record.extend_from_slice(cid);
                let number_at = record.len();
                record.extend_from_slice(if flags & LONG_NUMBER == 0 { &[5] } else { &[0, 5] });
                let mut body = b"some text".to_vec();
                // Type and padding.
                body.extend([23, 0, 0, 0]);
                if flags & LENGTH != 0 {
                    record.extend((body.len() as u16 + 16).to_be_bytes());
                }
                let header_len = record.len();
                let mut key = Provider::default()
                    .sealing_key(AeadAlgorithm::Aes128Gcm, &[1; 16], [2; NONCE_LEN], 5..6)
                    .unwrap();
                let tag = key.seal_in_place(&record, &mut body).unwrap();
                record.extend(body);
                record.extend(tag);
                let number_len = if flags & LONG_NUMBER == 0 { 1 } else { 2 };
                hide_number(&opener.number_key, &mut record, number_at, number_len, header_len);
                assert_eq!(open(&mut opener, cid.len(), &record), Some(Ok(b"some text".to_vec())), "{flags}");
                for len in 0..record.len() {
                    let opened = open(&mut opener, cid.len(), &record[..len]);
                    assert!(!matches!(opened, Some(Ok(_))), "{len}");
                }
            }
        }
    }

    #[test]
    fn an_id_where_none_was_agreed_is_no_record() {
        let (mut sealer, mut opener) = pair(AeadAlgorithm::Aes128Gcm, u64::MAX, &[1, 2]);
        let record = seal(&mut sealer, b"hello");
        assert_eq!(open(&mut opener, 0, &record), None);
    }

    #[test]
    fn numbers_are_told_from_their_last_bits() {
        for (low, bits, expected, number) in [
            (5, 8, 0, 5),
            (255, 8, 0, 255),
            (0, 8, 255, 256),
            (255, 8, 256, 255),
            (0x10, 8, 0x1f0, 0x210),
            (0xf0, 8, 0x210, 0x1f0),
            (0, 16, 65_535, 65_536),
            (65_535, 16, 65_540, 65_535),
            (1, 16, (1 << 48) - 1, (1 << 48) + 1),
        ] {
            assert_eq!(expand_number(low, bits, expected), number, "{low} {bits} {expected}");
        }
    }

    #[test]
    fn a_key_seals_up_to_its_limit_and_nothing_after_it() {
        assert_eq!(confidentiality_limit(AeadAlgorithm::Aes128Gcm), 1 << 24);
        let (mut sealer, _) = pair(AeadAlgorithm::Aes128Gcm, 6, &[]);
        for number in 0..6 {
            assert_eq!(sealer.is_renewal_due(), number >= 3);
            seal(&mut sealer, b"hello");
        }
        for _ in 0..60 {
            let mut buf = vec![0; sealer.headroom() + 4];
            assert_eq!(sealer.seal(ContentType::ApplicationData, &mut buf, 0), Err(SealError::Exhausted));
            assert!(buf.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_record_of_zeros_has_no_content() {
        let (_, mut opener) = pair(AeadAlgorithm::Aes128Gcm, u64::MAX, &[]);
        let mut record = vec![FIXED_BITS | LONG_NUMBER | 3, 0, 0];
        let mut body = [0; 20];
        let mut key = Provider::default()
            .sealing_key(AeadAlgorithm::Aes128Gcm, &[1; 16], [2; NONCE_LEN], 0..1)
            .unwrap();
        let tag = key.seal_in_place(&record, &mut body).unwrap();
        record.extend(body);
        record.extend(tag);
        hide_number(&opener.number_key, &mut record, 1, 2, 3);
        assert_eq!(open(&mut opener, 0, &record), Some(Err(OpenError::NoContent)));
    }
}
