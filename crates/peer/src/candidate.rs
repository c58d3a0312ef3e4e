//! Candidates as applications exchange them.

use std::net::{Ipv4Addr, SocketAddr};

use antiphon_ice::TcpType;
use antiphon_sdp as sdp;
use antiphon_util::Protocol;

/// A candidate on its way between two peers (W3C `RTCIceCandidateInit`); in JSON as browsers have it, with
/// `sdpMid`, `sdpMLineIndex` and `usernameFragment`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct IceCandidate {
    /// `candidate:…` (RFC 8839 §5.1), or empty for the end of candidates.
    pub candidate: String,
    /// The identification tag of its media section.
    #[cfg_attr(feature = "serde", serde(rename = "sdpMid"))]
    pub sdp_mid: Option<String>,
    /// The place of its media section, from 0.
    #[cfg_attr(feature = "serde", serde(rename = "sdpMLineIndex"))]
    pub sdp_m_line_index: Option<u16>,
    /// The user fragment of the description that it belongs to.
    #[cfg_attr(feature = "serde", serde(rename = "usernameFragment"))]
    pub username_fragment: Option<String>,
}

impl IceCandidate {
    /// The candidate with every field and extension.
    ///
    /// # Errors
    ///
    /// The text is not a candidate; column and what was expected there.
    pub fn parsed(&self) -> Result<sdp::Candidate, sdp::ParseError> {
        self.candidate.parse()
    }

    /// Whether it says that no more candidates follow.
    pub fn is_end_of_candidates(&self) -> bool {
        self.candidate.is_empty()
    }

    /// Equal for candidates of one kind, base and server.
    pub fn foundation(&self) -> Option<String> {
        Some(self.parsed().ok()?.foundation.into())
    }

    /// 1 for RTP and all that is multiplexed with it, 2 for RTCP.
    pub fn component(&self) -> Option<u16> {
        Some(self.parsed().ok()?.component)
    }

    /// Its priority.
    pub fn priority(&self) -> Option<u32> {
        Some(self.parsed().ok()?.priority)
    }

    /// What carries datagrams to it.
    pub fn protocol(&self) -> Option<sdp::Transport> {
        Some(self.parsed().ok()?.transport)
    }

    /// Its address, or the name in place of it.
    pub fn address(&self) -> Option<sdp::Address> {
        Some(self.parsed().ok()?.address)
    }

    /// Its port.
    pub fn port(&self) -> Option<u16> {
        Some(self.parsed().ok()?.port)
    }

    /// How it was found.
    pub fn kind(&self) -> Option<sdp::CandidateKind> {
        Some(self.parsed().ok()?.kind)
    }

    /// Who opens the connection, for TCP.
    pub fn tcp_type(&self) -> Option<sdp::TcpType> {
        self.parsed().ok()?.tcp_type
    }

    /// The related address.
    pub fn related_address(&self) -> Option<sdp::Address> {
        self.parsed().ok()?.related_address
    }

    /// The related port.
    pub fn related_port(&self) -> Option<u16> {
        self.parsed().ok()?.related_port
    }
}

/// What is to be done with a candidate of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Usable {
    /// It can be tried.
    Yes(antiphon_ice::Candidate),
    /// It can be tried once its name has an address.
    Named(String, antiphon_ice::Candidate),
    /// It is left aside, for this reason.
    No(crate::DropReason),
}

/// Whether the agent can try `candidate`; what it can't is no error, since every peer sends some of those.
pub(crate) fn to_ice(candidate: &sdp::Candidate) -> Usable {
    use crate::DropReason;
    let (ip, name) = match &candidate.address {
        sdp::Address::Ip(ip) => (*ip, None),
        // The address is put in when it is known.
        sdp::Address::Name(name) if candidate.address.is_mdns() => (Ipv4Addr::UNSPECIFIED.into(), Some(name)),
        sdp::Address::Name(_) => return Usable::No(DropReason::NamedCandidate),
    };
    let kind = match candidate.kind {
        sdp::CandidateKind::Host => antiphon_ice::CandidateKind::Host,
        sdp::CandidateKind::ServerReflexive => antiphon_ice::CandidateKind::ServerReflexive,
        sdp::CandidateKind::PeerReflexive => antiphon_ice::CandidateKind::PeerReflexive,
        sdp::CandidateKind::Relayed => antiphon_ice::CandidateKind::Relayed,
        _ => return Usable::No(DropReason::UnknownCandidate),
    };
    let protocol = match candidate.transport {
        sdp::Transport::Udp => Protocol::Udp,
        sdp::Transport::Tcp if candidate.tcp_type.is_some() => Protocol::Tcp,
        _ => return Usable::No(DropReason::UnknownCandidate),
    };
    if candidate.component != 1 {
        return Usable::No(DropReason::UnknownCandidate);
    }
    let related = candidate.related_address.as_ref().and_then(sdp::Address::ip).zip(candidate.related_port);
    let mut ice = antiphon_ice::Candidate::new(kind, SocketAddr::new(ip, candidate.port));
    candidate.foundation.as_str().clone_into(&mut ice.foundation);
    ice.priority = candidate.priority;
    ice.related = related.map(SocketAddr::from);
    ice.protocol = protocol;
    ice.tcp_type = candidate.tcp_type.filter(|_| protocol == Protocol::Tcp).map(|tcp_type| match tcp_type {
        sdp::TcpType::Active => TcpType::Active,
        sdp::TcpType::Passive => TcpType::Passive,
        sdp::TcpType::SimultaneousOpen => TcpType::SimultaneousOpen,
    });
    match name {
        Some(name) => Usable::Named(name.to_string(), ice),
        None => Usable::Yes(ice),
    }
}

/// A candidate of ours as it is told to the peer.
pub(crate) fn from_ice(candidate: &antiphon_ice::Candidate) -> sdp::Candidate {
    let kind = match candidate.kind {
        antiphon_ice::CandidateKind::Host => sdp::CandidateKind::Host,
        antiphon_ice::CandidateKind::ServerReflexive => sdp::CandidateKind::ServerReflexive,
        antiphon_ice::CandidateKind::PeerReflexive => sdp::CandidateKind::PeerReflexive,
        antiphon_ice::CandidateKind::Relayed => sdp::CandidateKind::Relayed,
    };
    sdp::Candidate {
        foundation: candidate.foundation.as_str().into(),
        component: candidate.component,
        transport: match candidate.protocol {
            Protocol::Udp => sdp::Transport::Udp,
            Protocol::Tcp => sdp::Transport::Tcp,
        },
        priority: candidate.priority,
        address: sdp::Address::Ip(candidate.address.ip()),
        port: candidate.address.port(),
        kind,
        related_address: candidate.related.map(|related| sdp::Address::Ip(related.ip())),
        related_port: candidate.related.map(|related| related.port()),
        tcp_type: candidate.tcp_type.map(|tcp_type| match tcp_type {
            TcpType::Active => sdp::TcpType::Active,
            TcpType::Passive => sdp::TcpType::Passive,
            TcpType::SimultaneousOpen => sdp::TcpType::SimultaneousOpen,
        }),
        extensions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DropReason;

    #[test]
    #[cfg(feature = "serde")]
    fn json_is_that_of_browsers() {
        let json = r#"{"candidate":"candidate:1 1 udp 2122260223 127.0.0.1 45907 typ host generation 0 ufrag YFAz network-id 1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"YFAz"}"#;
        let candidate: IceCandidate = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&candidate).unwrap(), json);
        assert_eq!((candidate.port(), candidate.kind()), (Some(45907), Some(sdp::CandidateKind::Host)));
        assert_eq!(candidate.parsed().unwrap().extension("network-id"), Some("1"));
        let end: IceCandidate =
            serde_json::from_str(r#"{"candidate":"","sdpMid":null,"sdpMLineIndex":0}"#).unwrap();
        assert!(end.is_end_of_candidates() && end.sdp_mid.is_none());
    }

    #[test]
    fn what_the_agent_cannot_try_is_left_aside() {
        let usable = |text: &str| to_ice(&text.parse().unwrap());
        for (text, reason) in [
            ("candidate:1 1 udp 1 example.org 9 typ host", DropReason::NamedCandidate),
            ("candidate:1 1 tcp 1 10.0.0.1 9 typ host", DropReason::UnknownCandidate),
            ("candidate:1 2 udp 1 10.0.0.1 9 typ host", DropReason::UnknownCandidate),
            ("candidate:1 1 udp 1 10.0.0.1 9 typ other", DropReason::UnknownCandidate),
        ] {
            assert_eq!(usable(text), Usable::No(reason), "{text}");
        }
        for text in [
            "candidate:7 1 udp 99 203.0.113.7 60768 typ srflx raddr 10.0.0.2 rport 3478",
            "candidate:7 1 tcp 99 203.0.113.7 9 typ host tcptype active",
            "candidate:7 1 tcp 99 203.0.113.7 443 typ host tcptype passive",
            "candidate:7 1 tcp 99 203.0.113.7 443 typ host tcptype so",
        ] {
            let Usable::Yes(ice) = usable(text) else { panic!("left aside: {text}") };
            assert_eq!(from_ice(&ice).to_string(), text);
        }
    }
}
