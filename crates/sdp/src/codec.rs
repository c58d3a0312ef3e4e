//! Codecs: what the lines of a section say together of one payload type.

mod audio;
mod h264;
mod h265;
mod repair;
mod video;

use crate::{Attribute, Feedback, InvalidParameterError, Media, Parameters, RtcpFb, Rtpmap};

pub use audio::OpusParameters;
pub use h264::{H264Parameters, H264Profile, ProfileLevelId};
pub use h265::H265Parameters;
pub use repair::{FlexFecParameters, RedParameters, RtxParameters, UlpFecParameters};
pub use video::{Av1Parameters, Vp8Parameters, Vp9Parameters};

/// What the lines of a section say together of one payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec<'a> {
    /// The payload type.
    pub payload_type: u8,
    /// The encoding; `None` for the payload types that RFC 3551 §6 gives out, where no line repeats it.
    pub rtpmap: Option<&'a Rtpmap>,
    /// The parameters, where there are some; of several lines the first counts.
    pub parameters: Option<&'a Parameters>,
    /// The feedback for this payload type, and for all.
    pub feedback: Vec<&'a Feedback>,
}

impl Codec<'_> {
    /// The parameters by type; those of a codec without type here, or without `rtpmap`, are `Other`.
    ///
    /// # Errors
    ///
    /// A parameter that the codec knows has a value that it can't have.
    pub fn typed_parameters(&self) -> Result<CodecParameters, InvalidParameterError> {
        let encoding = self.rtpmap.map_or("", |rtpmap| &rtpmap.encoding);
        match self.parameters {
            Some(parameters) => CodecParameters::new(encoding, parameters),
            None => CodecParameters::new(encoding, &Parameters::from("")),
        }
    }
}

/// The parameters of a codec by type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecParameters {
    /// `opus`.
    Opus(OpusParameters),
    /// `VP8`.
    Vp8(Vp8Parameters),
    /// `VP9`.
    Vp9(Vp9Parameters),
    /// `H264`.
    H264(Box<H264Parameters>),
    /// `H265`.
    H265(Box<H265Parameters>),
    /// `AV1`.
    Av1(Av1Parameters),
    /// `rtx`.
    Rtx(RtxParameters),
    /// `red`.
    Red(RedParameters),
    /// `ulpfec`.
    UlpFec(UlpFecParameters),
    /// `flexfec`, and `flexfec-03` of Chromium.
    FlexFec(FlexFecParameters),
    /// Those of another codec, as they stand.
    Other(Parameters),
}

impl CodecParameters {
    /// `parameters` as those of `encoding`, a name in whatever case.
    ///
    /// # Errors
    ///
    /// A parameter that the codec knows has a value that it can't have.
    pub fn new(encoding: &str, parameters: &Parameters) -> Result<Self, InvalidParameterError> {
        let is = |name: &str| encoding.eq_ignore_ascii_case(name);
        Ok(if is("opus") {
            Self::Opus(parameters.try_into()?)
        } else if is("VP8") {
            Self::Vp8(parameters.try_into()?)
        } else if is("VP9") {
            Self::Vp9(parameters.try_into()?)
        } else if is("H264") {
            Self::H264(Box::new(parameters.try_into()?))
        } else if is("H265") {
            Self::H265(Box::new(parameters.try_into()?))
        } else if is("AV1") {
            Self::Av1(parameters.try_into()?)
        } else if is("rtx") {
            Self::Rtx(parameters.try_into()?)
        } else if is("red") {
            Self::Red(parameters.try_into()?)
        } else if is("ulpfec") {
            Self::UlpFec(parameters.try_into()?)
        } else if is("flexfec") || is("flexfec-03") {
            Self::FlexFec(parameters.try_into()?)
        } else {
            Self::Other(parameters.clone())
        })
    }
}

impl Media {
    /// The codecs of the payload types on the `m=` line, in its order: the best first. A payload type counts once.
    pub fn codecs(&self) -> Vec<Codec<'_>> {
        let mut codecs = Codecs { places: [None; 128], list: Vec::new() };
        for payload_type in self.line().payload_types() {
            codecs.add(payload_type);
        }
        for attribute in self.section.attributes() {
            codecs.take(attribute);
        }
        codecs.list
    }
}

/// Codecs, and the place of each payload type among them.
struct Codecs<'a> {
    places: [Option<usize>; 128],
    list: Vec<Codec<'a>>,
}

impl<'a> Codecs<'a> {
    fn add(&mut self, payload_type: u8) {
        if let Some(place @ None) = self.places.get_mut(usize::from(payload_type)) {
            *place = Some(self.list.len());
            self.list.push(Codec { payload_type, rtpmap: None, parameters: None, feedback: Vec::new() });
        }
    }

    fn of(&mut self, payload_type: u8) -> Option<&mut Codec<'a>> {
        let place = (*self.places.get(usize::from(payload_type))?)?;
        self.list.get_mut(place)
    }

    fn take(&mut self, attribute: &'a Attribute) {
        match attribute {
            Attribute::Rtpmap(rtpmap) => {
                if let Some(codec) = self.of(rtpmap.payload_type) {
                    codec.rtpmap.get_or_insert(rtpmap);
                }
            }
            Attribute::Fmtp(fmtp) => {
                if let Some(codec) = fmtp.payload_type().and_then(|payload_type| self.of(payload_type)) {
                    codec.parameters.get_or_insert(&fmtp.parameters);
                }
            }
            Attribute::RtcpFb(RtcpFb { payload_type: None, feedback }) => {
                self.list.iter_mut().for_each(|codec| codec.feedback.push(feedback));
            }
            Attribute::RtcpFb(RtcpFb { payload_type: Some(payload_type), feedback }) => {
                if let Some(codec) = self.of(*payload_type) {
                    codec.feedback.push(feedback);
                }
            }
            _ => {}
        }
    }
}
