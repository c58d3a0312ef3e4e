//! The lines of the session or of one media section.

use std::fmt;

use crate::{
    Attribute, Bandwidth, Candidate, Connection, Direction, Extmap, Fingerprint, InvalidLineError, Line, Rid,
    Setup, Simulcast, Ssrc, Text, Value,
};

/// Lines in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// The lines.
    pub lines: Vec<Line>,
}

impl Section {
    /// Puts a line where the order of RFC 8866 §5 has it: behind those of its type and of the types before it.
    ///
    /// # Errors
    ///
    /// As [`Line::new`]; nothing is put then.
    pub fn push(&mut self, value: impl Into<Value>) -> Result<(), InvalidLineError> {
        let line = Line::new(value)?;
        let rank = rank(line.value().kind());
        let behind = self.lines.iter().rposition(|other| self::rank(other.value().kind()) <= rank);
        self.lines.insert(behind.map_or(0, |at| at + 1), line);
        Ok(())
    }

    /// Puts `value` in the place of the first attribute of the same name, or behind all where there is none.
    ///
    /// # Errors
    ///
    /// As [`Line::new`]; nothing is changed then.
    pub fn set(&mut self, attribute: Attribute) -> Result<(), InvalidLineError> {
        match self
            .lines
            .iter()
            .position(|line| line.attribute().is_some_and(|a| a.name() == attribute.name()))
        {
            None => self.push(attribute),
            Some(at) => {
                let line = Line::new(attribute)?;
                self.lines.splice(at..=at, [line]);
                Ok(())
            }
        }
    }

    /// Takes out all attributes of this name, and tells how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.lines.len();
        self.lines.retain(|line| line.attribute().is_none_or(|attribute| attribute.name() != name));
        before - self.lines.len()
    }

    /// What the lines say, in order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().map(Line::value)
    }

    /// The attributes, in order.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.lines.iter().filter_map(Line::attribute)
    }

    /// Whether there is an attribute of this name.
    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|attribute| attribute.name() == name)
    }

    /// The first connection.
    pub fn connection(&self) -> Option<&Connection> {
        self.values().find_map(|value| match value {
            Value::Connection(connection) => Some(&**connection),
            _ => None,
        })
    }

    /// The bandwidths, in order.
    pub fn bandwidths(&self) -> impl Iterator<Item = &Bandwidth> {
        self.values().filter_map(|value| match value {
            Value::Bandwidth(bandwidth) => Some(bandwidth),
            _ => None,
        })
    }

    /// The candidates, in order.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Candidate(candidate) => Some(&**candidate),
            _ => None,
        })
    }

    /// The fingerprints, in order.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Fingerprint(fingerprint) => Some(fingerprint),
            _ => None,
        })
    }

    /// The header extensions, in order.
    pub fn extmaps(&self) -> impl Iterator<Item = &Extmap> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Extmap(extmap) => Some(extmap),
            _ => None,
        })
    }

    /// The attributes of sources, in order.
    pub fn ssrcs(&self) -> impl Iterator<Item = &Ssrc> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Ssrc(ssrc) => Some(ssrc),
            _ => None,
        })
    }

    /// The named streams, in order.
    pub fn rids(&self) -> impl Iterator<Item = &Rid> {
        self.attributes().filter_map(|attribute| match attribute {
            Attribute::Rid(rid) => Some(&**rid),
            _ => None,
        })
    }

    /// The streams side by side.
    pub fn simulcast(&self) -> Option<&Simulcast> {
        self.find(|attribute| match attribute {
            Attribute::Simulcast(simulcast) => Some(&**simulcast),
            _ => None,
        })
    }

    /// The direction; where none is told that of the session counts: see [`Direction::of`].
    pub fn direction(&self) -> Option<Direction> {
        self.find(|attribute| match attribute {
            Attribute::SendRecv => Some(Direction::SendRecv),
            Attribute::SendOnly => Some(Direction::SendOnly),
            Attribute::RecvOnly => Some(Direction::RecvOnly),
            Attribute::Inactive => Some(Direction::Inactive),
            _ => None,
        })
    }

    /// The identification tag.
    pub fn mid(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::Mid(mid) => Some(mid.as_str()),
            _ => None,
        })
    }

    /// The ICE user fragment.
    pub fn ice_ufrag(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::IceUfrag(ufrag) => Some(ufrag.as_str()),
            _ => None,
        })
    }

    /// The ICE password.
    pub fn ice_pwd(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::IcePwd(pwd) => Some(pwd.as_str()),
            _ => None,
        })
    }

    /// The options of ICE.
    pub fn ice_options(&self) -> &[Text] {
        let found = self.find(|attribute| match attribute {
            Attribute::IceOptions(options) => Some(options.0.as_slice()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// The role in the DTLS connection.
    pub fn setup(&self) -> Option<Setup> {
        self.find(|attribute| match attribute {
            Attribute::Setup(setup) => Some(*setup),
            _ => None,
        })
    }

    /// The SCTP port, in the form of RFC 8841 or in the one before it.
    pub fn sctp_port(&self) -> Option<u16> {
        self.find(|attribute| match attribute {
            Attribute::SctpPort(port) => Some(*port),
            Attribute::SctpMap(map) => Some(map.port),
            _ => None,
        })
    }

    /// The INIT chunk of the SCTP association in base64.
    pub fn sctp_init(&self) -> Option<&str> {
        self.find(|attribute| match attribute {
            Attribute::SctpInit(chunk) => Some(chunk.as_str()),
            _ => None,
        })
    }

    /// The size in bytes of the largest message that its maker takes; 0 for any.
    pub fn max_message_size(&self) -> Option<u64> {
        self.find(|attribute| match attribute {
            Attribute::MaxMessageSize(size) => Some(*size),
            _ => None,
        })
    }

    fn find<'a, T>(&'a self, wanted: impl Fn(&'a Attribute) -> Option<T>) -> Option<T> {
        self.attributes().find_map(wanted)
    }
}

/// The place of a type of line among the others (RFC 8866 §5). `t=`, `r=` and `z=` go together; what is unknown is last.
pub(crate) fn rank(kind: char) -> usize {
    const ORDER: [&str; 12] = ["v", "o", "s", "i", "u", "e", "p", "c", "b", "trz", "k", "a"];
    ORDER.iter().position(|kinds| kinds.contains(kind)).unwrap_or(ORDER.len())
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| {
            f.write_str(line.as_str())?;
            f.write_str("\r\n")
        })
    }
}
