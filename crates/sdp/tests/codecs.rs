//! What the lines of a section say of its codecs, and the typed parameters of each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use antiphon_sdp::{
    Av1Parameters, CodecParameters, Feedback, FlexFecParameters, Fmtp, H264Parameters, H264Profile,
    H265Parameters, InvalidParameterError, OpusParameters, Parameters, ProfileLevelId, RedParameters,
    RtxParameters, Session, Text, UlpFecParameters, Vp8Parameters, Vp9Parameters,
};

fn read<T>(text: &str) -> T
where
    T: for<'a> TryFrom<&'a Parameters, Error = InvalidParameterError> + Into<Parameters> + Clone + PartialEq,
{
    let typed = T::try_from(&Parameters::from(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    let written: Parameters = typed.clone().into();
    assert!(T::try_from(&written) == Ok(typed.clone()), "{text} is written as {written}");
    typed
}

fn names(others: &[antiphon_sdp::Parameter]) -> Vec<&Text> {
    others.iter().map(|other| &other.name).collect()
}

#[test]
fn opus() {
    let opus: OpusParameters =
        read("minptime=10;useinbandfec=1; stereo=0;maxplaybackrate=16000;x-new=y;flag");
    assert_eq!((opus.min_ptime, opus.use_inband_fec, opus.stereo), (Some(10), Some(true), Some(false)));
    assert_eq!((opus.max_playback_rate, opus.use_dtx), (Some(16_000), None));
    assert_eq!(names(&opus.others), ["x-new", "flag"]);
    let written = Parameters::from(OpusParameters { cbr: Some(true), ..OpusParameters::default() });
    assert_eq!(written.as_str(), "cbr=1");
}

#[test]
fn vp8_vp9_and_av1() {
    let vp8: Vp8Parameters = read("max-fr=30;max-fs=12288");
    assert_eq!((vp8.max_fr, vp8.max_fs), (Some(30), Some(12_288)));
    assert_eq!(read::<Vp9Parameters>("profile-id=2").profile_id, Some(2));
    let av1: Av1Parameters = read("level-idx=5;profile=0;tier=0");
    assert_eq!((av1.level_idx, av1.profile, av1.tier), (Some(5), Some(0), Some(0)));
}

#[test]
fn h264() {
    let h264: H264Parameters = read(
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F;sprop-parameter-sets=Z0I=,aM4=",
    );
    let id = h264.profile_level_id.unwrap();
    assert_eq!(id, ProfileLevelId { profile_idc: 0x42, constraints: 0xe0, level_idc: 31 });
    assert_eq!((h264.level_asymmetry_allowed, h264.packetization_mode), (Some(true), Some(1)));
    assert_eq!(h264.sprop_parameter_sets.unwrap(), "Z0I=,aM4=");
    for (text, profile) in [
        ("42e01f", Some(H264Profile::ConstrainedBaseline)),
        ("42001f", Some(H264Profile::Baseline)),
        ("4d001f", Some(H264Profile::Main)),
        ("4d801f", Some(H264Profile::ConstrainedBaseline)),
        ("64001f", Some(H264Profile::High)),
        ("640c1f", Some(H264Profile::ConstrainedHigh)),
        ("f4001f", Some(H264Profile::PredictiveHigh444)),
        ("58f01f", Some(H264Profile::ConstrainedBaseline)),
        ("58a01f", Some(H264Profile::Baseline)),
        ("ff001f", None),
    ] {
        let h264: H264Parameters = read(&format!("profile-level-id={text}"));
        assert_eq!(h264.profile_level_id.unwrap().profile(), profile, "{text}");
    }
}

#[test]
fn h265() {
    let h265: H265Parameters = read("level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST;sprop-sps=QgEB");
    assert_eq!((h265.level_id, h265.profile_id, h265.tier_flag), (Some(93), Some(1), Some(0)));
    assert_eq!((h265.tx_mode.unwrap(), h265.sprop_sps.unwrap()), ("SRST".into(), "QgEB".into()));
}

#[test]
fn repair() {
    let rtx: RtxParameters = read("apt=96;rtx-time=3000");
    assert_eq!((rtx.apt, rtx.rtx_time), (Some(96), Some(3_000)));
    assert_eq!(read::<RedParameters>("111/111").payload_types, [111, 111]);
    assert_eq!(read::<UlpFecParameters>("onelevelprot=1").one_level_protection, Some(true));
    let flexfec: FlexFecParameters = read("L=5;D=10; ToP=2; repair-window=200000");
    assert_eq!((flexfec.columns, flexfec.rows, flexfec.protection), (Some(5), Some(10), Some(2)));
    assert_eq!(flexfec.repair_window, Some(200_000));
}

#[test]
fn a_value_that_a_parameter_cannot_have_is_named() {
    for (encoding, text, name) in [
        ("OPUS", "stereo=2", "stereo"),
        ("opus", "MinPTime=x", "minptime"),
        ("H264", "profile-level-id=42e01", "profile-level-id"),
        ("h264", "profile-level-id=+2e01f", "profile-level-id"),
        ("rtx", "apt", "apt"),
        ("rtx", "apt=256", "apt"),
        ("red", "111/x", "red"),
        ("red", "128", "red"),
    ] {
        let error = CodecParameters::new(encoding, &text.into()).unwrap_err();
        assert_eq!(error, InvalidParameterError { name }, "{text}");
    }
}

/// The first of two values counts, and the second is not lost.
#[test]
fn repeated_parameters_are_kept() {
    let rtx: RtxParameters = read("apt=96;apt=97");
    assert_eq!((rtx.apt, names(&rtx.others)), (Some(96), vec![&"apt".into()]));
}

#[test]
fn the_lines_of_a_payload_type_come_together() {
    let text = include_str!("data/chromium-156-offer-audio-video.sdp");
    let session: Session = text.parse().unwrap();
    let audio = session.media[0].codecs();
    let types: Vec<u8> = audio.iter().map(|codec| codec.payload_type).collect();
    assert_eq!(types, [111, 63, 9, 0, 8, 13, 110, 126]);
    let opus = audio[0].rtpmap.unwrap();
    assert!(opus.is("OPUS"));
    assert_eq!((opus.clock_rate, opus.channels()), (48_000, Some(2)));
    assert_eq!(audio[0].feedback, [&Feedback::TransportCc]);
    let Ok(CodecParameters::Opus(parameters)) = audio[0].typed_parameters() else { panic!() };
    assert_eq!(parameters.use_inband_fec, Some(true));
    let Ok(CodecParameters::Red(red)) = audio[1].typed_parameters() else { panic!() };
    assert_eq!(red.payload_types, [111, 111]);
    assert!(matches!(audio[2].typed_parameters(), Ok(CodecParameters::Other(_))));

    let video = session.media[1].codecs();
    assert_eq!(video.len(), 23);
    for codec in &video {
        let encoding = &codec.rtpmap.unwrap().encoding;
        let parameters = codec.typed_parameters().unwrap();
        match (encoding.as_str(), parameters) {
            ("VP8", CodecParameters::Vp8(_)) | ("H264", CodecParameters::H264(_)) => {
                assert_eq!(codec.feedback.len(), 5);
            }
            ("rtx", CodecParameters::Rtx(rtx)) => {
                assert!(video.iter().any(|codec| Some(codec.payload_type) == rtx.apt));
            }
            ("AV1", CodecParameters::Av1(_)) | ("VP9", CodecParameters::Vp9(_)) => {}
            ("red", CodecParameters::Red(red)) => assert_eq!(red.payload_types, [0_u8; 0]),
            ("ulpfec", CodecParameters::UlpFec(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn feedback_for_all_reaches_each_and_strangers_are_passed_over() {
    let text = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nm=video 9 RTP/AVPF 96 97 96 128 x\r\na=rtpmap:98 VP8/90000\r\n\
                a=rtcp-fb:* nack\r\na=rtcp-fb:97 ccm fir\r\na=fmtp:97 a=1\r\na=fmtp:97 b=1\r\na=fmtp:x c=1\r\n";
    let session: Session = text.parse().unwrap();
    let codecs = session.media[0].codecs();
    assert_eq!(codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [96, 97]);
    assert_eq!(codecs[0].feedback, [&Feedback::Nack]);
    assert_eq!(codecs[1].feedback, [&Feedback::Nack, &Feedback::CcmFir]);
    assert_eq!(codecs[1].parameters.unwrap().as_str(), "a=1");
    assert_eq!(codecs[1].rtpmap, None);
}

#[test]
fn parameters_make_an_attribute() {
    let rtx = RtxParameters { apt: Some(96), ..RtxParameters::default() };
    assert_eq!(Fmtp::new(97, rtx).to_string(), "97 apt=96");
}
