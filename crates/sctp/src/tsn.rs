//! Transmission sequence numbers, extended so that they never wrap.

/// A TSN (RFC 9260 §1.6) extended to 64 bits: the wire has the low 32. It starts a whole circle above zero, so that
/// there is always a number before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tsn(pub(crate) u64);

impl Tsn {
    /// The first TSN of a direction.
    pub(crate) fn initial(wire: u32) -> Self {
        Self((1 << 32) | u64::from(wire))
    }

    /// The TSN with the low bits `wire` that is nearest to `self`.
    pub(crate) fn extend(self, wire: u32) -> Self {
        let distance = wire.wrapping_sub(self.wire()) as i32;
        Self(self.0.wrapping_add_signed(distance.into()))
    }

    /// The low 32 bits, as on the wire.
    pub(crate) fn wire(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn prev(self) -> Self {
        Self(self.0 - 1)
    }

    pub(crate) fn plus(self, by: usize) -> Self {
        Self(self.0 + by as u64)
    }

    /// Steps from `earlier` to `self`, `None` where it comes later.
    pub(crate) fn since(self, earlier: Self) -> Option<usize> {
        self.0.checked_sub(earlier.0).and_then(|steps| usize::try_from(steps).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extends_to_the_nearest_on_either_side_of_the_wrap() {
        let near = Tsn::initial(u32::MAX);
        assert_eq!(near.extend(1), near.plus(2));
        assert_eq!(near.extend(u32::MAX - 5), Tsn(near.0 - 5));
        assert_eq!(near.plus(2).wire(), 1);
        assert_eq!(Tsn::initial(0).extend(u32::MAX), Tsn::initial(0).prev());
        assert_eq!(near.next().since(near), Some(1));
        assert_eq!(near.since(near.next()), None);
    }
}
