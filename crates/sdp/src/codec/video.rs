//! VP8, VP9 and AV1.

use crate::parameters::parameters;

parameters! {
    /// The parameters of VP8 (RFC 7741 §6.1): what the describing end can decode.
    Vp8Parameters {
        /// Frames a second at most.
        max_fr: u32 = "max-fr",
        /// Macroblocks of a frame at most, of 16 by 16 pixels.
        max_fs: u32 = "max-fs",
    }
}

parameters! {
    /// The parameters of VP9 (RFC 9628 §6): what the describing end can decode.
    Vp9Parameters {
        /// Frames a second at most.
        max_fr: u32 = "max-fr",
        /// Macroblocks of a frame at most, of 16 by 16 pixels.
        max_fs: u32 = "max-fs",
        /// The profile, 0 to 3; 0 where it is absent.
        profile_id: u8 = "profile-id",
    }
}

parameters! {
    /// The parameters of AV1, by its RTP payload format §7.2.1: what the describing end can decode.
    Av1Parameters {
        /// The profile, 0 to 2; 0 where it is absent.
        profile: u8 = "profile",
        /// The level, 0 to 31; 5, which is level 3.1, where it is absent.
        level_idx: u8 = "level-idx",
        /// The tier, 0 or 1; 0 where it is absent.
        tier: u8 = "tier",
    }
}
