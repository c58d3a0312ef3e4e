//! Data channels between Antiphon and the libraries of Node: libdatachannel and wrtc.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

#[allow(dead_code, reason = "its candidates come in its descriptions")]
mod scenarios;

use antiphon::{DataChannelInit, Message};
use antiphon_interop::Node;
use antiphon_testkit::left_out;
use anyhow::Result;
use scenarios::Offerer;

/// What both accept.
const LARGEST: usize = 262_144;
const LIBRARIES: [Node; 2] = [Node::Libdatachannel, Node::Wrtc];

#[tokio::test]
async fn messages_both_ways() -> Result<()> {
    if left_out("node") {
        return Ok(());
    }
    for library in LIBRARIES {
        for offerer in [Offerer::Antiphon, Offerer::Remote] {
            let mut peer = library.start().await?;
            scenarios::messages(&mut peer, offerer, LARGEST).await?;
            peer.quit().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn channels_of_wrtc_close_from_either_side() -> Result<()> {
    if left_out("node") {
        return Ok(());
    }
    for closer in [Offerer::Antiphon, Offerer::Remote] {
        let mut peer = Node::Wrtc.start().await?;
        scenarios::closing(&mut peer, Offerer::Antiphon, closer).await?;
        peer.quit().await?;
    }
    Ok(())
}

/// Without messages right before the end, of which some were seen not to come out there.
#[tokio::test]
async fn channels_of_libdatachannel_close_from_either_side() -> Result<()> {
    if left_out("node") {
        return Ok(());
    }
    let mut peer = Node::Libdatachannel.start().await?;
    let connection = scenarios::antiphon().await?;
    let by_us = connection.create_data_channel("closed by us", DataChannelInit::default())?;
    let by_them = connection.create_data_channel("closed by them", DataChannelInit::default())?;
    peer.echo().await?;
    scenarios::connect(&connection, &mut peer, Offerer::Antiphon).await?;
    for channel in [&by_us, &by_them] {
        scenarios::soon("sending", channel.send("before")).await??;
        assert_eq!(scenarios::soon("an echo", channel.recv()).await??, Message::from("before"));
    }
    by_us.close();
    peer.wait_channel("closed by us", "closed").await?;
    scenarios::soon("closing", by_us.closed()).await?;
    peer.close_channel("closed by them").await?;
    assert!(scenarios::soon("the end", by_them.recv()).await?.is_err());
    scenarios::soon("closing", by_them.closed()).await?;
    peer.wait_channel("closed by them", "closed").await?;
    connection.close();
    peer.quit().await
}

#[tokio::test]
async fn packets_go_without_checksum_to_libdatachannel() -> Result<()> {
    if left_out("node") {
        return Ok(());
    }
    let mut peer = Node::Libdatachannel.start().await?;
    let connection = scenarios::talk(&mut peer, Offerer::Antiphon).await?;
    assert!(connection.statistics().sctp.zero_checksum);
    connection.close();
    peer.quit().await
}
