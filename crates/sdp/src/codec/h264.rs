//! H.264.

use std::fmt;

use crate::Text;
use crate::parameters::{ParameterValue, Parameters, parameters};

parameters! {
    /// The parameters of H.264 (RFC 6184 §8.1): what the describing end can decode, but for those of `sprop`.
    H264Parameters {
        /// Profile, constraints and level; `42000a` where it is absent.
        profile_level_id: ProfileLevelId = "profile-level-id",
        /// Whether each end may send at the level of the other; not where it is absent.
        level_asymmetry_allowed: bool = "level-asymmetry-allowed",
        /// How units are put in packets: 0 one each, 1 not interleaved, 2 interleaved; 0 where it is absent.
        packetization_mode: u8 = "packetization-mode",
        /// Macroblocks a second at most, beyond what the level has.
        max_mbps: u32 = "max-mbps",
        /// Static macroblocks a second at most.
        max_smbps: u32 = "max-smbps",
        /// Macroblocks of a frame at most, beyond what the level has.
        max_fs: u32 = "max-fs",
        /// The coded picture buffer, in units of 1,000 or 1,200 bits, beyond what the level has.
        max_cpb: u32 = "max-cpb",
        /// The decoded picture buffer, in units of 8/3 macroblocks, beyond what the level has.
        max_dpb: u32 = "max-dpb",
        /// Bits a second at most, in units of 1,000 or 1,200, beyond what the level has.
        max_br: u32 = "max-br",
        /// Whether redundant pictures are understood.
        redundant_pic_cap: bool = "redundant-pic-cap",
        /// Parameter sets in base64 with commas between.
        sprop_parameter_sets: Text = "sprop-parameter-sets",
        /// Parameter sets by level.
        sprop_level_parameter_sets: Text = "sprop-level-parameter-sets",
        /// Whether the parameter sets of a level are used.
        use_level_src_parameter_sets: bool = "use-level-src-parameter-sets",
        /// Whether parameter sets are taken from the stream.
        in_band_parameter_sets: bool = "in-band-parameter-sets",
        /// The level to be received, in the form of a `profile-level-id` without profile.
        max_recv_level: Text = "max-recv-level",
        /// How deep units are interleaved.
        sprop_interleaving_depth: u16 = "sprop-interleaving-depth",
        /// The buffer that de-interleaving takes, in bytes.
        sprop_deint_buf_req: u32 = "sprop-deint-buf-req",
        /// The buffer for de-interleaving that there is, in bytes.
        deint_buf_cap: u32 = "deint-buf-cap",
        /// How long to buffer before decoding, in ticks of 90 kHz.
        sprop_init_buf_time: u32 = "sprop-init-buf-time",
        /// The greatest difference of decoding order numbers.
        sprop_max_don_diff: u16 = "sprop-max-don-diff",
        /// The largest unit worth sending, in bytes.
        max_rcmd_nalu_size: u32 = "max-rcmd-nalu-size",
        /// How many sample aspect ratios are understood.
        sar_understood: u8 = "sar-understood",
        /// How many sample aspect ratios are shown as they should.
        sar_supported: u8 = "sar-supported",
    }
}

/// The first three bytes of a sequence parameter set, in hexadecimal (RFC 6184 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileLevelId {
    /// `profile_idc`.
    pub profile_idc: u8,
    /// `profile-iop`: the six constraint flags, the first one in the highest bit, and two reserved bits.
    pub constraints: u8,
    /// `level_idc`: ten times the level; 9 may be level 1b.
    pub level_idc: u8,
}

/// A profile of H.264 that browsers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum H264Profile {
    /// Constrained Baseline.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// Constrained High.
    ConstrainedHigh,
    /// High.
    High,
    /// High 4:4:4 Predictive.
    PredictiveHigh444,
}

impl ProfileLevelId {
    /// The profile, which several combinations of the first two bytes name (RFC 6184 §8.1, table 5).
    pub fn profile(self) -> Option<H264Profile> {
        let is = |mask: u8, value: u8| self.constraints & mask == value;
        match self.profile_idc {
            0x42 if is(0b0100_1111, 0b0100_0000) => Some(H264Profile::ConstrainedBaseline),
            0x4d if is(0b1000_1111, 0b1000_0000) => Some(H264Profile::ConstrainedBaseline),
            0x58 if is(0b1100_1111, 0b1100_0000) => Some(H264Profile::ConstrainedBaseline),
            0x42 if is(0b0100_1111, 0) => Some(H264Profile::Baseline),
            0x58 if is(0b1100_1111, 0b1000_0000) => Some(H264Profile::Baseline),
            0x4d if is(0b1010_1111, 0) => Some(H264Profile::Main),
            0x64 if self.constraints == 0b0000_1100 => Some(H264Profile::ConstrainedHigh),
            0x64 if self.constraints == 0 => Some(H264Profile::High),
            0xf4 if self.constraints == 0 => Some(H264Profile::PredictiveHigh444),
            _ => None,
        }
    }
}

impl ParameterValue for ProfileLevelId {
    fn read(_: &Parameters, text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, profile_idc, constraints, level_idc] = u32::from_str_radix(text, 16).ok()?.to_be_bytes();
        Some(Self { profile_idc, constraints, level_idc })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.profile_idc, self.constraints, self.level_idc)
    }
}
