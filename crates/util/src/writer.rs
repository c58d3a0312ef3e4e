//! Big-endian writing at the end of a buffer.

/// Appends big-endian values to a buffer that the caller owns, so that a packet is built where it is sent from.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Appends one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Appends two bytes.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends the low three bytes of `value`.
    #[inline]
    pub fn u24(&mut self, value: u32) {
        let [_, a, b, c] = value.to_be_bytes();
        self.out.extend_from_slice(&[a, b, c]);
    }

    /// Appends four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends the low six bytes of `value`.
    #[inline]
    pub fn u48(&mut self, value: u64) {
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        self.out.extend_from_slice(&[a, b, c, d, e, f]);
    }

    /// Appends eight bytes.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    /// Appends `bytes`.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends `len` zero bytes.
    #[inline]
    pub fn zeros(&mut self, len: usize) {
        self.out.resize(self.out.len() + len, 0);
    }

    /// Pads with zero bytes until what this writer wrote is a multiple of `to` bytes long.
    #[inline]
    pub fn pad(&mut self, to: usize) {
        let over = self.len() % to.max(1);
        if over != 0 {
            self.zeros(to - over);
        }
    }

    /// Writes a vector with its length in one byte in front; `body` must write at most 255 bytes.
    pub fn vec8(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        self.prefixed::<1>(body);
    }

    /// Writes a vector with its length in two bytes in front; `body` must write at most 65,535 bytes.
    pub fn vec16(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        self.prefixed::<2>(body);
    }

    /// Writes a vector with its length in three bytes in front; `body` must write less than 16 MiB.
    pub fn vec24(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        self.prefixed::<3>(body);
    }

    /// A writer that starts where this one stands, for a part that patches its own beginning.
    pub fn nested(&mut self) -> Writer<'_> {
        Writer::new(self.out)
    }

    /// Bytes written through this writer.
    #[inline]
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Whether nothing has been written through this writer.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has been written through this writer, to be read or patched in place.
    #[inline]
    pub fn written(&mut self) -> &mut [u8] {
        self.out.get_mut(self.start..).unwrap_or_default()
    }

    fn prefixed<const N: usize>(&mut self, body: impl FnOnce(&mut Writer<'_>)) {
        let at = self.out.len();
        self.zeros(N);
        let mut inner = Writer::new(self.out);
        body(&mut inner);
        let len = inner.len() as u64;
        debug_assert!(len >> (8 * N) == 0, "vector of {len} bytes does not fit its {N} byte length");
        if let Some(prefix) = self.out.get_mut(at..at + N) {
            prefix.copy_from_slice(len.to_be_bytes().get(8 - N..).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_behind_what_is_there() {
        let mut out = vec![9];
        let mut writer = Writer::new(&mut out);
        writer.u8(1);
        writer.u16(0x0203);
        writer.u24(0x04_0506);
        writer.vec16(|w| w.vec8(|w| w.bytes(&[7, 8])));
        writer.pad(4);
        assert_eq!(writer.len(), 12);
        assert_eq!(out, [9, 1, 2, 3, 4, 5, 6, 0, 3, 2, 7, 8, 0]);
    }

    #[test]
    fn a_nested_writer_sees_its_own_part_alone() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.u8(1);
        let mut nested = writer.nested();
        nested.u16(0);
        nested.written().fill(7);
        assert_eq!((nested.len(), writer.len()), (2, 3));
        assert_eq!(out, [1, 7, 7]);
    }

    #[test]
    fn padding_of_an_even_length_adds_nothing() {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.pad(4);
        writer.u32(1);
        writer.pad(4);
        writer.u48(0x0102_0304_0506);
        writer.u64(1);
        assert_eq!(writer.len(), 18);
        if let Some(first) = writer.written().first_mut() {
            *first = 7;
        }
        assert_eq!(out.first(), Some(&7));
    }
}
