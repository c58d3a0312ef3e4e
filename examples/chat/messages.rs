//! What page and server say to each other, as JSON: signals over the WebSocket, requests and notices over the channel.

use antiphon::{IceCandidate, IceServer, SessionDescription};
use serde::{Deserialize, Serialize};

/// The length of a name in characters.
pub(crate) const MAX_NAME: usize = 40;
/// The length of a text in characters.
pub(crate) const MAX_TEXT: usize = 2_000;

/// Sets up the connection, both ways: `{"description":{…}}`, `{"candidate":{…}}`, `{"candidate":null}` at the end of
/// candidates, in the form that browsers give descriptions and candidates.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Signal {
    /// The first signal of the server: how the page is to set its connection up.
    #[serde(skip_deserializing)]
    Configuration(PageConfiguration),
    Description(SessionDescription),
    Candidate(Option<IceCandidate>),
    /// The last signal of the server: why it wants no connection.
    #[serde(skip_deserializing)]
    Error(String),
}

/// The browser's `RTCConfiguration`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageConfiguration {
    ice_servers: Vec<PageIceServer>,
}

/// The browser's `RTCIceServer`.
#[derive(Debug, Clone, Serialize)]
struct PageIceServer {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl PageConfiguration {
    /// The page uses the servers that this program uses.
    pub(crate) fn new(servers: &[IceServer]) -> Self {
        let page = |server: &IceServer| PageIceServer {
            urls: server.urls.clone(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        };
        Self { ice_servers: servers.iter().map(page).collect() }
    }
}

/// What a page asks for, over the channel.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    Join { name: String },
    Rename { name: String },
    Say { text: String },
}

/// What a page is told, over the channel.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Notice<'a> {
    /// The answer to `join`; `members` are all, oneself among them.
    Welcome {
        id: MemberId,
        members: Vec<Present<'a>>,
    },
    Joined {
        id: MemberId,
        name: &'a str,
    },
    Left {
        id: MemberId,
        name: &'a str,
    },
    Renamed {
        id: MemberId,
        name: &'a str,
    },
    Said {
        id: MemberId,
        name: &'a str,
        text: &'a str,
    },
    /// A request was not carried out.
    Refused {
        reason: String,
    },
    /// The connection ends and another one now would end as well.
    Closed {
        reason: String,
    },
}

impl Notice<'_> {
    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A member of a room, never given twice while the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct MemberId(pub(crate) u64);

#[derive(Debug, Serialize)]
pub(crate) struct Present<'a> {
    pub(crate) id: MemberId,
    pub(crate) name: &'a str,
}

/// `name` on one line and of sensible length; a guest where nothing is left of it.
pub(crate) fn clean_name(name: &str) -> String {
    let clean: String =
        name.chars().filter(|c| !c.is_control() && !steers_direction(*c)).take(MAX_NAME).collect();
    match clean.trim() {
        "" => "Guest".to_owned(),
        name => name.to_owned(),
    }
}

/// `text` without control characters but line ends and tabs; `None` where it is empty or too long.
pub(crate) fn clean_text(text: &str) -> Option<String> {
    if text.chars().count() > MAX_TEXT {
        return None;
    }
    let clean: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Whether a character reverses what stands around it, so that a name could pass for another.
fn steers_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
