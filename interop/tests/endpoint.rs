//! Peers of other makes on the one port of an `Endpoint`.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

#[allow(dead_code, reason = "a few of them serve here")]
mod scenarios;

use antiphon::{Endpoint, PeerConnection};
use antiphon_interop::{Aiortc, Chromium, Driver, Firefox, Network, Remote};
use antiphon_testkit::left_out;
use anyhow::Result;
use scenarios::Offerer;

/// What each of them accepts.
const LARGEST: usize = 65_536;

/// Messages on a connection of an endpoint that has another one as well.
async fn messages(remote: &mut Remote<impl Driver>, offerer: Offerer) -> Result<()> {
    let endpoint = Endpoint::builder().include_loopback(true).build().await?;
    let _other = PeerConnection::builder().endpoint(&endpoint).build().await?;
    let connection = PeerConnection::builder().endpoint(&endpoint).build().await?;
    scenarios::messages_with(connection, remote, offerer, LARGEST).await
}

#[tokio::test]
async fn an_answering_chromium() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    messages(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn an_offering_chromium() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    messages(&mut browser, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn an_answering_firefox() -> Result<()> {
    if left_out("firefox") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let mut browser = Firefox::start().await?;
    messages(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn an_offering_firefox() -> Result<()> {
    if left_out("firefox") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let mut browser = Firefox::start().await?;
    messages(&mut browser, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn an_answering_aiortc() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    messages(&mut aiortc, Offerer::Antiphon).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn an_offering_aiortc() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    messages(&mut aiortc, Offerer::Remote).await?;
    aiortc.quit().await
}
