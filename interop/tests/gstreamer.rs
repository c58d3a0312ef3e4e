//! ICE over TCP with libnice, GStreamer's.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

#[allow(dead_code, reason = "a few of them serve here")]
mod scenarios;

use antiphon::{DataChannelInit, Message, PeerConnection, Tcp};
use antiphon_interop::{ChannelInit, Gstreamer, Network, Payload};
use antiphon_testkit::left_out;
use anyhow::{Context, Result, ensure};
use scenarios::{Offerer, describe, set_remote, soon};
use serde_json::Value;

/// A description that names no candidate over UDP.
fn without_udp(mut description: Value) -> Result<Value> {
    let sdp = description["sdp"].as_str().context("a description")?;
    let is_udp = |line: &&str| line.starts_with("a=candidate:") && line.to_lowercase().contains(" udp ");
    let lines: Vec<&str> = sdp.lines().filter(|line| !is_udp(line)).collect();
    ensure!(lines.iter().any(|line| line.starts_with("a=candidate:")), "no candidate over TCP: {sdp}");
    description["sdp"] = (lines.join("\r\n") + "\r\n").into();
    Ok(description)
}

/// A message each way over TCP, with connections opened as `tcp` says.
async fn meet(tcp: Tcp, offerer: Offerer) -> Result<()> {
    if left_out("gstreamer") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let mut remote = Gstreamer::start().await?;
    let connection = PeerConnection::builder().bind("10.77.0.1:0".parse()?).tcp(tcp).build().await?;
    let channel = match offerer {
        Offerer::Antiphon => {
            let channel = connection.create_data_channel("tcp", DataChannelInit::default())?;
            let answer = remote.answer(&without_udp(describe(&connection).await?)?).await?;
            set_remote(&connection, &without_udp(answer)?).await?;
            channel
        }
        Offerer::Remote => {
            remote.create_channel("tcp", &ChannelInit::default()).await?;
            set_remote(&connection, &without_udp(remote.offer().await?)?).await?;
            remote.accept(&without_udp(describe(&connection).await?)?).await?;
            soon("their channel", connection.accept_data_channel()).await??
        }
    };
    soon("sending", channel.send("to libnice")).await??;
    assert_eq!(remote.receive("tcp", 1).await?, [Payload::Text("to libnice".into())]);
    remote.send("tcp", &[Payload::Text("from libnice".into())]).await?;
    assert_eq!(soon("a message", channel.recv()).await??, Message::from("from libnice"));
    let path = connection.statistics().selected_path.context("a path")?;
    ensure!(format!("{:?}", path.protocol) == "Tcp", "{path:?}");
    ensure!((path.local.port() == 9) == tcp.active, "{path:?}");
    connection.close();
    remote.quit().await
}

const ACTIVE: Tcp = Tcp { active: true, passive: false };
const PASSIVE: Tcp = Tcp { active: false, passive: true };

#[tokio::test]
async fn an_active_candidate_reaches_an_answerer() -> Result<()> {
    meet(ACTIVE, Offerer::Antiphon).await
}

#[tokio::test]
async fn an_active_candidate_reaches_an_offerer() -> Result<()> {
    meet(ACTIVE, Offerer::Remote).await
}

#[tokio::test]
async fn a_passive_candidate_is_reached_by_an_answerer() -> Result<()> {
    meet(PASSIVE, Offerer::Antiphon).await
}

#[tokio::test]
async fn a_passive_candidate_is_reached_by_an_offerer() -> Result<()> {
    meet(PASSIVE, Offerer::Remote).await
}
