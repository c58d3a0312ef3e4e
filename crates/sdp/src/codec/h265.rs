//! H.265.

use crate::Text;
use crate::parameters::parameters;

parameters! {
    /// The parameters of H.265 (RFC 7798 §7.1): what the describing end can decode, but for those of `sprop`.
    H265Parameters {
        /// The space of the profile, 0 to 3; 0 where it is absent.
        profile_space: u8 = "profile-space",
        /// The profile, 0 to 31; 1, which is Main, where it is absent.
        profile_id: u8 = "profile-id",
        /// The tier: 0 main, 1 high; 0 where it is absent.
        tier_flag: u8 = "tier-flag",
        /// Thirty times the level; 93, which is level 3.1, where it is absent.
        level_id: u8 = "level-id",
        /// Constraints, in twelve hexadecimal digits.
        interop_constraints: Text = "interop-constraints",
        /// Profiles that the stream is of too, in eight hexadecimal digits.
        profile_compatibility_indicator: Text = "profile-compatibility-indicator",
        /// The highest layer that is sent, 0 to 6.
        sprop_sub_layer_id: u8 = "sprop-sub-layer-id",
        /// The highest layer that is wanted, 0 to 6.
        recv_sub_layer_id: u8 = "recv-sub-layer-id",
        /// The highest level that is received.
        max_recv_level_id: u8 = "max-recv-level-id",
        /// How streams are sent: `SRST`, `MRST` or `MRMT`; `SRST` where it is absent.
        tx_mode: Text = "tx-mode",
        /// Video parameter sets in base64 with commas between.
        sprop_vps: Text = "sprop-vps",
        /// Sequence parameter sets in base64 with commas between.
        sprop_sps: Text = "sprop-sps",
        /// Picture parameter sets in base64 with commas between.
        sprop_pps: Text = "sprop-pps",
        /// Supplemental information in base64 with commas between.
        sprop_sei: Text = "sprop-sei",
        /// Luma samples a second at most.
        max_lsr: u64 = "max-lsr",
        /// Luma samples of a picture at most.
        max_lps: u64 = "max-lps",
        /// The coded picture buffer, in units of the level.
        max_cpb: u32 = "max-cpb",
        /// Pictures of the decoded picture buffer at most.
        max_dpb: u32 = "max-dpb",
        /// Bits a second at most, in units of the level.
        max_br: u32 = "max-br",
        /// Rows of tiles at most.
        max_tr: u32 = "max-tr",
        /// Columns of tiles at most.
        max_tc: u32 = "max-tc",
        /// Frames a second at most, times 100.
        max_fps: u32 = "max-fps",
        /// The greatest difference of decoding order numbers.
        sprop_max_don_diff: u16 = "sprop-max-don-diff",
        /// Units that wait for decoding at most.
        sprop_depack_buf_nalus: u16 = "sprop-depack-buf-nalus",
        /// The buffer that ordering units takes, in bytes.
        sprop_depack_buf_bytes: u32 = "sprop-depack-buf-bytes",
        /// The buffer for ordering units that there is, in bytes.
        depack_buf_cap: u32 = "depack-buf-cap",
        /// How pictures are cut for decoding in parallel, 0 to 3.
        sprop_segmentation_id: u8 = "sprop-segmentation-id",
        /// How small the cuts are at least, 0 to 4,095.
        sprop_spatial_segmentation_idc: u16 = "sprop-spatial-segmentation-idc",
        /// What can be decoded in parallel.
        dec_parallel_cap: Text = "dec-parallel-cap",
        /// Whether decoded pictures are hashed.
        include_dph: Text = "include-dph",
    }
}
