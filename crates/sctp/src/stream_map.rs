//! A map from stream id to what a direction keeps of the stream.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::StreamId;

/// Streams that have been used; ids are 16 bits, so that there are at most 65,536.
pub(crate) type StreamMap<T> = HashMap<StreamId, T, BuildHasherDefault<StreamHasher>>;

/// Spreads a stream id by one multiplication. It maps different ids to different values, so that no choice of ids by
/// a peer makes the map slow.
#[derive(Default)]
pub(crate) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u16((*byte).into()));
    }

    fn write_u16(&mut self, id: u16) {
        self.0 = (self.0 << 16 | u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
