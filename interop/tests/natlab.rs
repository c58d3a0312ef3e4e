//! Calls through NATs of the kernel, and one whose interface goes away.

use std::future::Future;
use std::process::Stdio;
use std::time::Duration;

use antiphon_interop::{Lab, NatKind};
use antiphon_testkit::left_out;
use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const SERVER: &str = "203.0.1.1:3478";
const PATIENCE: Duration = Duration::from_secs(30);

/// A `lab-peer` on a node of the lab.
struct Peer {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    fn start(lab: &Lab, node: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::from(lab.command(node, env!("CARGO_BIN_EXE_lab-peer")));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let input = process.stdin.take().context("its input")?;
        let output = BufReader::new(process.stdout.take().context("its output")?).lines();
        Ok(Self { process, input, output })
    }

    async fn line(&mut self) -> Result<String> {
        soon(self.output.next_line()).await??.context("the peer has ended")
    }

    async fn tell(&mut self, line: &str) -> Result<()> {
        Ok(self.input.write_all(format!("{line}\n").as_bytes()).await?)
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future).await.context("it takes too long")
}

/// A call between the hosts `a` and `b`.
struct Call {
    offerer: Peer,
    _answerer: Peer,
    _server: Peer,
}

impl Call {
    /// Sets it up with a server of the kind `stun` or `turn`; gives the path that it takes first.
    async fn open(lab: &Lab, kind: &str, messages: u32) -> Result<(Self, String)> {
        let messages = messages.to_string();
        let mut server = Peer::start(lab, "router", &[kind, SERVER])?;
        ensure!(server.line().await? == "ready");
        let url = format!("{kind}:{SERVER}");
        let mut offerer = Peer::start(lab, "a", &["offer", &url, "active", &messages])?;
        let mut answerer = Peer::start(lab, "b", &["answer", &url, "passive", &messages])?;
        answerer.tell(&offerer.line().await?).await?;
        offerer.tell(&answerer.line().await?).await?;
        let open = offerer.line().await?;
        let Some(path) = open.strip_prefix("open ") else { bail!("{open} in place of a path") };
        Ok((Self { offerer, _answerer: answerer, _server: server }, path.to_owned()))
    }

    /// Waits until every message has come back; gives the path that it takes last.
    async fn finish(mut self) -> Result<String> {
        let done = self.offerer.line().await?;
        let status = soon(self.offerer.process.wait()).await??;
        ensure!(status.success(), "{status}");
        done.strip_prefix("done ").map(str::to_owned).context(done.clone())
    }
}

/// A call from a host behind a NAT of the kind `a` to one behind `b`, or to one that is reached directly.
async fn call(a: NatKind, b: Option<NatKind>) -> Result<String> {
    let mut lab = Lab::new()?;
    lab.host_behind(a, "a")?;
    match b {
        Some(kind) => lab.host_behind(kind, "b")?,
        None => lab.host("b")?,
    };
    Call::open(&lab, "stun", 10).await?.0.finish().await
}

#[tokio::test]
async fn two_peers_behind_symmetric_nats_meet_at_the_relay() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    lab.host_behind(NatKind::Random, "a")?;
    lab.host_behind(NatKind::Random, "b")?;
    let path = Call::open(&lab, "turn", 10).await?.0.finish().await?;
    // One end of it, or both, is an address of the relay.
    ensure!(path.starts_with("Udp ") && path.contains(" 203.0.1.1:"), "{path}");
    Ok(())
}

#[tokio::test]
async fn two_peers_behind_nats_that_keep_ports_meet() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let path = call(NatKind::Keeping, Some(NatKind::Keeping)).await?;
    ensure!(path.starts_with("Udp 192.168."), "{path}");
    Ok(())
}

#[tokio::test]
async fn a_symmetric_nat_reaches_one_that_is_reached_directly() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let path = call(NatKind::Random, None).await?;
    ensure!(path.starts_with("Udp 192.168.") && path.contains(" 203.0."), "{path}");
    Ok(())
}

#[tokio::test]
async fn where_udp_is_dropped_tcp_serves() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let path = call(NatKind::WithoutUdp, None).await?;
    ensure!(path.starts_with("Tcp 192.168."), "{path}");
    Ok(())
}

#[tokio::test]
async fn a_call_survives_the_loss_of_its_interface_without_losing_a_message() -> Result<()> {
    if left_out("netns") {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    let addresses = [lab.host("a")?, lab.host("a")?];
    lab.host("b")?;
    let (call, before) = Call::open(&lab, "stun", 250).await?;
    let used = addresses.iter().find(|address| before.contains(*address)).context(before.clone())?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.take_down("a", used)?;
    let after = call.finish().await?;
    ensure!(
        !after.contains(used) && addresses.iter().any(|address| after.contains(address)),
        "{before}, then {after}"
    );
    Ok(())
}
