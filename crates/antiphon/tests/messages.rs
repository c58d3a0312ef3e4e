//! Messages of every kind and size go both ways.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::time::Duration;

use antiphon::{Bytes, ConnectionState, DataChannelInit, Event, Message, ReadyState, SendError};
use common::{negotiate, pair, pattern, peer, soon};

#[tokio::test]
async fn text_binary_and_empty_messages_arrive_both_ways() {
    let pair = pair().await;
    let messages = [
        Message::from("héllo"),
        Message::from(""),
        Message::from(Bytes::from_static(&[0, 255, 1])),
        Message::from(Bytes::new()),
    ];
    for (from, to) in [(&pair.near, &pair.far), (&pair.far, &pair.near)] {
        for message in &messages {
            from.send(message.clone()).await.unwrap();
        }
        for message in &messages {
            assert_eq!(&soon(to.recv()).await.unwrap(), message);
        }
    }
}

#[tokio::test]
async fn messages_of_many_sizes_arrive_whole_and_in_order() {
    let pair = pair().await;
    let sizes = [1, 2, 1_150, 1_200, 1_201, 4_096, 16_384, 65_535, 65_536, 200_000, 262_144];
    let receiving = tokio::spawn({
        let far = pair.far.clone();
        async move {
            for (seed, size) in sizes.into_iter().enumerate() {
                let received = far.recv().await.unwrap();
                assert!(received == Message::from(pattern(size, seed as u32)), "message of {size} bytes");
            }
        }
    });
    for (seed, size) in sizes.into_iter().enumerate() {
        pair.near.send(pattern(size, seed as u32)).await.unwrap();
    }
    soon(receiving).await.unwrap();
}

#[tokio::test]
async fn what_is_sent_before_the_channel_opens_waits() {
    let (offerer, answerer) = (peer().await, peer().await);
    let channel = offerer.create_data_channel("early", DataChannelInit::default()).unwrap();
    assert_eq!(channel.ready_state(), ReadyState::Connecting);
    assert_eq!(channel.try_send("too early"), Err(SendError::NotOpen));
    let (sent, ()) = tokio::join!(soon(channel.send("patient")), negotiate(&offerer, &answerer));
    sent.unwrap();
    let far = soon(answerer.accept_data_channel()).await.unwrap();
    assert_eq!(far.label(), "early");
    assert_eq!(soon(far.recv()).await.unwrap(), Message::from("patient"));
}

#[tokio::test]
async fn events_tell_the_way_to_connected_and_the_channel() {
    let (offerer, answerer) = (peer().await, peer().await);
    let near = offerer.create_data_channel("events", DataChannelInit::default()).unwrap();
    negotiate(&offerer, &answerer).await;
    soon(near.opened()).await.unwrap();
    let (mut states, mut label) = (Vec::new(), None);
    while label.is_none() {
        match soon(answerer.next_event()).await.unwrap() {
            Event::ConnectionStateChange(state) => states.push(state),
            Event::DataChannel(channel) => label = Some(channel.label().to_owned()),
            _ => {}
        }
    }
    assert_eq!(states, [ConnectionState::Connecting, ConnectionState::Connected]);
    assert_eq!(label.as_deref(), Some("events"));
}

#[tokio::test]
async fn two_readers_share_the_messages_of_a_channel() {
    let pair = pair().await;
    let read = |channel: antiphon::DataChannel| {
        tokio::spawn(async move {
            let mut count = 0;
            while channel.recv().await.is_ok() {
                count += 1;
            }
            count
        })
    };
    let readers = [read(pair.far.clone()), read(pair.far.clone())];
    for _ in 0..500 {
        pair.near.send("x").await.unwrap();
    }
    pair.near.close();
    let mut total = 0;
    for reader in readers {
        total += soon(reader).await.unwrap();
    }
    assert_eq!(total, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_channels_carry_their_own_messages() {
    const CHANNELS: usize = 300;
    let pair = pair().await;
    let echo = tokio::spawn({
        let answerer = pair.answerer.clone();
        async move {
            let mut channels = Vec::new();
            for _ in 0..CHANNELS {
                let channel = answerer.accept_data_channel().await.unwrap();
                let message = channel.recv().await.unwrap();
                assert_eq!(message, Message::from(channel.label()));
                channel.send(message).await.unwrap();
                channels.push(channel);
            }
            channels
        }
    });
    let channels: Vec<_> = (0..CHANNELS)
        .map(|i| {
            pair.offerer.create_data_channel(&format!("channel {i}"), DataChannelInit::default()).unwrap()
        })
        .collect();
    for channel in &channels {
        channel.send(channel.label()).await.unwrap();
    }
    for channel in &channels {
        assert_eq!(soon(channel.recv()).await.unwrap(), Message::from(channel.label()));
    }
    let mut ids: Vec<_> = channels.iter().map(|channel| channel.id().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CHANNELS);
    soon(echo).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_are_set_up_at_once() {
    let pairs: Vec<_> = (0..50).map(|_| tokio::spawn(pair())).collect();
    for pair in pairs {
        let pair = soon(pair).await.unwrap();
        pair.near.send("ping").await.unwrap();
        assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from("ping"));
    }
}

#[tokio::test]
async fn a_cancelled_recv_loses_nothing() {
    let pair = pair().await;
    for _ in 0..20 {
        assert!(tokio::time::timeout(Duration::from_millis(1), pair.far.recv()).await.is_err());
    }
    pair.near.send("still there").await.unwrap();
    assert_eq!(soon(pair.far.recv()).await.unwrap(), Message::from("still there"));
}
