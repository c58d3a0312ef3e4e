//! The real peers with each other: what the tests of Antiphon stand on.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

use antiphon_interop::{Aiortc, ChannelInit, Chromium, Driver, Payload, Remote};
use antiphon_testkit::left_out;
use anyhow::Result;

fn payloads(largest: usize) -> Vec<Payload> {
    vec![
        Payload::Text("grüß dich".into()),
        Payload::Text(String::new()),
        Payload::Binary(Vec::new()),
        Payload::text(5_000),
        Payload::binary(largest),
    ]
}

async fn connect(offerer: &mut Remote<impl Driver>, answerer: &mut Remote<impl Driver>) -> Result<()> {
    let offer = offerer.offer().await?;
    let answer = answerer.answer(&offer).await?;
    offerer.accept(&answer).await?;
    offerer.wait_connection("connected").await?;
    answerer.wait_connection("connected").await
}

/// Messages both ways on a channel of the offerer, which the answerer then closes.
async fn exchange(
    offerer: &mut Remote<impl Driver>,
    answerer: &mut Remote<impl Driver>,
    largest: usize,
) -> Result<()> {
    let init = ChannelInit { protocol: "test".into(), ..ChannelInit::default() };
    offerer.create_channel("main", &init).await?;
    connect(offerer, answerer).await?;
    let sent = payloads(largest);
    answerer.wait_channel("main", "open").await?;
    assert_eq!(answerer.channel("main").await?["protocol"], "test");
    offerer.wait_channel("main", "open").await?;
    answerer.echo().await?;
    offerer.send("main", &sent).await?;
    assert_eq!(answerer.receive("main", sent.len()).await?, sent);
    assert_eq!(offerer.receive("main", sent.len()).await?, sent);
    assert_eq!(answerer.labels().await?, ["main"]);
    answerer.close_channel("main").await?;
    offerer.wait_channel("main", "closed").await
}

#[tokio::test]
async fn two_browsers_talk_and_trickle() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let (mut a, mut b) = (Chromium::start().await?, Chromium::start().await?);
    a.create_channel("main", &ChannelInit::default()).await?;
    let offer = a.offer_early().await?;
    let answer = b.answer_early(&offer).await?;
    a.accept(&answer).await?;
    let mut known = 0;
    loop {
        let candidates = a.candidates(known).await?;
        for candidate in &candidates {
            b.add_candidate(candidate).await?;
        }
        known += candidates.len();
        if candidates.last().is_some_and(serde_json::Value::is_null) {
            break;
        }
    }
    b.wait_channel("main", "open").await?;
    b.send("main", &[Payload::binary(262_144)]).await?;
    assert_eq!(a.receive("main", 1).await?, [Payload::binary(262_144)]);
    a.close().await?;
    b.wait_channel("main", "closed").await?;
    a.quit().await?;
    b.quit().await
}

#[tokio::test]
async fn a_browser_offers_to_aiortc() -> Result<()> {
    if left_out("chromium") || left_out("aiortc") {
        return Ok(());
    }
    let (mut browser, mut aiortc) = (Chromium::start().await?, Aiortc::start().await?);
    exchange(&mut browser, &mut aiortc, 65_536).await?;
    browser.quit().await?;
    aiortc.quit().await
}

#[tokio::test]
async fn aiortc_offers_to_a_browser() -> Result<()> {
    if left_out("chromium") || left_out("aiortc") {
        return Ok(());
    }
    let (mut browser, mut aiortc) = (Chromium::start().await?, Aiortc::start().await?);
    exchange(&mut aiortc, &mut browser, 65_536).await?;
    browser.quit().await?;
    aiortc.quit().await
}

#[tokio::test]
async fn an_operation_that_fails_says_why() -> Result<()> {
    if left_out("aiortc") {
        return Ok(());
    }
    let mut aiortc = Aiortc::start().await?;
    let error = aiortc.accept(&serde_json::json!({"type": "answer", "sdp": ""})).await.err();
    assert!(error.is_some_and(|error| error.to_string().starts_with("accept: ")));
    aiortc.quit().await
}
