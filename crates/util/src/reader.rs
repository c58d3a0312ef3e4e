//! A cursor over received bytes.

/// Why bytes could not be read as what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// The input ends before the value does.
    #[error("input ends early")]
    Truncated,
    /// Bytes are left over behind the value.
    #[error("trailing bytes")]
    Trailing,
    /// A length field contradicts its surroundings.
    #[error("invalid length")]
    Length,
    /// A field has a value that its definition excludes.
    #[error("invalid value")]
    Value,
    /// A count or size is above the limit set for it.
    #[error("limit exceeded")]
    Limit,
}

/// Reads big-endian values from the front of a byte slice; every read consumes or fails.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`.
    #[inline]
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, ParseError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// The next two bytes, big-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, ParseError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// The next three bytes, big-endian.
    #[inline]
    pub fn u24(&mut self) -> Result<u32, ParseError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    /// The next four bytes, big-endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, ParseError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// The next six bytes, big-endian.
    #[inline]
    pub fn u48(&mut self) -> Result<u64, ParseError> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The next eight bytes, big-endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, ParseError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], ParseError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// A reader over the next `len` bytes.
    #[inline]
    pub fn sub(&mut self, len: usize) -> Result<Reader<'a>, ParseError> {
        self.bytes(len).map(Reader::new)
    }

    /// A reader over a vector whose length stands in front of it in one byte.
    pub fn vec8(&mut self) -> Result<Reader<'a>, ParseError> {
        let len = self.u8()?;
        self.sub(len.into())
    }

    /// A reader over a vector whose length stands in front of it in two bytes.
    pub fn vec16(&mut self) -> Result<Reader<'a>, ParseError> {
        let len = self.u16()?;
        self.sub(len.into())
    }

    /// A reader over a vector whose length stands in front of it in three bytes.
    pub fn vec24(&mut self) -> Result<Reader<'a>, ParseError> {
        let len = self.u24()?;
        self.sub(usize::try_from(len).map_err(|_| ParseError::Length)?)
    }

    /// All that is left; the reader is empty afterwards.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// All that is left, without consuming it.
    #[inline]
    pub fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// Number of bytes left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Succeeds where nothing is left.
    ///
    /// # Errors
    /// [`ParseError::Trailing`] where bytes are left.
    pub fn finish(self) -> Result<(), ParseError> {
        if self.is_empty() { Ok(()) } else { Err(ParseError::Trailing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_width_in_order() {
        let bytes: Vec<u8> = (1..=24).collect();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(0x01));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.u24(), Ok(0x04_0506));
        assert_eq!(reader.u32(), Ok(0x0708_090a));
        assert_eq!(reader.u48(), Ok(0x0b0c_0d0e_0f10));
        assert_eq!(reader.u64(), Ok(0x1112_1314_1516_1718));
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn a_failed_read_consumes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(ParseError::Truncated));
        assert_eq!(reader.bytes(4), Err(ParseError::Truncated));
        assert_eq!(reader.u24(), Ok(0x01_0203));
    }

    #[test]
    fn vectors_end_at_their_length() {
        let mut reader = Reader::new(&[2, 7, 8, 0, 1, 9, 0, 0, 1, 5, 4]);
        assert_eq!(reader.vec8().map(|mut r| r.rest()), Ok(&[7, 8][..]));
        assert_eq!(reader.vec16().map(|mut r| r.rest()), Ok(&[9][..]));
        assert_eq!(reader.vec24().map(|mut r| r.rest()), Ok(&[5][..]));
        assert_eq!(reader.finish(), Err(ParseError::Trailing));
        assert!(Reader::new(&[3, 1, 2]).vec8().is_err());
    }
}
