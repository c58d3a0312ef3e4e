//! Opus.

use crate::parameters::parameters;

parameters! {
    /// The parameters of Opus (RFC 7587 §6.1): what the describing end would receive, but for those of `sprop`.
    OpusParameters {
        /// The greatest sampling rate worth sending, in hertz; 48,000 where it is absent.
        max_playback_rate: u32 = "maxplaybackrate",
        /// The greatest sampling rate that is likely sent, in hertz; 48,000 where it is absent.
        sprop_max_capture_rate: u32 = "sprop-maxcapturerate",
        /// The least time that one packet should hold, in milliseconds; 3 where it is absent.
        min_ptime: u32 = "minptime",
        /// The time that one packet should hold, in milliseconds, where an `fmtp` says it.
        ptime: u32 = "ptime",
        /// The time that one packet should hold at most, in milliseconds, where an `fmtp` says it.
        max_ptime: u32 = "maxptime",
        /// Bits a second at most, on average.
        max_average_bitrate: u32 = "maxaveragebitrate",
        /// Whether stereo is preferred to mono; not where it is absent.
        stereo: bool = "stereo",
        /// Whether stereo is likely sent; not where it is absent.
        sprop_stereo: bool = "sprop-stereo",
        /// Whether the bit rate is to be constant; not where it is absent.
        cbr: bool = "cbr",
        /// Whether in-band error correction is of use; not where it is absent.
        use_inband_fec: bool = "useinbandfec",
        /// Whether silence is to be left out; not where it is absent.
        use_dtx: bool = "usedtx",
    }
}
