//! Descriptions as applications exchange them.

/// What a description is for (W3C `RTCSdpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum SdpType {
    /// Proposes a session or a change of it.
    Offer,
    /// Ends an exchange.
    Answer,
    /// Answers provisionally.
    Pranswer,
    /// Takes an offer back.
    Rollback,
}

/// A description and what it is for; in JSON `{"type": "offer", "sdp": "v=0…"}`, as browsers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionDescription {
    /// What it is for.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: SdpType,
    /// The text (RFC 8866); empty in a rollback.
    #[cfg_attr(feature = "serde", serde(default))]
    pub sdp: String,
}

impl SessionDescription {
    /// An offer.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self { kind: SdpType::Offer, sdp: sdp.into() }
    }

    /// An answer.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self { kind: SdpType::Answer, sdp: sdp.into() }
    }

    /// A provisional answer.
    pub fn pranswer(sdp: impl Into<String>) -> Self {
        Self { kind: SdpType::Pranswer, sdp: sdp.into() }
    }

    /// Takes the pending offer back.
    pub fn rollback() -> Self {
        Self { kind: SdpType::Rollback, sdp: String::new() }
    }
}

/// What an offer is to do besides (W3C `RTCOfferOptions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfferOptions {
    /// Restart ICE, as [`restart_ice`](crate::PeerConnection::restart_ice) does.
    pub ice_restart: bool,
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn json_is_that_of_browsers() {
        let json = r#"{"type":"offer","sdp":"v=0\r\n"}"#;
        let description = SessionDescription::offer("v=0\r\n");
        assert_eq!(serde_json::to_string(&description).unwrap(), json);
        assert_eq!(serde_json::from_str::<SessionDescription>(json).unwrap(), description);
        let rollback = serde_json::from_str::<SessionDescription>(r#"{"type":"rollback"}"#).unwrap();
        assert_eq!(rollback, SessionDescription::rollback());
    }
}
