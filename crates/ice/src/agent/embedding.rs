//! What the agent's owner says and is told about datagrams that ride in checks.

use super::Agent;
use crate::embedding::EmbeddedDatagrams;

impl Agent {
    /// Says that the peer takes datagrams out of checks too (the ICE option `sped`). Without
    /// [`Config::embeds`](crate::Config::embeds) it has no effect.
    pub fn agree_embedding(&mut self) {
        self.embedding.agree();
    }

    /// Whether datagrams ride in checks now: both ends agree, and the owner has not said that there is a path.
    pub fn is_embedding(&self) -> bool {
        self.embedding.is_agreed()
    }

    /// Has the datagrams of `flight`, up to some 1,000 bytes each, ride in checks and answers until the peer names them, in
    /// place of those before. While the peer has not answered, no more than
    /// [`Limits::unanswered_bytes`](crate::Limits::unanswered_bytes) go to an address.
    pub fn embed(&mut self, flight: Vec<Vec<u8>>) {
        self.embedding.embed(flight);
    }

    /// A datagram that rode in an authenticated check of the peer, or in the answer to ours, and not before.
    pub fn poll_embedded(&mut self) -> Option<Vec<u8>> {
        self.embedding.poll()
    }

    /// Notes a datagram of the peer's handshake that came over a validated path, so that the peer is told in the next check.
    pub fn note_received(&mut self, datagram: &[u8]) {
        self.embedding.note(datagram);
    }

    /// Says that there is a path for the datagrams; gives those that the peer has not named. The peer's are taken on.
    pub fn end_embedding(&mut self) -> Vec<Vec<u8>> {
        self.embedding.end()
    }

    /// How many datagrams rode in checks so far.
    pub fn embedded_datagrams(&self) -> EmbeddedDatagrams {
        self.embedding.counters()
    }

    /// Says that the handshake is over, or was not agreed to ride in checks: nothing is taken out of them any more.
    pub fn close_embedding(&mut self) {
        self.embedding.close();
    }
}
