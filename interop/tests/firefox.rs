//! Data channels between Antiphon and Firefox.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

mod scenarios;

use antiphon_interop::{Browser, Firefox, Network, Remote};
use antiphon_testkit::left_out;
use anyhow::Result;
use scenarios::Offerer;

/// Firefox would take a gibibyte; we announce, and so get, no more than others.
const LARGEST: usize = 262_144;

/// A browser, and the network that it shares with the connection of the test.
async fn start() -> Result<Option<(Network, Remote<Browser>)>> {
    if left_out("firefox") {
        return Ok(None);
    }
    let network = Network::enter()?;
    Ok(Some((network, Firefox::start().await?)))
}

#[tokio::test]
async fn messages_to_an_answering_browser() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::messages(&mut browser, Offerer::Antiphon, LARGEST).await?;
    browser.quit().await
}

#[tokio::test]
async fn messages_to_an_offering_browser() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::messages(&mut browser, Offerer::Remote, LARGEST).await?;
    browser.quit().await
}

#[tokio::test]
async fn sixteen_channels_with_an_answering_browser() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::sixteen_channels(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn kinds_of_channels_with_an_offering_browser() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::kinds_of_channels(&mut browser, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn channels_close_and_then_antiphon_closes() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::closing(&mut browser, Offerer::Antiphon, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn channels_close_and_then_the_browser_closes() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::closing(&mut browser, Offerer::Remote, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn a_browser_with_another_certificate_is_refused() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::wrong_fingerprint(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn candidates_trickle_both_ways() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::trickle(&mut browser).await?;
    browser.quit().await
}

#[tokio::test]
async fn a_browser_of_dtls_1_2() -> Result<()> {
    if left_out("firefox") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let mut browser = Firefox::start_with_dtls12().await?;
    scenarios::messages(&mut browser, Offerer::Remote, LARGEST).await?;
    browser.quit().await
}

#[tokio::test]
async fn messages_of_a_megabyte_are_interleaved_both_ways() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::messages(&mut browser, Offerer::Antiphon, 1_000_000).await?;
    browser.quit().await?;
    let mut browser = Firefox::start().await?;
    let connection = scenarios::talk(&mut browser, Offerer::Remote).await?;
    assert!(connection.statistics().sctp.interleaving);
    connection.close();
    browser.quit().await
}

#[tokio::test]
async fn a_hundred_channels_with_an_offering_browser() -> Result<()> {
    let Some((_network, mut browser)) = start().await? else { return Ok(()) };
    scenarios::many_channels(&mut browser, Offerer::Remote, 50).await?;
    browser.quit().await
}
