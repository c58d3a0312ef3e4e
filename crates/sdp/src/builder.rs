//! Descriptions made from values.

use crate::{
    InvalidLineError, Limits, Media, MediaLine, Origin, Parser, Section, Session, Timing, Tolerance, Value,
};

/// Makes a [`Session`] that follows the grammar to the letter; see [`Session::builder`].
#[derive(Debug, Clone)]
pub struct SessionBuilder {
    session: Result<Session, InvalidLineError>,
}

impl Session {
    /// Starts a description. `s=-` and `t=0 0` are added where no other name and timing is given.
    ///
    /// ```
    /// use antiphon_sdp::{Attribute, Connection, Media, MediaLine, Origin, Session};
    ///
    /// let line = MediaLine::new("application", 9, "UDP/DTLS/SCTP", &["webrtc-datachannel"]);
    /// let media = Media::builder(line)
    ///     .line(Attribute::SctpPort(5000))
    ///     .line(Connection::new([0, 0, 0, 0].into()))
    ///     .build()?;
    /// let session = Session::builder(Origin::new(1, 2)).media(media).build()?;
    /// assert_eq!(
    ///     session.to_string(),
    ///     "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    ///      m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=sctp-port:5000\r\n"
    /// );
    /// # Ok::<(), antiphon_sdp::InvalidLineError>(())
    /// ```
    pub fn builder(origin: Origin) -> SessionBuilder {
        SessionBuilder { session: Ok(Self::default()) }.line(Value::Version).line(origin)
    }
}

impl SessionBuilder {
    /// Puts a line where its type has its place.
    pub fn line(mut self, value: impl Into<Value>) -> Self {
        push(&mut self.session, value, |session| &mut session.section);
        self
    }

    /// Puts lines where their types have their places.
    pub fn lines<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        values.into_iter().fold(self, Self::line)
    }

    /// Appends a media section.
    pub fn media(mut self, media: Media) -> Self {
        if let Ok(session) = &mut self.session {
            session.media.push(media);
        }
        self
    }

    /// The description.
    ///
    /// # Errors
    ///
    /// A line could not be made, as [`Line::new`](crate::Line::new) tells; or the description lacks a line, or has one twice
    /// or at a wrong place, so that a strict [`Parser`] would not read it.
    pub fn build(mut self) -> Result<Session, InvalidLineError> {
        let has = |builder: &Self, kind: char| {
            builder
                .session
                .as_ref()
                .is_ok_and(|session| session.section.values().any(|value| value.kind() == kind))
        };
        if !has(&self, 's') {
            self = self.line(Value::Name("-".into()));
        }
        if !has(&self, 't') {
            self = self.line(Timing::default());
        }
        let session = self.session?;
        let parser = Parser { limits: Limits::NONE, tolerance: Tolerance::NONE };
        let read = parser.parse(&session.to_string()).map_err(InvalidLineError::Unreadable)?;
        if read == session { Ok(session) } else { Err(InvalidLineError::Ambiguous) }
    }
}

/// Makes a [`Media`] section; see [`Session::builder`].
#[derive(Debug, Clone)]
pub struct MediaBuilder {
    media: Result<Media, InvalidLineError>,
}

impl Media {
    /// Starts a media section.
    pub fn builder(line: MediaLine) -> MediaBuilder {
        MediaBuilder { media: Self::new(line) }
    }
}

impl MediaBuilder {
    /// Puts a line where its type has its place.
    pub fn line(mut self, value: impl Into<Value>) -> Self {
        push(&mut self.media, value, |media| &mut media.section);
        self
    }

    /// Puts lines where their types have their places.
    pub fn lines<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Self {
        values.into_iter().fold(self, Self::line)
    }

    /// The section.
    ///
    /// # Errors
    ///
    /// A line could not be made, as [`Line::new`](crate::Line::new) tells.
    pub fn build(self) -> Result<Media, InvalidLineError> {
        self.media
    }
}

/// Puts a line in the section of what is built; the first error stays.
fn push<T>(
    built: &mut Result<T, InvalidLineError>,
    value: impl Into<Value>,
    section: impl FnOnce(&mut T) -> &mut Section,
) {
    if let Ok(target) = built
        && let Err(error) = section(target).push(value)
    {
        *built = Err(error);
    }
}
