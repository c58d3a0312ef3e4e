//! What Antiphon and a peer of another make do together, whichever makes the offer.

use std::future::Future;
use std::time::Duration;

use antiphon::{
    Configuration, ConnectionState, DataChannel, DataChannelInit, Event, IceCandidate, Message,
    PeerConnection, SessionDescription,
};
use antiphon_interop::{ChannelInit, Driver, Payload, Remote};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Who makes the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offerer {
    /// The connection of this library.
    Antiphon,
    /// The peer of another make.
    Remote,
}

/// Waits at most for half a minute.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .with_context(|| format!("{what} takes too long"))
}

/// A connection that the peer reaches over loopback.
pub(crate) async fn antiphon() -> Result<PeerConnection> {
    antiphon_that_takes(262_144).await
}

/// One that takes messages of so many bytes.
async fn antiphon_that_takes(largest: usize) -> Result<PeerConnection> {
    let mut configuration = Configuration::default();
    configuration.limits.message_size = largest.max(262_144);
    configuration.network.include_loopback = true;
    Ok(PeerConnection::new(configuration).await?)
}

/// The local description with all candidates, as JSON.
pub(crate) async fn describe(connection: &PeerConnection) -> Result<Value> {
    connection.set_local_description(None).await?;
    soon("gathering", connection.gathering_complete()).await??;
    Ok(serde_json::to_value(connection.local_description().context("a local description")?)?)
}

/// Sets the description that the peer gave as JSON.
pub(crate) async fn set_remote(connection: &PeerConnection, description: &Value) -> Result<()> {
    let description: SessionDescription = serde_json::from_value(description.clone())?;
    Ok(connection.set_remote_description(description).await?)
}

/// Exchanges descriptions and waits until both are connected.
pub(crate) async fn connect(
    connection: &PeerConnection,
    remote: &mut Remote<impl Driver>,
    offerer: Offerer,
) -> Result<()> {
    match offerer {
        Offerer::Antiphon => {
            let answer = remote.answer(&describe(connection).await?).await?;
            set_remote(connection, &answer).await?;
        }
        Offerer::Remote => {
            set_remote(connection, &remote.offer().await?).await?;
            remote.accept(&describe(connection).await?).await?;
        }
    }
    soon("connecting", connection.connected()).await??;
    remote.wait_connection("connected").await
}

/// Two channels, one made by each end, on which everything sent comes back, and on which the peer speaks first.
pub(crate) async fn messages(
    remote: &mut Remote<impl Driver>,
    offerer: Offerer,
    largest: usize,
) -> Result<()> {
    messages_with(antiphon_that_takes(largest).await?, remote, offerer, largest).await
}

/// The same with a given connection.
pub(crate) async fn messages_with(
    connection: PeerConnection,
    remote: &mut Remote<impl Driver>,
    offerer: Offerer,
    largest: usize,
) -> Result<()> {
    let ours = connection.create_data_channel("ours", labelled("by us"))?;
    remote
        .create_channel("theirs", &ChannelInit { protocol: "by them".into(), ..ChannelInit::default() })
        .await?;
    connect(&connection, remote, offerer).await?;
    let theirs = soon("their channel", connection.accept_data_channel()).await??;
    assert_eq!((theirs.label(), theirs.protocol(), theirs.ordered()), ("theirs", "by them", true));
    remote.wait_channel("ours", "open").await?;
    assert_eq!(remote.channel("ours").await?["protocol"], "by us");

    remote.wait_channel("theirs", "open").await?;
    remote.send("theirs", &payloads(largest)).await?;
    expect(&theirs, &payloads(largest)).await?;
    remote.echo().await?;
    for channel in [&ours, &theirs] {
        for payload in payloads(largest) {
            soon("sending", channel.send(message(&payload))).await??;
        }
        expect(channel, &payloads(largest)).await?;
        assert_eq!(remote.receive(channel.label(), 5).await?, payloads(largest));
    }
    connection.close();
    Ok(())
}

/// DTLS is spoken at `version`, as the browser's statistics name it in hexadecimal.
#[allow(dead_code, reason = "not every peer has statistics")]
pub(crate) async fn dtls_version(
    remote: &mut Remote<impl Driver>,
    offerer: Offerer,
    version: &str,
) -> Result<()> {
    let connection = talk(remote, offerer).await?;
    let transport = remote.transport().await?;
    assert_eq!(transport["tlsVersion"], version, "{transport}");
    connection.close();
    Ok(())
}

/// A connection over which a message came back.
#[allow(dead_code, reason = "not every peer has something to be looked at afterwards")]
pub(crate) async fn talk(remote: &mut Remote<impl Driver>, offerer: Offerer) -> Result<PeerConnection> {
    let connection = antiphon().await?;
    let ours = connection.create_data_channel("ours", labelled(""))?;
    // Without a channel of its own a browser that offers has nothing to offer.
    remote.create_channel("theirs", &ChannelInit::default()).await?;
    connect(&connection, remote, offerer).await?;
    remote.wait_channel("ours", "open").await?;
    remote.echo().await?;
    soon("sending", ours.send(message(&Payload::text(10)))).await??;
    expect(&ours, &[Payload::text(10)]).await?;
    Ok(connection)
}

/// The handshake rides in checks.
#[allow(dead_code, reason = "not every peer does it")]
pub(crate) async fn handshake_in_checks(remote: &mut Remote<impl Driver>, offerer: Offerer) -> Result<()> {
    let connection = talk(remote, offerer).await?;
    let description = connection.remote_description().context("a remote description")?;
    assert!(
        description.sdp.contains(" sped") || description.sdp.contains(" googspedv1"),
        "{}",
        description.sdp
    );
    let embedded = connection.statistics().embedded;
    assert!(embedded.sent > 0 && embedded.received > 0, "{embedded:?}");
    connection.close();
    Ok(())
}

/// Sixteen channels at once.
#[allow(dead_code, reason = "some have more")]
pub(crate) async fn sixteen_channels(remote: &mut Remote<impl Driver>, offerer: Offerer) -> Result<()> {
    many_channels(remote, offerer, 8).await
}

/// Channels at once, `each` of them made by each end, with ids of its maker's kind.
pub(crate) async fn many_channels(
    remote: &mut Remote<impl Driver>,
    offerer: Offerer,
    each: usize,
) -> Result<()> {
    let connection = antiphon().await?;
    let mut channels = Vec::new();
    for number in 0..each {
        channels.push(connection.create_data_channel(&format!("ours {number}"), labelled(""))?);
        remote.create_channel(&format!("theirs {number}"), &ChannelInit::default()).await?;
    }
    remote.echo().await?;
    connect(&connection, remote, offerer).await?;
    for _ in 0..each {
        channels.push(soon("their channels", connection.accept_data_channel()).await??);
    }
    for channel in &channels {
        soon("sending", channel.send(channel.label())).await??;
    }
    let mut ids = Vec::new();
    for channel in &channels {
        assert_eq!(soon("an echo", channel.recv()).await??, Message::from(channel.label()));
        assert_eq!(remote.channel(channel.label()).await?["id"], json!(channel.id()));
        ids.push(channel.id().context("an id")?);
    }
    let parity = ids[0] % 2;
    assert!(
        ids[..each].iter().all(|id| id % 2 == parity) && ids[each..].iter().all(|id| id % 2 != parity),
        "{ids:?}"
    );
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2 * each);
    connection.close();
    Ok(())
}

/// Unordered and partially reliable channels from either side, and one that both agreed on beforehand.
pub(crate) async fn kinds_of_channels(remote: &mut Remote<impl Driver>, offerer: Offerer) -> Result<()> {
    let connection = antiphon().await?;
    let twice = DataChannelInit { ordered: false, max_retransmits: Some(2), ..DataChannelInit::default() };
    let life = Some(Duration::from_millis(1_500));
    let briefly = DataChannelInit { max_packet_life_time: life, ..DataChannelInit::default() };
    let agreed = DataChannelInit { negotiated: true, id: Some(100), ..DataChannelInit::default() };
    let mut channels = vec![
        connection.create_data_channel("twice", twice)?,
        connection.create_data_channel("briefly", briefly)?,
        connection.create_data_channel("agreed", agreed)?,
    ];
    let never = ChannelInit { unordered: true, max_retransmits: Some(0), ..ChannelInit::default() };
    remote.create_channel("never", &never).await?;
    remote.create_channel("agreed", &ChannelInit { negotiated: Some(100), ..ChannelInit::default() }).await?;
    remote.echo().await?;
    connect(&connection, remote, offerer).await?;
    let never = soon("their channel", connection.accept_data_channel()).await??;
    assert!(!never.ordered());
    channels.push(never);
    for channel in &channels {
        soon("opening", channel.opened()).await??;
        soon("sending", channel.send(vec![7; 20_000])).await??;
        assert_eq!(
            soon("an echo", channel.recv()).await??,
            Message::from(vec![7; 20_000]),
            "{}",
            channel.label()
        );
    }
    let told = remote.channel("twice").await?;
    assert_eq!((&told["ordered"], &told["maxRetransmits"]), (&json!(false), &json!(2)));
    let told = remote.channel("briefly").await?;
    assert_eq!((&told["ordered"], &told["maxPacketLifeTime"]), (&json!(true), &json!(1_500)));
    assert_eq!(remote.labels().await?, ["agreed", "briefly", "never", "twice"]);
    connection.close();
    Ok(())
}

/// Channels closed from either side, with what was sent before delivered, then the connection by `closer`.
pub(crate) async fn closing(
    remote: &mut Remote<impl Driver>,
    offerer: Offerer,
    closer: Offerer,
) -> Result<()> {
    let connection = antiphon().await?;
    let by_us = connection.create_data_channel("closed by us", labelled(""))?;
    let by_them = connection.create_data_channel("closed by them", labelled(""))?;
    let last = connection.create_data_channel("last", labelled(""))?;
    // The offer needs a data section, whoever makes it.
    remote.create_channel("theirs", &ChannelInit::default()).await?;
    connect(&connection, remote, offerer).await?;
    for label in ["closed by us", "closed by them", "last"] {
        remote.wait_channel(label, "open").await?;
    }
    for number in 0..50 {
        soon("sending", by_us.send(number.to_string())).await??;
    }
    by_us.close();
    remote.wait_channel("closed by us", "closed").await?;
    let numbers: Vec<_> = (0..50).map(|number: u32| Payload::Text(number.to_string())).collect();
    assert_eq!(remote.receive("closed by us", 50).await?, numbers);
    soon("closing", by_us.closed()).await?;

    remote.send("closed by them", &numbers).await?;
    remote.close_channel("closed by them").await?;
    expect(&by_them, &numbers).await?;
    assert!(soon("the end", by_them.recv()).await?.is_err());
    soon("closing", by_them.closed()).await?;
    assert!(by_them.try_send("too late").is_err());

    match closer {
        Offerer::Antiphon => {
            connection.close();
            remote.wait_channel("last", "closed").await?;
        }
        Offerer::Remote => remote.close().await?,
    }
    assert!(soon("the end", last.recv()).await?.is_err());
    soon("closing", last.closed()).await
}

/// Candidates one by one in both directions, after an offer of the peer that has none.
pub(crate) async fn trickle(remote: &mut Remote<impl Driver>) -> Result<()> {
    let connection = antiphon().await?;
    remote.create_channel("main", &ChannelInit::default()).await?;
    set_remote(&connection, &remote.offer_early().await?).await?;
    connection.set_local_description(None).await?;
    // Before gathering is complete, the description may have no candidate at all.
    let answer = serde_json::to_value(connection.local_description().context("an answer")?)?;
    remote.accept(&answer).await?;
    while let Some(event) = soon("an event", connection.next_event()).await? {
        if let Event::IceCandidate(candidate) = event {
            remote.add_candidate(&serde_json::to_value(&candidate)?).await?;
            if candidate.is_none() {
                break;
            }
        }
    }
    let mut known = 0;
    while known == 0 || connection.connection_state() != ConnectionState::Connected {
        let candidates = remote.candidates(known).await?;
        known += candidates.len();
        for candidate in candidates {
            let end = candidate.is_null();
            let candidate: Option<IceCandidate> = serde_json::from_value(candidate)?;
            connection.add_ice_candidate(candidate).await?;
            if end {
                soon("connecting", connection.connected()).await??;
            }
        }
    }
    let channel = soon("their channel", connection.accept_data_channel()).await??;
    soon("sending", channel.send("trickled")).await??;
    assert_eq!(remote.receive("main", 1).await?, [Payload::Text("trickled".into())]);
    connection.close();
    Ok(())
}

/// A peer whose certificate is not the one described is not connected to.
pub(crate) async fn wrong_fingerprint(remote: &mut Remote<impl Driver>, offerer: Offerer) -> Result<()> {
    let connection = antiphon().await?;
    let channel = connection.create_data_channel("secret", labelled(""))?;
    remote.create_channel("theirs", &ChannelInit::default()).await?;
    match offerer {
        Offerer::Antiphon => {
            let answer = remote.answer(&describe(&connection).await?).await?;
            set_remote(&connection, &forged(&answer)?).await?;
        }
        Offerer::Remote => {
            set_remote(&connection, &forged(&remote.offer().await?)?).await?;
            remote.accept(&describe(&connection).await?).await?;
        }
    }
    assert!(soon("failing", connection.connected()).await?.is_err());
    assert!(soon("failing", channel.recv()).await?.is_err());
    Ok(())
}

/// The description with other fingerprints.
fn forged(description: &Value) -> Result<Value> {
    let sdp = description["sdp"].as_str().context("a description")?;
    let forge = |line: &str| match line.rsplit_once(' ') {
        Some((name, _)) if line.starts_with("a=fingerprint:sha-256") => {
            format!("{name} {}", ["AB"; 32].join(":"))
        }
        _ if line.starts_with("a=fingerprint") => "a=x-removed".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = sdp.lines().map(forge).collect();
    Ok(json!({"type": description["type"], "sdp": lines.join("\r\n") + "\r\n"}))
}

fn labelled(protocol: &str) -> DataChannelInit {
    DataChannelInit { protocol: protocol.into(), ..DataChannelInit::default() }
}

/// Text, binary, empty ones of both, and a `largest` one.
fn payloads(largest: usize) -> Vec<Payload> {
    vec![
        Payload::Text("grüß dich 🎶".into()),
        Payload::Text(String::new()),
        Payload::Binary(Vec::new()),
        Payload::text(5_000),
        Payload::binary(largest),
    ]
}

fn message(payload: &Payload) -> Message {
    match payload {
        Payload::Text(text) => Message::from(text.as_str()),
        Payload::Binary(bytes) => Message::from(bytes.as_slice()),
    }
}

async fn expect(channel: &DataChannel, payloads: &[Payload]) -> Result<()> {
    for payload in payloads {
        let received = soon("a message", channel.recv()).await??;
        assert!(received == message(payload), "{received:?} in place of {payload:?} on {}", channel.label());
    }
    Ok(())
}
