//! Descriptions as lines of JSON between the two processes.

use antiphon::{PeerConnection, SessionDescription};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, Lines};

/// A description of one peer on its way to the other process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Signal {
    /// Which of the peers.
    pub(crate) peer: u32,
    pub(crate) description: SessionDescription,
}

/// Sends `signal`.
pub(crate) async fn tell(out: &mut (impl AsyncWrite + Unpin), signal: &Signal) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(signal)?;
    line.push('\n');
    out.write_all(line.as_bytes()).await?;
    Ok(out.flush().await?)
}

/// The next signal; `None` where the other process has ended.
pub(crate) async fn hear(lines: &mut Lines<impl AsyncBufRead + Unpin>) -> anyhow::Result<Option<Signal>> {
    let Some(line) = lines.next_line().await? else { return Ok(None) };
    serde_json::from_str(&line).context("a signal").map(Some)
}

/// Makes the offer or answer, with all candidates.
pub(crate) async fn describe(connection: &PeerConnection) -> anyhow::Result<SessionDescription> {
    connection.set_local_description(None).await?;
    connection.gathering_complete().await?;
    connection.local_description().context("there is no local description")
}

/// Lines of `input`.
pub(crate) fn lines<R: AsyncBufRead + Unpin>(input: R) -> Lines<R> {
    input.lines()
}
