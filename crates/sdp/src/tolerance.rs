//! What is read although the grammar has it otherwise.

/// Deviations from RFC 8866 that real senders make; each is tolerated on its own.
///
/// [`Default`] is [`ALL`](Self::ALL). What is tolerated is written as it was read until the line is edited, but for the
/// ends of lines, which become CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tolerance {
    /// Lines may end in LF alone (RFC 8866 §5 asks parsers to take it).
    pub bare_line_feeds: bool,
    /// The last line need not have an end.
    pub missing_last_line_end: bool,
    /// Empty lines may follow the last one, as where a message was pasted.
    pub blank_lines_at_end: bool,
    /// Blanks and tabs may stand at the end of a line, at the start of a value, and several between two words.
    pub blanks: bool,
    /// `s=` may be absent.
    pub missing_name: bool,
    /// `s=` may be empty, where `s=-` should stand (RFC 8866 §5.3).
    pub empty_name: bool,
    /// `t=` may be absent.
    pub missing_timing: bool,
    /// `c=` may be absent both from the session and from a media section (RFC 8866 §5.7).
    pub missing_connection: bool,
    /// Lines may stand in another order than that of RFC 8866 §5, types that stand once may be repeated, and those of the
    /// session may stand in media sections. Only `v=` and `o=` are held to their places.
    pub any_order: bool,
    /// Lines of types that RFC 8866 does not know are kept; its §5 has parsers ignore the description.
    pub unknown_types: bool,
    /// `ice-ufrag` and `ice-pwd` may hold other characters than letters, digits, `+` and `/` (RFC 8839 §5.4), as those of
    /// old endpoints do.
    pub ice_characters: bool,
    /// A `rid`, `simulcast` or `imageattr` that can't be read is kept as text, as if its name were unknown. RFC 8851
    /// §6.2.2 has answerers discard such a line and go on.
    pub malformed_stream_restrictions: bool,
}

impl Tolerance {
    /// All of them.
    pub const ALL: Self = Self::each(true);

    /// None: the grammar of the RFCs by the letter.
    pub const NONE: Self = Self::each(false);

    const fn each(tolerated: bool) -> Self {
        Self {
            bare_line_feeds: tolerated,
            missing_last_line_end: tolerated,
            blank_lines_at_end: tolerated,
            blanks: tolerated,
            missing_name: tolerated,
            empty_name: tolerated,
            missing_timing: tolerated,
            missing_connection: tolerated,
            any_order: tolerated,
            unknown_types: tolerated,
            ice_characters: tolerated,
            malformed_stream_restrictions: tolerated,
        }
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::ALL
    }
}
