//! What takes a network of one's own: names in place of addresses, interfaces that come and go, an ICE-lite peer.
#![allow(clippy::indexing_slicing, reason = "a JSON value gives null where there is nothing")]

#[allow(dead_code, reason = "a few of them serve here")]
mod scenarios;

use std::time::Duration;

use antiphon::{
    Builder, DataChannel, DataChannelInit, Endpoint, Event, IceConfiguration, Message, PeerConnection,
};
use antiphon_interop::{Chromium, Network};
use antiphon_testkit::left_out;
use anyhow::{Context, Result, ensure};
use scenarios::{Offerer, describe, set_remote, soon};

/// Two connections of this library and the ends of a channel between them.
struct Call {
    offerer: PeerConnection,
    answerer: PeerConnection,
    near: DataChannel,
    far: DataChannel,
}

impl Call {
    async fn open(offerer: PeerConnection, answerer: PeerConnection) -> Result<Self> {
        let near = offerer.create_data_channel("test", DataChannelInit::default())?;
        set_remote(&answerer, &describe(&offerer).await?).await?;
        set_remote(&offerer, &describe(&answerer).await?).await?;
        let far = soon("a channel", answerer.accept_data_channel()).await??;
        let call = Self { offerer, answerer, near, far };
        call.exchange("hello").await?;
        Ok(call)
    }

    async fn exchange(&self, text: &str) -> Result<()> {
        for (from, to) in [(&self.near, &self.far), (&self.far, &self.near)] {
            soon("sending", from.send(text)).await??;
            ensure!(soon("a message", to.recv()).await?? == Message::from(text));
        }
        Ok(())
    }

    /// Carries candidates from one to the other, for as long as there is the connection.
    fn trickle(from: &PeerConnection, to: &PeerConnection) {
        let (from, to) = (from.clone(), to.clone());
        tokio::spawn(async move {
            while let Some(event) = from.next_event().await {
                if let Event::IceCandidate(candidate) = event {
                    // One that was told in the description is known already.
                    let _ = to.add_ice_candidate(candidate).await;
                }
            }
        });
    }
}

fn hiding() -> Builder {
    PeerConnection::builder().ice(IceConfiguration { publish_mdns: true, ..IceConfiguration::default() })
}

#[tokio::test]
async fn peers_that_hide_their_addresses_find_each_other_by_name() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let (endpoint, another) = (Endpoint::builder().build().await?, Endpoint::builder().build().await?);
    for offerer in [hiding(), hiding().endpoint(&another)] {
        let call = Call::open(offerer.build().await?, hiding().endpoint(&endpoint).build().await?).await?;
        for connection in [&call.offerer, &call.answerer] {
            let sdp = connection.local_description().context("a description")?.sdp;
            ensure!(sdp.contains(".local ") && !sdp.contains("10.77.") && !sdp.contains("fd77:"), "{sdp}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_chromium_that_tells_names_answers() -> Result<()> {
    chromium_with_names(PeerConnection::builder(), Offerer::Antiphon).await
}

#[tokio::test]
async fn a_chromium_that_tells_names_offers() -> Result<()> {
    chromium_with_names(PeerConnection::builder(), Offerer::Remote).await
}

#[tokio::test]
async fn a_chromium_that_tells_names_resolves_ours() -> Result<()> {
    chromium_with_names(hiding(), Offerer::Antiphon).await
}

async fn chromium_with_names(builder: Builder, offerer: Offerer) -> Result<()> {
    if left_out("chromium") || left_out("netns") {
        return Ok(());
    }
    let _network = Network::enter()?;
    let mut browser = Chromium::start_hiding_addresses().await?;
    let connection = builder.build().await?;
    scenarios::messages_with(connection.clone(), &mut browser, offerer, 65_536).await?;
    let sdp = connection.remote_description().context("a description")?.sdp;
    ensure!(sdp.contains(".local ") && !sdp.contains("10.77."), "{sdp}");
    browser.quit().await
}

#[tokio::test]
async fn a_call_moves_to_the_interface_that_comes_from_the_one_that_goes() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let network = Network::enter()?;
    let often = Duration::from_millis(100);
    let endpoint = Endpoint::builder().watch(often).build().await?;
    let own = PeerConnection::builder().watch(often).build().await?;
    let call = Call::open(own, PeerConnection::builder().endpoint(&endpoint).build().await?).await?;
    Call::trickle(&call.offerer, &call.answerer);
    Call::trickle(&call.answerer, &call.offerer);
    for command in [
        "link add second type veth peer name other",
        "link set second up",
        "link set other up",
        "address add 10.78.0.1/24 dev second",
    ] {
        network.ip(command)?;
    }
    let has_second = |connection: &PeerConnection| {
        let candidates = connection.statistics().remote_candidates;
        candidates.iter().any(|candidate| candidate.address.ip().to_string() == "10.78.0.1")
    };
    soon("the second interface", async {
        while !(has_second(&call.offerer) && has_second(&call.answerer)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await?;
    network.ip("link set inside down")?;
    let moved = |connection: &PeerConnection| {
        let path = connection.statistics().selected_path;
        path.is_some_and(|path| path.local.ip().to_string() == "10.78.0.1")
    };
    soon("the move", async {
        while !(moved(&call.offerer) && moved(&call.answerer)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await?;
    call.exchange("over the second").await?;
    ensure!(endpoint.local_addresses().iter().all(|local| local.ip().to_string() == "10.78.0.1"));
    Ok(())
}

#[tokio::test]
async fn a_link_local_address_serves_where_there_is_no_other() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let network = Network::enter()?;
    network.ip("-4 address flush dev inside")?;
    network.ip("-6 address flush dev inside")?;
    network.ip("-6 address add fe80::77/64 dev inside nodad")?;
    network.ip("link set outside down")?;
    network.ip("link set outside up")?;
    network.ip("-6 address flush dev outside")?;
    soon("the carrier", async {
        while Endpoint::builder()
            .build()
            .await?
            .local_addresses()
            .iter()
            .all(|local| local.ip().is_loopback())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    })
    .await??;
    let build = || PeerConnection::builder().build();
    let call = Call::open(build().await?, build().await?).await?;
    let path = call.offerer.statistics().selected_path.context("a path")?;
    ensure!(path.local.ip().to_string() == "fe80::77", "{path:?}");
    Ok(())
}
