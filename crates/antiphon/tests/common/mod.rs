//! Two connections over real sockets of the loopback interface.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use antiphon::{Builder, DataChannel, DataChannelInit, Endpoint, Message, PeerConnection};
use antiphon_crypto::{HashAlgorithm, Provider};
use antiphon_stun::{Attribute, MessageBuilder, MessageType, TransactionId};
use antiphon_util::Writer;

/// A loopback address, the port chosen by the system.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(crate) fn builder() -> Builder {
    PeerConnection::builder().bind(loopback())
}

pub(crate) async fn peer() -> PeerConnection {
    builder().build().await.unwrap()
}

/// Exchanges complete descriptions, `offerer` first.
pub(crate) async fn negotiate(offerer: &PeerConnection, answerer: &PeerConnection) {
    offerer.set_local_description(None).await.unwrap();
    offerer.gathering_complete().await.unwrap();
    answerer.set_remote_description(offerer.local_description().unwrap()).await.unwrap();
    answerer.set_local_description(None).await.unwrap();
    answerer.gathering_complete().await.unwrap();
    offerer.set_remote_description(answerer.local_description().unwrap()).await.unwrap();
}

/// Two connected peers with one open channel between them.
pub(crate) struct Pair {
    pub(crate) offerer: PeerConnection,
    pub(crate) answerer: PeerConnection,
    pub(crate) near: DataChannel,
    pub(crate) far: DataChannel,
}

pub(crate) async fn pair() -> Pair {
    pair_of(peer().await, peer().await).await
}

pub(crate) async fn pair_of(offerer: PeerConnection, answerer: PeerConnection) -> Pair {
    let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
    negotiate(&offerer, &answerer).await;
    let far = soon(answerer.accept_data_channel()).await.unwrap();
    soon(near.opened()).await.unwrap();
    soon(far.opened()).await.unwrap();
    Pair { offerer, answerer, near, far }
}

/// What `future` gives, which must be soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("something that should happen soon did not")
}

/// Bytes that differ from one position and seed to the next.
pub(crate) fn pattern(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

/// An endpoint at one loopback address.
pub(crate) async fn endpoint(shards: usize) -> Endpoint {
    let shards = NonZeroUsize::new(shards).unwrap();
    Endpoint::builder().bind(loopback()).shards(shards).build().await.unwrap()
}

/// A connection that shares the port of `endpoint`.
pub(crate) async fn at(endpoint: &Endpoint) -> PeerConnection {
    PeerConnection::builder().endpoint(endpoint).build().await.unwrap()
}

/// A message each way.
pub(crate) async fn exchange(pair: &Pair, text: &str) {
    soon(pair.near.send(text)).await.unwrap();
    assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from(text));
    soon(pair.far.send(text)).await.unwrap();
    assert_eq!(soon(pair.near.recv()).await.unwrap(), Message::from(text));
}

/// A STUN binding request, signed where there is a password.
pub(crate) fn request(username: &str, password: Option<&str>, number: u64) -> Vec<u8> {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let mut builder = MessageBuilder::new(&mut writer, MessageType::BINDING_REQUEST, TransactionId(id));
    builder.attribute(&Attribute::Username(username));
    builder.attribute(&Attribute::Priority(1));
    builder.attribute(&Attribute::IceControlling(u64::MAX));
    if let Some(password) = password {
        builder.message_integrity(&Provider::default().hmac_key(HashAlgorithm::Sha1, password.as_bytes()));
    }
    builder.fingerprint();
    builder.finish().unwrap();
    bytes
}
