//! A channel as a byte stream.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod common;

use common::{Pair, pair, pattern, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_megabytes_both_ways() {
    const LEN: usize = 8 << 20;
    let Pair { offerer: _offerer, answerer: _answerer, near, far } = pair().await;
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(far.into_stream());
        tokio::io::copy(&mut read, &mut write).await.unwrap()
    });
    let sent = pattern(LEN, 5);
    let (mut read, mut write) = tokio::io::split(near.into_stream());
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move {
            write.write_all(&sent).await.unwrap();
            write.flush().await.unwrap();
            write
        }
    });
    let mut received = vec![0; LEN];
    soon(read.read_exact(&mut received)).await.unwrap();
    assert!(received == sent);
    let mut write = soon(writing).await.unwrap();
    soon(write.shutdown()).await.unwrap();
    assert_eq!(soon(echo).await.unwrap(), LEN as u64);
    assert_eq!(soon(read.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn reading_goes_across_messages_and_skips_empty_ones() {
    let Pair { near, far, .. } = pair().await;
    let mut stream = far.into_stream();
    for message in ["ab", "", "cde", "f"] {
        near.send(message).await.unwrap();
    }
    let mut bytes = [0; 4];
    soon(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"abcd");
    near.close();
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"ef");
    assert!(stream.write_all(b"late").await.is_err());
}
