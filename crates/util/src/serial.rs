//! Sequence numbers that wrap around (RFC 1982).

use std::cmp::Ordering;

macro_rules! serial {
    ($name:ident, $int:ty, $signed:ty, $bits:literal) => {
        #[doc = concat!("A ", $bits, "-bit serial number (RFC 1982): ordered by the shorter way round.")]
        ///
        /// It has no `Ord`: the order is not transitive over the whole circle.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub $int);

        impl $name {
            /// The number `by` steps further.
            #[must_use]
            pub fn plus(self, by: $int) -> Self {
                Self(self.0.wrapping_add(by))
            }

            /// The number `by` steps back.
            #[must_use]
            pub fn minus(self, by: $int) -> Self {
                Self(self.0.wrapping_sub(by))
            }

            /// The number one step further.
            #[must_use]
            pub fn next(self) -> Self {
                self.plus(1)
            }

            /// The number one step back.
            #[must_use]
            pub fn prev(self) -> Self {
                self.minus(1)
            }

            /// Steps from `earlier` to `self`, going forward.
            pub fn since(self, earlier: Self) -> $int {
                self.0.wrapping_sub(earlier.0)
            }

            /// How `self` stands to `other` in serial order; numbers half the circle apart count as later.
            pub fn serial_cmp(self, other: Self) -> Ordering {
                match self.since(other) as $signed {
                    0 => Ordering::Equal,
                    <$signed>::MIN | 1.. => Ordering::Greater,
                    _ => Ordering::Less,
                }
            }

            /// Whether `self` comes before `other`.
            pub fn is_before(self, other: Self) -> bool {
                self.serial_cmp(other) == Ordering::Less
            }

            /// Whether `self` comes after `other`.
            pub fn is_after(self, other: Self) -> bool {
                self.serial_cmp(other) == Ordering::Greater
            }

            /// The later of the two.
            #[must_use]
            pub fn later(self, other: Self) -> Self {
                if other.is_after(self) { other } else { self }
            }
        }
    };
}

serial!(Serial16, u16, i16, "16");
serial!(Serial32, u32, i32, "32");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_goes_round_the_circle() {
        assert!(Serial32(u32::MAX).is_before(Serial32(0)));
        assert!(Serial32(5).is_after(Serial32(u32::MAX - 5)));
        assert!(Serial16(0x7fff).is_after(Serial16(0)));
        assert!(Serial16(0x8001).is_before(Serial16(0)));
        assert_eq!(Serial16(3).since(Serial16(0xffff)), 4);
        assert_eq!(Serial32(1).prev().prev(), Serial32(u32::MAX));
        assert_eq!(Serial32(7).later(Serial32(9)), Serial32(9));
    }
}
