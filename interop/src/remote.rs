//! A peer that a test drives.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Payload;

/// How long a peer may take for an operation, some of which wait for what the other end does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Carries requests to a peer.
pub trait Driver {
    /// Has the peer do `request` and gives `{"ok": value}` or `{"error": text}`.
    fn call(&mut self, request: Value) -> impl Future<Output = Result<Value>>;

    /// Ends the peer, and returns when all its processes are gone.
    fn quit(self) -> impl Future<Output = Result<()>>;
}

/// How a channel is made; the defaults are those of the W3C's `RTCDataChannelInit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelInit {
    /// Whether messages may overtake each other.
    pub unordered: bool,
    /// How often a message is sent again at most.
    pub max_retransmits: Option<u16>,
    /// For how many milliseconds a message is sent again at most.
    pub max_packet_life_time: Option<u16>,
    /// The subprotocol.
    pub protocol: String,
    /// The stream that both ends have agreed on.
    pub negotiated: Option<u16>,
}

impl ChannelInit {
    fn to_json(&self) -> Value {
        let mut init = json!({"ordered": !self.unordered, "protocol": self.protocol});
        if let Some(count) = self.max_retransmits {
            init["maxRetransmits"] = count.into();
        }
        if let Some(time) = self.max_packet_life_time {
            init["maxPacketLifeTime"] = time.into();
        }
        if let Some(id) = self.negotiated {
            init["negotiated"] = true.into();
            init["id"] = id.into();
        }
        init
    }
}

/// A peer of another make: one connection and its channels, which are named by their labels. Descriptions and
/// candidates are the browser's JSON. What waits, waits for half a minute and then fails.
pub struct Remote<D> {
    driver: D,
}

impl<D: Driver> Remote<D> {
    /// A peer behind `driver`.
    pub fn new(driver: D) -> Self {
        Self { driver }
    }

    /// Makes a channel.
    pub async fn create_channel(&mut self, label: &str, init: &ChannelInit) -> Result<()> {
        self.call("create_channel", json!({"label": label, "init": init.to_json()})).await.map(drop)
    }

    /// Has it reach others by a TURN server alone; before anything else.
    pub async fn relay(&mut self, url: &str, username: &str, credential: &str) -> Result<()> {
        let request = json!({"url": url, "username": username, "credential": credential});
        self.call("relay", request).await.map(drop)
    }

    /// Makes a media section of `kind` audio or video, for an offer.
    pub async fn add_media(&mut self, kind: &str) -> Result<()> {
        self.call("add_media", json!({"kind": kind})).await.map(drop)
    }

    /// The largest message that may be sent to its other end, in bytes.
    pub async fn max_message_size(&mut self) -> Result<u64> {
        self.call("max_message_size", json!({})).await?.as_u64().context("a size")
    }

    /// What a browser's statistics say of the transport (`RTCTransportStats`).
    pub async fn transport(&mut self) -> Result<Value> {
        self.call("transport", json!({})).await
    }

    /// Its offer, with all candidates.
    pub async fn offer(&mut self) -> Result<Value> {
        self.call("offer", json!({})).await
    }

    /// Its offer, before any candidate.
    pub async fn offer_early(&mut self) -> Result<Value> {
        self.call("offer_early", json!({})).await
    }

    /// Its answer to the offer `description`, with all candidates.
    pub async fn answer(&mut self, description: &Value) -> Result<Value> {
        self.call("answer", json!({"description": description})).await
    }

    /// Its answer to the offer `description`, before any candidate.
    pub async fn answer_early(&mut self, description: &Value) -> Result<Value> {
        self.call("answer_early", json!({"description": description})).await
    }

    /// Gives it the answer `description`.
    pub async fn accept(&mut self, description: &Value) -> Result<()> {
        self.call("accept", json!({"description": description})).await.map(drop)
    }

    /// Gives it a candidate; `null` is the end of candidates.
    pub async fn add_candidate(&mut self, candidate: &Value) -> Result<()> {
        self.call("add_candidate", json!({"candidate": candidate})).await.map(drop)
    }

    /// Its candidates from number `from` on, at least one; `null` stands behind the last.
    pub async fn candidates(&mut self, from: usize) -> Result<Vec<Value>> {
        let candidates = self.call("candidates", json!({"from": from})).await?;
        candidates.as_array().cloned().context("a list of candidates")
    }

    /// Has it send everything back that arrives from now on.
    pub async fn echo(&mut self) -> Result<()> {
        self.call("echo", json!({})).await.map(drop)
    }

    /// Has it send messages on the channel `label`.
    pub async fn send(&mut self, label: &str, payloads: &[Payload]) -> Result<()> {
        let payloads: Vec<_> = payloads.iter().map(Payload::to_json).collect();
        self.call("send", json!({"label": label, "payloads": payloads})).await.map(drop)
    }

    /// Takes `count` messages that arrived on the channel `label`.
    pub async fn receive(&mut self, label: &str, count: usize) -> Result<Vec<Payload>> {
        let received = self.call("receive", json!({"label": label, "count": count})).await?;
        received.as_array().context("a list of payloads")?.iter().map(Payload::from_json).collect()
    }

    /// Waits until there is a channel `label` in the state `state` of the W3C's `RTCDataChannelState`.
    pub async fn wait_channel(&mut self, label: &str, state: &str) -> Result<()> {
        self.call("wait_channel", json!({"label": label, "state": state})).await.map(drop)
    }

    /// Waits until the connection is in the state `state` of the W3C's `RTCPeerConnectionState`.
    pub async fn wait_connection(&mut self, state: &str) -> Result<()> {
        self.call("wait_connection", json!({"state": state})).await.map(drop)
    }

    /// The attributes of the channel `label`, under their W3C names.
    pub async fn channel(&mut self, label: &str) -> Result<Value> {
        self.call("channel", json!({"label": label})).await
    }

    /// The labels of all its channels, sorted.
    pub async fn labels(&mut self) -> Result<Vec<String>> {
        let labels = self.call("labels", json!({})).await?;
        let labels = labels.as_array().context("a list of labels")?;
        Ok(labels.iter().filter_map(|label| label.as_str().map(str::to_owned)).collect())
    }

    /// The state of its connection.
    pub async fn state(&mut self) -> Result<String> {
        let state = self.call("state", json!({})).await?;
        state.as_str().map(str::to_owned).context("a state")
    }

    /// Closes the channel `label`.
    pub async fn close_channel(&mut self, label: &str) -> Result<()> {
        self.call("close_channel", json!({"label": label})).await.map(drop)
    }

    /// Closes the connection.
    pub async fn close(&mut self) -> Result<()> {
        self.call("close", json!({})).await.map(drop)
    }

    /// Ends the peer, and returns when all its processes are gone.
    pub async fn quit(self) -> Result<()> {
        self.driver.quit().await
    }

    async fn call(&mut self, operation: &str, mut request: Value) -> Result<Value> {
        request["op"] = operation.into();
        let answer = tokio::time::timeout(PATIENCE, self.driver.call(request)).await;
        let mut answer = answer.with_context(|| format!("{operation} takes too long"))??;
        match answer["error"].as_str() {
            Some(error) => bail!("{operation}: {error}"),
            None => Ok(answer["ok"].take()),
        }
    }
}
