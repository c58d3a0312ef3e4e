//! `cargo xtask bench-turn`: the example `turn-server` beside coturn, with the same clients (coturn's) over loopback.

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::examples::example;
use crate::peers::{self, Peer};
use crate::shell::{self, cargo, command};

/// Clients in pairs, messages of each, and their bytes.
const CLIENTS: u32 = 32;
const MESSAGES: u32 = 3_000;
const LENGTH: u32 = 1_200;
/// Programs whose clients have allocations and are silent, each at an address of its own, and the clients of each.
const IDLE_PROGRAMS: u8 = 20;
const IDLE_CLIENTS: u32 = 50;

pub(crate) fn run() -> Result<()> {
    let others: Vec<_> = Peer::ALL.into_iter().filter(|peer| *peer != Peer::Coturn).collect();
    peers::ensure(&others)?;
    shell::run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "antiphon-examples",
        "--example",
        "turn-server",
    ]))?;
    println!(
        "{CLIENTS} clients in pairs, {MESSAGES} messages of {LENGTH} bytes each, over UDP, each relayed twice"
    );
    for round in 1..=3 {
        for name in ["coturn", "antiphon"] {
            let server = Server::start(name)?;
            let before = server.cpu()?;
            let lost = relay(server.port)?;
            let cpu = server.cpu()? - before;
            let relayed = f64::from(CLIENTS) * f64::from(MESSAGES) * 2.0;
            println!(
                "{round} {name}: {cpu:.2} s of processor time, {:.0} packets a second of it; {lost}",
                relayed / cpu
            );
        }
    }
    for name in ["coturn", "antiphon"] {
        let server = Server::start(name)?;
        let (memory, sockets) = (server.memory()?, server.sockets()?);
        let clients: Result<Vec<Child>> = (0..IDLE_PROGRAMS).map(|number| server.idle(number)).collect();
        sleep(Duration::from_secs(20));
        let (memory, sockets) = (server.memory()? - memory, server.sockets()? - sockets);
        println!(
            "{name}: {} bytes of memory for each of {sockets} idle allocations",
            memory * 1_024 / sockets.max(1)
        );
        for mut program in clients? {
            program.kill()?;
            program.wait()?;
        }
    }
    Ok(())
}

/// A server that is killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(name: &str) -> Result<Self> {
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut program = if name == "coturn" { coturn(port) } else { antiphon(port) };
        let child = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context(name.to_owned())?;
        sleep(Duration::from_secs(2));
        Ok(Self { child, port })
    }

    /// Processor time in seconds; ticks are hundredths on every Linux.
    fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| {
            fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("a count of ticks")
        };
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// Resident memory in KiB.
    fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Sockets and the few other files that it has open: each allocation has one.
    fn sockets(&self) -> Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count() as u64)
    }

    /// Clients that send one message and stay.
    fn idle(&self, number: u8) -> Result<Child> {
        let (count, local) = (IDLE_CLIENTS.to_string(), format!("127.0.0.{}", 10 + number));
        let mut clients = client(self.port);
        clients.args(["-L", &local, "-h", "-m", &count, "-n", "1", "-l", "100", "127.0.0.1"]);
        Ok(clients.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("a server is left running: {error}");
        }
    }
}

fn coturn(port: u16) -> Command {
    let mut coturn = command("turnserver");
    coturn.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=/dev/null", "--pidfile=/dev/null"]);
    coturn.args([
        "--userdb=/nonexistent",
        "--lt-cred-mech",
        "--realm=test",
        "--user=user:secret",
        "--allow-loopback-peers",
    ]);
    coturn.args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--no-tcp"]);
    coturn.arg(format!("--listening-port={port}"));
    coturn
}

fn antiphon(port: u16) -> Command {
    let mut antiphon = example("turn-server");
    antiphon.args([
        "--realm",
        "test",
        "--user",
        "user:secret",
        "--relay",
        "127.0.0.1",
        "--allow",
        "127.0.0.0/8",
    ]);
    antiphon.args(["--user-quota", "10000", "--udp", &format!("127.0.0.1:{port}")]);
    antiphon
}

/// coturn's client: by channels, between clients in pairs.
fn client(port: u16) -> Command {
    let mut client = command("turnutils_uclient");
    client.args(["-y", "-c", "-u", "user", "-w", "secret", "-p", &port.to_string()]);
    client
}

/// Has all messages relayed, a millisecond apart for each client, and gives what the clients say of losses.
fn relay(port: u16) -> Result<String> {
    let (clients, messages, length) = (CLIENTS.to_string(), MESSAGES.to_string(), LENGTH.to_string());
    let output = client(port)
        .args(["-m", &clients, "-n", &messages, "-l", &length, "-z", "1", "127.0.0.1"])
        .output()
        .context("turnutils_uclient")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().rev().find_map(|line| line.split_once("Total lost packets")) {
        Some((_, lost)) => Ok(format!("lost packets{lost}")),
        None => bail!("turnutils_uclient: {}\n{text}", output.status),
    }
}
