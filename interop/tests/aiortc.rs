//! Data channels between Antiphon and aiortc.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

#[allow(dead_code, reason = "its candidates come in its descriptions")]
mod scenarios;

use antiphon_interop::Aiortc;
use antiphon_testkit::left_out;
use anyhow::Result;
use scenarios::Offerer;

/// What aiortc accepts.
const LARGEST: usize = 65_536;

#[tokio::test]
async fn messages_to_an_answerer() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::messages(&mut aiortc, Offerer::Antiphon, LARGEST).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn messages_to_an_offerer() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::messages(&mut aiortc, Offerer::Remote, LARGEST).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn sixteen_channels_with_an_answerer() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::sixteen_channels(&mut aiortc, Offerer::Antiphon).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn sixteen_channels_with_an_offerer() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::sixteen_channels(&mut aiortc, Offerer::Remote).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn kinds_of_channels_with_an_answerer() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::kinds_of_channels(&mut aiortc, Offerer::Antiphon).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn kinds_of_channels_with_an_offerer() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::kinds_of_channels(&mut aiortc, Offerer::Remote).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn channels_close_and_then_antiphon_closes() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::closing(&mut aiortc, Offerer::Remote, Offerer::Antiphon).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn channels_close_and_then_the_peer_closes() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::closing(&mut aiortc, Offerer::Antiphon, Offerer::Remote).await?;
    aiortc.quit().await
}

#[tokio::test]
async fn a_peer_with_another_certificate_is_refused() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    scenarios::wrong_fingerprint(&mut aiortc, Offerer::Antiphon).await?;
    aiortc.quit().await
}
