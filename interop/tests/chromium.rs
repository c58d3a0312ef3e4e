//! Data channels between Antiphon and Chromium.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

mod scenarios;

use antiphon_interop::{ChannelInit, Chromium, Payload};
use antiphon_testkit::left_out;
use anyhow::{Context, Result};
use scenarios::Offerer;

/// What today's browsers accept.
const LARGEST: usize = 262_144;

#[tokio::test]
async fn messages_to_an_answering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::messages(&mut browser, Offerer::Antiphon, LARGEST).await?;
    browser.quit().await
}

#[tokio::test]
async fn messages_to_an_offering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::messages(&mut browser, Offerer::Remote, LARGEST).await?;
    browser.quit().await
}

#[tokio::test]
async fn sixteen_channels_with_an_answering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::sixteen_channels(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn sixteen_channels_with_an_offering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::sixteen_channels(&mut browser, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn kinds_of_channels_with_an_answering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::kinds_of_channels(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn kinds_of_channels_with_an_offering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::kinds_of_channels(&mut browser, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn channels_close_and_then_antiphon_closes() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::closing(&mut browser, Offerer::Antiphon, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn channels_close_and_then_the_browser_closes() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::closing(&mut browser, Offerer::Remote, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn a_browser_with_another_certificate_is_refused() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::wrong_fingerprint(&mut browser, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn an_offering_browser_with_another_certificate_is_refused() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::wrong_fingerprint(&mut browser, Offerer::Remote).await?;
    browser.quit().await
}

#[tokio::test]
async fn candidates_trickle_both_ways() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::trickle(&mut browser).await?;
    browser.quit().await
}

#[tokio::test]
async fn offered_media_is_rejected_and_the_data_section_accepted() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    let connection = scenarios::antiphon().await?;
    browser.add_media("audio").await?;
    browser.add_media("video").await?;
    browser.create_channel("main", &ChannelInit::default()).await?;
    browser.echo().await?;
    scenarios::connect(&connection, &mut browser, Offerer::Remote).await?;
    let sdp = connection.local_description().context("an answer")?.sdp;
    let sections: Vec<_> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(sections[0].starts_with("m=audio 0 ") && sections[1].starts_with("m=video 0 "), "{sections:?}");
    assert!(!sections[2].starts_with("m=application 0 "), "{sections:?}");
    let channel = scenarios::soon("their channel", connection.accept_data_channel()).await??;
    scenarios::soon("sending", channel.send("despite it")).await??;
    assert_eq!(browser.receive("main", 1).await?, [Payload::Text("despite it".into())]);
    connection.close();
    browser.quit().await
}

#[tokio::test]
async fn dtls_1_3_with_an_answering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::dtls_version(&mut browser, Offerer::Antiphon, "FEFC").await?;
    browser.quit().await
}

#[tokio::test]
async fn dtls_1_3_with_an_offering_browser() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let mut browser = Chromium::start().await?;
    scenarios::dtls_version(&mut browser, Offerer::Remote, "FEFC").await?;
    browser.quit().await
}

#[tokio::test]
async fn the_handshake_rides_in_checks_of_both() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    for offerer in [Offerer::Antiphon, Offerer::Remote] {
        let mut browser = Chromium::start_with_handshake_in_checks().await?;
        scenarios::handshake_in_checks(&mut browser, offerer).await?;
        browser.quit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn messages_are_interleaved() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    for offerer in [Offerer::Antiphon, Offerer::Remote] {
        let mut browser = Chromium::start_with_interleaving().await?;
        let connection = scenarios::talk(&mut browser, offerer).await?;
        assert!(connection.statistics().sctp.interleaving);
        connection.close();
        browser.quit().await?;
    }
    let mut browser = Chromium::start_with_interleaving().await?;
    scenarios::messages(&mut browser, Offerer::Antiphon, LARGEST).await?;
    browser.quit().await?;
    let mut browser = Chromium::start_with_interleaving().await?;
    scenarios::closing(&mut browser, Offerer::Remote, Offerer::Antiphon).await?;
    browser.quit().await
}

#[tokio::test]
async fn descriptions_take_the_place_of_the_set_up() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    for offerer in [Offerer::Antiphon, Offerer::Remote] {
        let mut browser = Chromium::start_with_described_init().await?;
        let connection = scenarios::talk(&mut browser, offerer).await?;
        for description in [connection.local_description(), connection.remote_description()] {
            assert!(description.context("a description")?.sdp.contains("a=sctp-init:"));
        }
        connection.close();
        browser.quit().await?;
    }
    let mut browser = Chromium::start_with_described_init().await?;
    scenarios::messages(&mut browser, Offerer::Remote, LARGEST).await?;
    browser.quit().await
}
