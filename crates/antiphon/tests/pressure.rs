//! A side that does not read holds the other back, and memory stays bounded.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::time::{Duration, Instant};

use antiphon::{DataChannel, SendError};
use common::{Pair, pair, soon};

const MESSAGE: usize = 16 * 1024;

/// More than any of the buffers on the way may hold.
const FAR_TOO_MANY: usize = 64 << 20;

/// Sends until it has to wait for long; how many bytes that took.
async fn fill(channel: &DataChannel) -> usize {
    let mut sent = 0;
    while sent < FAR_TOO_MANY {
        let begun = Instant::now();
        let accepted = tokio::time::timeout(Duration::from_millis(300), channel.send(vec![7; MESSAGE])).await;
        if let Ok(accepted) = accepted {
            accepted.unwrap();
            sent += MESSAGE;
        }
        if begun.elapsed() >= Duration::from_millis(300) {
            break;
        }
    }
    sent
}

#[tokio::test]
async fn a_sender_waits_for_a_reader_that_stopped_and_goes_on_with_it() {
    let Pair { near, far, .. } = &pair().await;
    for (from, to) in [(near, far), (far, near)] {
        let mut sent = fill(from).await;
        assert!(sent < FAR_TOO_MANY, "the sender was never held back");
        while from.try_send(vec![7; 4 * MESSAGE]) != Err(SendError::Full) {
            sent += 4 * MESSAGE;
        }
        assert!(from.buffered_amount() > 0);
        let (mut received, last) = (0, from.send(vec![8; MESSAGE]));
        tokio::pin!(last);
        let mut accepted = false;
        while received < sent {
            tokio::select! {
                message = soon(to.recv()) => received += message.unwrap().len(),
                outcome = &mut last, if !accepted => { outcome.unwrap(); accepted = true; }
            }
        }
        if !accepted {
            soon(last).await.unwrap();
        }
        assert_eq!(soon(to.recv()).await.unwrap().len(), MESSAGE);
    }
}

#[tokio::test]
async fn the_low_threshold_is_told() {
    let Pair { near, far, .. } = &pair().await;
    soon(near.buffered_amount_low()).await.unwrap();
    let sent = fill(near).await;
    near.set_buffered_amount_low_threshold(100_000);
    assert_eq!(near.buffered_amount_low_threshold(), 100_000);
    let low = near.buffered_amount_low();
    tokio::pin!(low);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut low).await.is_err(), "not low yet");
    let mut received = 0;
    let mut told = false;
    while received < sent {
        tokio::select! {
            message = soon(far.recv()) => received += message.unwrap().len(),
            outcome = &mut low, if !told => { outcome.unwrap(); told = true; }
        }
    }
    assert!(told || near.buffered_amount() <= 100_000);
}

#[tokio::test]
async fn dropping_an_unread_channel_frees_the_window_for_the_others() {
    let Pair { offerer, answerer, near, far } = pair().await;
    let other = offerer.create_data_channel("other", antiphon::DataChannelInit::default()).unwrap();
    let other_far = soon(answerer.accept_data_channel()).await.unwrap();
    fill(&near).await;
    drop(far);
    other.send("through").await.unwrap();
    assert_eq!(soon(other_far.recv()).await.unwrap(), antiphon::Message::from("through"));
}
