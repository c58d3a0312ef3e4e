//! What repairs loss: RTX, RED, ULP FEC and flexible FEC.

use std::fmt;

use crate::attribute::payload_type;
use crate::parameters::parameters;
use crate::words::BLANKS;
use crate::{InvalidParameterError, Parameters};

parameters! {
    /// The parameters of retransmission (RFC 4588 §8.1).
    RtxParameters {
        /// The payload type of what is sent again. There has to be one.
        apt: u8 = "apt",
        /// How long the sender keeps packets, in milliseconds.
        rtx_time: u32 = "rtx-time",
    }
}

parameters! {
    /// The parameters of ULP FEC (RFC 5109 §13).
    UlpFecParameters {
        /// Whether there is protection of one level only; not where it is absent.
        one_level_protection: bool = "onelevelprot",
    }
}

parameters! {
    /// The parameters of flexible FEC (RFC 8627 §5.1).
    FlexFecParameters {
        /// From the first packet that is protected to the last repair packet of it, in microseconds.
        repair_window: u64 = "repair-window",
        /// Columns of the block of packets.
        columns: u32 = "L",
        /// Rows of the block of packets.
        rows: u32 = "D",
        /// What is protected: 0 columns, 1 rows, 2 both, 3 packets sent again.
        protection: u8 = "ToP",
    }
}

/// The parameters of redundant data (RFC 2198 §5): `111/111`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedParameters {
    /// The payload types of the primary and of the redundant data, by age; none where the section does not tell.
    pub payload_types: Vec<u8>,
}

impl TryFrom<&Parameters> for RedParameters {
    type Error = InvalidParameterError;

    fn try_from(parameters: &Parameters) -> Result<Self, InvalidParameterError> {
        let text = parameters.as_str().trim_matches(BLANKS);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let payload_types = text.split('/').map(payload_type).collect::<Option<_>>();
        Ok(Self { payload_types: payload_types.ok_or(InvalidParameterError { name: "red" })? })
    }
}

impl fmt::Display for RedParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for payload_type in &self.payload_types {
            write!(f, "{separator}{payload_type}")?;
            separator = "/";
        }
        Ok(())
    }
}

impl From<RedParameters> for Parameters {
    fn from(red: RedParameters) -> Self {
        Self::new(red.to_string())
    }
}
