//! What becomes of attributes in a bundle.

/// How attributes of media sections that share a transport go together (RFC 8859 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MuxCategory {
    /// Each section has its own.
    Normal,
    /// Sections with it should not share a transport.
    Caution,
    /// All sections have to have the same.
    Identical,
    /// The one of the section counts whose transport all use.
    Transport,
    /// The same payload type has to have the same.
    IdenticalPerPt,
    /// Its RFC says.
    Special,
}
