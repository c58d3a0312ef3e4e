//! The records of the peer's handshake that we tell it have arrived (RFC 9147 §7).

use antiphon_util::{ParseError, Reader, Writer};

use crate::record::RecordNumber;

/// Records of the peer's flight that have arrived, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    numbers: Vec<RecordNumber>,
    is_due: bool,
}

impl Acks {
    /// Notes a record, of which every message was taken or had been taken before. Of many the latest `limit` stay.
    pub(crate) fn add(&mut self, number: RecordNumber, limit: usize) {
        if !self.numbers.contains(&number) {
            self.numbers.push(number);
        }
        let surplus = self.numbers.len().saturating_sub(limit);
        self.numbers.drain(..surplus);
    }

    /// Frees the room for numbers that are not there.
    pub(crate) fn shrink(&mut self) {
        self.numbers.shrink_to_fit();
    }

    /// Asks that they be told.
    pub(crate) fn demand(&mut self) {
        self.is_due = true;
    }

    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// What our next flight answers need not be told.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The numbers to tell, in rising order, at most `limit` of them.
    pub(crate) fn take_due(&mut self, limit: usize) -> Vec<RecordNumber> {
        self.is_due = false;
        let surplus = self.numbers.len().saturating_sub(limit);
        let mut numbers: Vec<RecordNumber> = self.numbers.iter().skip(surplus).copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Bytes that an ACK of `room` bytes has for numbers, counted in numbers.
pub(crate) fn capacity(room: usize) -> usize {
    room.saturating_sub(2) / 16
}

pub(crate) fn write(numbers: &[RecordNumber], writer: &mut Writer<'_>) {
    writer.vec16(|w| {
        for number in numbers {
            w.u64(number.epoch);
            w.u64(number.sequence);
        }
    });
}

/// The numbers in an ACK, in rising order.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<RecordNumber>, ParseError> {
    let mut reader = Reader::new(bytes);
    let mut list = reader.vec16()?;
    reader.finish()?;
    let mut numbers = Vec::with_capacity(list.remaining() / 16);
    while !list.is_empty() {
        numbers.push(RecordNumber { epoch: list.u64()?, sequence: list.u64()? });
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(epoch: u64, sequence: u64) -> RecordNumber {
        RecordNumber { epoch, sequence }
    }

    #[test]
    fn survives_a_round_trip_and_no_cut() {
        let numbers = [number(2, 0), number(2, 7), number(3, 1)];
        let mut bytes = Vec::new();
        write(&numbers, &mut Writer::new(&mut bytes));
        assert_eq!(parse(&bytes), Ok(numbers.to_vec()));
        assert!((0..bytes.len()).all(|len| parse(&bytes[..len]).is_err()));
        assert_eq!(parse(&[0, 0]), Ok(vec![]));
        assert_eq!(parse(&[0, 1, 7]), Err(ParseError::Truncated));
        assert!(parse(&[0, 0, 0]).is_err());
    }

    #[test]
    fn the_latest_are_kept_up_to_the_limit_and_ten_times_over() {
        let mut acks = Acks::default();
        for sequence in 0..320 {
            acks.add(number(2, sequence), 32);
            acks.add(number(2, sequence), 32);
            assert_eq!(acks.numbers.len() as u64, 32.min(sequence + 1));
        }
        assert_eq!(acks.take_due(2), [number(2, 318), number(2, 319)]);
        assert_eq!((capacity(0), capacity(17), capacity(18), capacity(50)), (0, 0, 1, 3));
    }
}
