//! Who behind a shared socket a datagram is for.
//!
//! STUN requests name the user fragment of a connection, responses repeat a transaction id that tells whose request it was,
//! and anything else belongs to the connection that has claimed the sender's address.
//!
//! An address is claimed once ICE knows the path. A claim that rests on the peer's checks alone never displaces another,
//! since a source address can be forged; a claim by one whose own check was answered from there does, since whoever
//! answers receives at that address, and its former owner no longer does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use antiphon_peer::{Addressee, Standing, TransactionTag};

use super::inbox::Inbox;

/// The routing table of one socket, owned by the task that reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Router {
    ufrags: HashMap<Arc<str>, Arc<Inbox>>,
    tags: HashMap<TransactionTag, Arc<Inbox>>,
    claims: HashMap<SocketAddr, Arc<Inbox>>,
}

/// A change of the table.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Requests that name this user fragment are for this inbox.
    AddUfrag(Arc<str>, Arc<Inbox>),
    RemoveUfrag(Arc<str>),
    /// Responses to transactions with this tag are for this inbox.
    AddTag(TransactionTag, Arc<Inbox>),
    RemoveTag(TransactionTag),
    /// ICE knows that the peer is at this address.
    Claim(SocketAddr, Standing, Arc<Inbox>),
    /// The connection does without this address.
    Release(SocketAddr, Arc<Inbox>),
}

impl Router {
    /// One that knows of no claims.
    pub(crate) fn new(
        ufrags: HashMap<Arc<str>, Arc<Inbox>>,
        tags: HashMap<TransactionTag, Arc<Inbox>>,
    ) -> Self {
        Self { ufrags, tags, claims: HashMap::new() }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::AddUfrag(ufrag, inbox) => {
                self.ufrags.insert(ufrag, inbox);
            }
            Change::RemoveUfrag(ufrag) => {
                self.ufrags.remove(&ufrag);
            }
            Change::AddTag(tag, inbox) => {
                self.tags.insert(tag, inbox);
            }
            Change::RemoveTag(tag) => {
                self.tags.remove(&tag);
            }
            Change::Claim(remote, standing, inbox) => self.claim(remote, standing, inbox),
            Change::Release(remote, inbox) => {
                if self.owner(remote).is_some_and(|owner| Arc::ptr_eq(owner, &inbox)) {
                    self.claims.remove(&remote);
                }
            }
        }
    }

    /// Whom `datagram` from `remote` is for.
    pub(crate) fn route(&self, remote: SocketAddr, datagram: &[u8]) -> Option<&Arc<Inbox>> {
        match Addressee::of(datagram) {
            Addressee::Ufrag(ufrag) => self.ufrags.get(ufrag),
            Addressee::Transaction(tag) => self.tags.get(&tag),
            Addressee::Path => self.owner(remote),
        }
    }

    /// The connection that has claimed `remote`.
    pub(crate) fn owner(&self, remote: SocketAddr) -> Option<&Arc<Inbox>> {
        self.claims.get(&remote)
    }

    fn claim(&mut self, remote: SocketAddr, standing: Standing, inbox: Arc<Inbox>) {
        if standing == Standing::Answered || !self.claims.contains_key(&remote) {
            self.claims.insert(remote, inbox);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Arc<Inbox> {
        Arc::new(Inbox::new(0))
    }

    fn remote() -> SocketAddr {
        "192.0.2.1:5000".parse().unwrap()
    }

    /// A DTLS record, which names nobody.
    const RECORD: &[u8] = &[22, 254, 253];

    fn is_for(router: &Router, inbox: &Arc<Inbox>) -> bool {
        router.route(remote(), RECORD).is_some_and(|owner| Arc::ptr_eq(owner, inbox))
    }

    #[test]
    fn a_forged_check_does_not_take_an_address_and_an_answered_one_does() {
        let (first, second) = (inbox(), inbox());
        let mut router = Router::default();
        assert!(router.route(remote(), RECORD).is_none());
        router.apply(Change::Claim(remote(), Standing::Checked, first.clone()));
        router.apply(Change::Claim(remote(), Standing::Checked, second.clone()));
        assert!(is_for(&router, &first));
        router.apply(Change::Claim(remote(), Standing::Answered, second.clone()));
        assert!(is_for(&router, &second));
        router.apply(Change::Claim(remote(), Standing::Checked, first.clone()));
        assert!(is_for(&router, &second));
    }

    #[test]
    fn an_address_is_released_by_its_owner_alone() {
        let (first, second) = (inbox(), inbox());
        let mut router = Router::default();
        router.apply(Change::Claim(remote(), Standing::Answered, first.clone()));
        router.apply(Change::Release(remote(), second));
        assert!(is_for(&router, &first));
        router.apply(Change::Release(remote(), first));
        assert!(router.route(remote(), RECORD).is_none());
    }

    #[test]
    fn nothing_is_left_of_a_connection_that_is_gone() {
        let (ufrag, inbox): (Arc<str>, _) = ("ufrag".into(), inbox());
        let mut router = Router::default();
        router.apply(Change::AddUfrag(ufrag.clone(), inbox.clone()));
        router.apply(Change::Claim(remote(), Standing::Checked, inbox.clone()));
        assert_eq!(Arc::strong_count(&inbox), 3);
        router.apply(Change::RemoveUfrag(ufrag));
        router.apply(Change::Release(remote(), inbox.clone()));
        assert_eq!(Arc::strong_count(&inbox), 1);
    }
}
