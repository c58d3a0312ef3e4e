//! `group`.

use std::fmt;

use crate::Text;
use crate::error::Malformed;
use crate::keyword::keywords;
use crate::words::Words;

/// Media sections that belong together (RFC 5888 §5), as those of one transport (`BUNDLE`, RFC 9143).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What binds them.
    pub semantics: GroupSemantics,
    /// Their identification tags.
    pub mids: Vec<Text>,
}

impl Group {
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self, Malformed> {
        let semantics = GroupSemantics::parse(words)?;
        let source = words.source();
        Ok(Self { semantics, mids: words.map(|word| source.text(word)).collect() })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.semantics.as_str())?;
        self.mids.iter().try_for_each(|mid| write!(f, " {mid}"))
    }
}

keywords! {
    /// What binds media sections together.
    GroupSemantics, "the semantics of a group" {
        /// They share one transport (RFC 9143 §7).
        Bundle = "BUNDLE",
        /// They are played in step (RFC 5888 §7).
        LipSync = "LS",
        /// They are one flow over several transports (RFC 5888 §8).
        FlowIdentification = "FID",
        /// Some repair others (RFC 5956 §4.1).
        ForwardErrorCorrection = "FEC-FR",
    }
}
