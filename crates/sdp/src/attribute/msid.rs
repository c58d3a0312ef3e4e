//! `msid` and `msid-semantic`.

use std::fmt;

use crate::Text;
use crate::error::Malformed;
use crate::words::{BLANKS, Words};

/// The MediaStream that the section's track is in (RFC 8830 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// The stream; `-` for none.
    pub id: Text,
    /// The track, which RFC 8829 §5.2.1 leaves out and browsers still send.
    pub appdata: Option<Text>,
}

impl Msid {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let id = words.text("the identifier of a stream")?;
        let source = words.source();
        Ok(Self { id, appdata: words.next().map(|word| source.text(word)) })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        self.appdata.as_ref().map_or(Ok(()), |appdata| write!(f, " {appdata}"))
    }
}

/// Which streams the identifiers of `msid` mean: a sign that the sender uses `msid` at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsidSemantic {
    /// `WMS`, for WebRTC MediaStreams.
    pub semantic: Text,
    /// The streams; `*` for all.
    pub ids: Vec<Text>,
}

impl MsidSemantic {
    /// Blanks are free here however strict the parser is: no RFC has the grammar, and browsers put one after the colon.
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let source = words.source();
        let mut parts = words.all().split(BLANKS).filter(|part| !part.is_empty());
        let semantic = parts.next().ok_or_else(|| words.expected_here("a semantic"))?;
        Ok(Self { semantic: source.text(semantic), ids: parts.map(|part| source.text(part)).collect() })
    }
}

impl fmt::Display for MsidSemantic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The blank in front is what browsers write.
        write!(f, " {}", self.semantic)?;
        self.ids.iter().try_for_each(|id| write!(f, " {id}"))
    }
}
