//! Every way a channel or a connection ends, and who is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod common;

use std::time::Duration;

use antiphon::{
    ConnectionError, ConnectionState, DataChannelInit, DtlsState, IceConnectionState, Message, ReadyState,
    RecvError, SendError, ShutdownError,
};
use common::{Pair, builder, negotiate, pair, pair_of, peer, soon};

#[tokio::test]
async fn closing_a_channel_delivers_what_was_sent_and_closes_both_ends() {
    let Pair { offerer, near, far, .. } = &pair().await;
    for _ in 0..100 {
        near.send(vec![1; 10_000]).await.unwrap();
    }
    near.close();
    near.close();
    assert_eq!(near.try_send("late"), Err(SendError::Closed));
    assert_eq!(near.send("late").await, Err(SendError::Closed));
    for _ in 0..100 {
        assert_eq!(soon(far.recv()).await.unwrap().len(), 10_000);
    }
    assert_eq!(soon(far.recv()).await, Err(RecvError::Closed));
    soon(near.closed()).await;
    soon(far.closed()).await;
    assert_eq!((near.ready_state(), far.ready_state()), (ReadyState::Closed, ReadyState::Closed));
    assert_eq!(offerer.connection_state(), ConnectionState::Connected);
}

#[tokio::test]
async fn dropping_the_last_handle_of_a_channel_closes_it() {
    let Pair { near, far, offerer, answerer: _answerer } = pair().await;
    let clone = near.clone();
    near.send("last words").await.unwrap();
    drop(near);
    assert_eq!(soon(far.recv()).await.unwrap(), Message::from("last words"));
    assert_eq!(far.ready_state(), ReadyState::Open);
    drop(clone);
    assert_eq!(soon(far.recv()).await, Err(RecvError::Closed));
    assert_eq!(offerer.connection_state(), ConnectionState::Connected);
}

#[tokio::test]
async fn close_tells_the_peer_and_wakes_everyone() {
    let Pair { offerer, answerer, near, far } = pair().await;
    let waiting = tokio::spawn({
        let (near, far, answerer) = (near.clone(), far.clone(), answerer.clone());
        async move {
            tokio::join!(near.recv(), far.recv(), near.closed(), far.closed(), answerer.accept_data_channel())
        }
    });
    tokio::task::yield_now().await;
    offerer.close();
    offerer.close();
    assert_eq!(offerer.connection_state(), ConnectionState::Closed);
    let (near_end, far_end, (), (), accept) = soon(waiting).await.unwrap();
    assert_eq!((near_end, far_end), (Err(RecvError::Closed), Err(RecvError::Closed)));
    assert!(accept.is_err());
    assert_eq!(soon(answerer.ended()).await, ConnectionError::Closed);
    assert_eq!(answerer.dtls_state(), DtlsState::Closed);
    let ice = answerer.ice_connection_state();
    assert!(matches!(ice, IceConnectionState::Connected | IceConnectionState::Completed), "{ice:?}");
    soon(offerer.closed()).await;
    while soon(offerer.next_event()).await.is_some() {}
    assert_eq!(offerer.connected().await, Err(ConnectionError::Closed));
    assert_eq!(near.send("late").await, Err(SendError::Closed));
    assert!(offerer.create_offer().await.is_err());
    assert!(offerer.create_data_channel("late", DataChannelInit::default()).is_err());
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection_and_tells_the_peer() {
    let Pair { offerer, answerer: _answerer, near, far } = pair().await;
    let mut events = Box::pin(offerer.events());
    drop(offerer);
    near.send("a channel keeps the connection").await.unwrap();
    assert!(soon(far.recv()).await.is_ok());
    drop(near);
    assert_eq!(soon(far.recv()).await, Err(RecvError::Closed));
    while soon(std::future::poll_fn(|cx| futures_core::Stream::poll_next(events.as_mut(), cx)))
        .await
        .is_some()
    {}
}

#[tokio::test]
async fn shutdown_delivers_what_was_accepted() {
    let Pair { offerer, answerer: _answerer, near, far } = pair().await;
    let receiving = tokio::spawn(async move {
        let mut received = 0;
        while let Ok(message) = far.recv().await {
            received += message.len();
        }
        received
    });
    for _ in 0..400 {
        near.send(vec![3; 16 * 1024]).await.unwrap();
    }
    soon(offerer.shutdown()).await.unwrap();
    assert_eq!(soon(receiving).await.unwrap(), 400 * 16 * 1024);
    assert_eq!(near.try_send("late"), Err(SendError::Closed));
    assert_eq!(offerer.connection_state(), ConnectionState::Closed);
}

#[tokio::test]
async fn shutdown_is_bounded_in_time() {
    let offerer = builder().shutdown_timeout(Duration::from_millis(200)).build().await.unwrap();
    let Pair { offerer, answerer: _answerer, near, far: _unread } = pair_of(offerer, peer().await).await;
    while near.try_send(vec![0; 16 * 1024]) != Err(SendError::Full) {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let waiting = tokio::spawn({
        let near = near.clone();
        async move { near.send("waits for room").await }
    });
    while near.try_send(vec![0; 16 * 1024]) != Err(SendError::Full) {
        tokio::task::yield_now().await;
    }
    assert_eq!(soon(offerer.shutdown()).await, Err(ShutdownError::TimedOut));
    assert_eq!(soon(waiting).await.unwrap(), Err(SendError::Closed));
    assert_eq!(offerer.connection_state(), ConnectionState::Closed);
}

#[test]
fn shutdown_waits_for_acknowledgement() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (here, there) = (runtime(), runtime());
    here.block_on(async {
        let offerer = builder().shutdown_timeout(Duration::from_millis(300)).build().await.unwrap();
        let answerer = there.spawn(peer()).await.unwrap();
        let pair = pair_of(offerer, answerer).await;
        there.shutdown_background();
        // It goes out at once, and to nobody.
        pair.near.send("anyone there?").await.unwrap();
        assert_eq!(soon(pair.offerer.shutdown()).await, Err(ShutdownError::TimedOut));
    });
}

#[tokio::test]
async fn a_connection_that_was_never_used_closes_and_shuts_down() {
    let unused = peer().await;
    soon(unused.shutdown()).await.unwrap();
    assert_eq!(soon(unused.shutdown()).await, Err(ShutdownError::Closed));
    soon(unused.closed()).await;
    assert_eq!(unused.gathering_complete().await, Err(ConnectionError::Closed));
    drop(peer().await);
}

#[test]
fn a_runtime_that_ends_takes_its_connections_with_it() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (here, there) = (runtime(), runtime());
    let Pair { offerer, near, .. } = here.block_on(async {
        let answerer = there.spawn(peer()).await.unwrap();
        let offerer = peer().await;
        let near = offerer.create_data_channel("test", DataChannelInit::default()).unwrap();
        negotiate(&offerer, &answerer).await;
        let far = soon(answerer.accept_data_channel()).await.unwrap();
        soon(near.opened()).await.unwrap();
        Pair { offerer, answerer, near, far }
    });
    let waiting = there.spawn(async move { near.recv().await });
    here.shutdown_background();
    assert_eq!(there.block_on(soon(waiting)).unwrap(), Err(RecvError::Closed));
    there.block_on(soon(offerer.closed()));
}
