//! Bounds of a description.

/// What a description may hold; beyond it parsing fails with [`Reason::Limit`](crate::Reason::Limit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all; default 262,144.
    pub size: usize,
    /// Lines in all; default 16,384.
    pub lines: usize,
    /// Bytes of a line; default 8,192.
    pub line_length: usize,
    /// Media sections; default 256.
    pub media_sections: usize,
    /// Attributes of one section; default 2,048.
    pub attributes: usize,
    /// Candidates of one section; default 256.
    pub candidates: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size: 262_144,
            lines: 16_384,
            line_length: 8_192,
            media_sections: 256,
            attributes: 2_048,
            candidates: 256,
        }
    }
}

impl Limits {
    /// No limits, for text of one's own.
    pub(crate) const NONE: Self = Self {
        size: usize::MAX,
        lines: usize::MAX,
        line_length: usize::MAX,
        media_sections: usize::MAX,
        attributes: usize::MAX,
        candidates: usize::MAX,
    };
}
