//! coturn: its server, and its clients.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The user of every server, and its password.
pub const USER: &str = "user";
/// See [`USER`].
pub const PASSWORD: &str = "secret";
/// What a server shares with those who hand out credentials for a time.
pub const SECRET: &str = "shared";

/// A running `turnserver` on loopback; it ends when this is dropped.
pub struct Coturn {
    _child: Child,
    _folder: TempDir,
    /// UDP and TCP.
    pub port: u16,
    /// TLS and DTLS.
    pub tls_port: u16,
    /// The server's own certificate, in PEM.
    pub certificate: String,
}

impl Coturn {
    /// Starts one with more `arguments`; its credentials are [`USER`]'s, or those made with [`SECRET`] where `for_a_time`.
    pub async fn start(for_a_time: bool, arguments: &[&str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let path = |name: &str| folder.path().join(name);
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        std::fs::write(path("cert.pem"), key.cert.pem())?;
        std::fs::write(path("key.pem"), key.signing_key.serialize_pem())?;
        let (port, tls_port) = (free_port()?, free_port()?);
        let mut command = Command::new("turnserver");
        command.args([
            "-n",
            "--no-cli",
            "--log-file=stdout",
            "--simple-log",
            "--realm=test",
            "--no-multicast-peers",
        ]);
        command.args([
            "--listening-ip=127.0.0.1",
            "--listening-ip=::1",
            "--relay-ip=127.0.0.1",
            "--relay-ip=::1",
        ]);
        command.args(["--allow-loopback-peers", "--min-port=49152", "--max-port=65535"]);
        command.arg(format!("--listening-port={port}")).arg(format!("--tls-listening-port={tls_port}"));
        for (option, name) in
            [("cert", "cert.pem"), ("pkey", "key.pem"), ("pidfile", "pid"), ("userdb", "db")]
        {
            command.arg(format!("--{option}={}", path(name).display()));
        }
        match for_a_time {
            true => command.args(["--use-auth-secret", &format!("--static-auth-secret={SECRET}")]),
            false => command.args(["--lt-cred-mech", &format!("--user={USER}:{PASSWORD}")]),
        };
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("no turnserver; `cargo xtask peers` installs coturn")?;
        for _ in 0..200 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
                && TcpStream::connect((Ipv4Addr::LOCALHOST, tls_port)).await.is_ok()
            {
                let certificate = key.cert.pem();
                return Ok(Self { _child: child, _folder: folder, port, tls_port, certificate });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("turnserver does not listen")
    }

    /// Runs one of coturn's clients to its end and gives what it prints.
    ///
    /// # Errors
    /// Where it fails, or takes longer than half a minute.
    pub async fn client(name: &str, arguments: &[&str]) -> Result<String> {
        let running = Command::new(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(30), running)
            .await
            .with_context(|| format!("{name} does not end"))?
            .with_context(|| format!("no {name}; `cargo xtask peers` installs coturn"))?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("{name} {}: {}\n{text}", arguments.join(" "), output.status);
        }
        Ok(text)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
