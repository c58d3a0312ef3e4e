//! Which of many agents behind one socket a datagram is for.
//!
//! A request names the user fragment of the agent that it wants (RFC 8445 §7.2.2). A response repeats the transaction id of a request, and the
//! transaction ids of one agent begin alike. Everything else belongs to the agent that has validated the path.

use antiphon_stun::{Attribute, AttributeType, Class, Message, TransactionId, is_message};
use antiphon_util::{Reader, Rng};

/// Whom a datagram is for, as far as it says so itself. Nothing of it is authenticated: only the agent can do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// A STUN request to the agent with this local user fragment.
    Ufrag(&'a str),
    /// A STUN response to the agent whose requests have this tag.
    Transaction(TransactionTag),
    /// It does not say; the path that it came on tells.
    Path,
}

impl<'a> Addressee<'a> {
    /// Reads whom `datagram` is for.
    pub fn of(datagram: &'a [u8]) -> Self {
        if !is_message(datagram) {
            return Self::Path;
        }
        let Ok(message) = Message::parse(&mut Reader::new(datagram)) else { return Self::Path };
        match message.kind().class {
            Class::Request => match message.attribute(AttributeType::USERNAME) {
                Some(Attribute::Username(name)) => {
                    Self::Ufrag(name.split_once(':').map_or(name, |(local, _)| local))
                }
                _ => Self::Path,
            },
            Class::SuccessResponse | Class::ErrorResponse => {
                Self::Transaction(TransactionTag::from_id(message.id()))
            }
            Class::Indication => Self::Path,
        }
    }
}

/// What the transaction ids of one agent have in common: their first half.
///
/// RFC 8489 §5 asks for ids that are random as a whole. Here the tag is random for each agent and the other 48 bits for
/// each request, so that whoever has not seen one of an agent's requests has 96 bits to guess, and its peer, who has, 48
/// bits of what needs the password as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionTag([u8; 6]);

impl TransactionTag {
    /// A fresh one.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        Self(rng.array())
    }

    /// The id of a new transaction.
    pub(crate) fn id(self, rng: &mut Rng) -> TransactionId {
        let ([a, b, c, d, e, f], [u, v, w, x, y, z]) = (self.0, rng.array());
        TransactionId([a, b, c, d, e, f, u, v, w, x, y, z])
    }

    fn from_id(TransactionId([a, b, c, d, e, f, ..]): TransactionId) -> Self {
        Self([a, b, c, d, e, f])
    }
}

#[cfg(test)]
mod tests {
    use antiphon_stun::{MessageBuilder, MessageType};
    use antiphon_util::Writer;

    use super::*;

    fn message(kind: MessageType, id: TransactionId, username: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let mut builder = MessageBuilder::new(&mut writer, kind, id);
        if let Some(username) = username {
            builder.attribute(&Attribute::Username(username));
        }
        builder.finish().unwrap();
        bytes
    }

    #[test]
    fn requests_name_a_user_fragment_and_responses_a_tag() {
        let mut rng = Rng::from_test_seed(1);
        let tag = TransactionTag::random(&mut rng);
        let (first, second) = (tag.id(&mut rng), tag.id(&mut rng));
        assert_ne!(first, second);
        let request = message(MessageType::BINDING_REQUEST, first, Some("ours:theirs"));
        assert_eq!(Addressee::of(&request), Addressee::Ufrag("ours"));
        for kind in [MessageType::BINDING_SUCCESS, MessageType::BINDING_ERROR] {
            assert_eq!(Addressee::of(&message(kind, second, None)), Addressee::Transaction(tag));
        }
    }

    #[test]
    fn what_names_nobody_is_left_to_its_path() {
        let id = TransactionId([7; 12]);
        let whole = message(MessageType::BINDING_REQUEST, id, Some("ours:theirs"));
        for datagram in [
            &message(MessageType::BINDING_REQUEST, id, None)[..],
            &message(MessageType::BINDING_INDICATION, id, Some("ours:theirs")),
            &whole[..whole.len() - 1],
            &[22, 254, 253, 0],
            &[],
        ] {
            assert_eq!(Addressee::of(datagram), Addressee::Path);
        }
    }
}
