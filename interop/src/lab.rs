//! A small internet of network namespaces: hosts, and home networks behind NATs of the kernel.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How a NAT of the kernel treats what passes it. All let in only what answers something that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// The port stays, so that every peer sees the same one.
    Keeping,
    /// Every flow gets a port by chance: a symmetric NAT.
    Random,
    /// The port stays, and UDP is dropped.
    WithoutUdp,
}

/// Hosts around one router. What it has made is taken away when it is dropped, with every process in it.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    nodes: Vec<String>,
    networks: u8,
}

impl Lab {
    /// The router alone.
    ///
    /// # Errors
    /// Where the process is not root, or the machine lacks `ip`.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("lab{}x{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let mut lab = Self { prefix, nodes: Vec::new(), networks: 0 };
        lab.node("router")?;
        lab.forward("router")?;
        Ok(lab)
    }

    /// A host at the router, on a network of its own; gives its address. A second call with the same name gives the host a second
    /// interface, on which nothing but the other hosts at the router is reached where the first fails.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn host(&mut self, name: &str) -> Result<String> {
        if !self.nodes.iter().any(|node| node == name) {
            self.node(name)?;
        }
        let link = self.connect("router", name, "203.0")?;
        // Each interface answers by itself, so that what arrived on one does not leave by another.
        let table = link.network.to_string();
        self.ip(name, &["rule", "add", "from", &link.inner, "table", &table])?;
        self.ip(name, &["route", "add", "default", "via", &link.outer, "table", &table])?;
        self.ip(name, &["route", "add", "default", "via", &link.outer, "metric", &table])?;
        Ok(link.inner)
    }

    /// A host behind a NAT of its own; gives its private address.
    ///
    /// # Errors
    /// Where `ip` or `nft` fails.
    pub fn host_behind(&mut self, kind: NatKind, name: &str) -> Result<String> {
        let nat = format!("{name}-nat");
        self.node(&nat)?;
        self.forward(&nat)?;
        let outside = self.connect("router", &nat, "203.0")?;
        self.ip(&nat, &["route", "add", "default", "via", &outside.outer])?;
        self.node(name)?;
        let inside = self.connect(&nat, name, "192.168")?;
        self.ip(name, &["route", "add", "default", "via", &inside.outer])?;
        let (masquerade, forward) = match kind {
            NatKind::Keeping => ("masquerade", ""),
            NatKind::Random => ("masquerade fully-random", ""),
            NatKind::WithoutUdp => ("masquerade", "meta l4proto udp drop;"),
        };
        let interface = &outside.inner_interface;
        let rules = format!(
            "table ip lab {{
                chain post {{ type nat hook postrouting priority 100; oifname \"{interface}\" {masquerade}; }}
                chain input {{ type filter hook input priority 0; iifname \"{interface}\" ct state new drop; }}
                chain forward {{ type filter hook forward priority 0; policy drop; {forward}
                    ct state established,related accept; oifname \"{interface}\" accept; }}
            }}"
        );
        run(self.command(&nat, "nft").arg(rules))?;
        Ok(inside.inner)
    }

    /// Takes the interface of `host` that has `address` down.
    ///
    /// # Errors
    /// Where `ip` fails.
    pub fn take_down(&self, host: &str, address: &str) -> Result<()> {
        let network = address.split('.').nth(2).context("an address of the lab")?;
        self.ip(host, &["link", "set", &format!("in{network}"), "down"])
    }

    /// `program`, to be run on `node`.
    pub fn command(&self, node: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(node), program]);
        command
    }

    fn node(&mut self, name: &str) -> Result<()> {
        run(Command::new("ip").args(["netns", "add", &self.name(name)]))?;
        self.nodes.push(name.into());
        self.ip(name, &["link", "set", "lo", "up"])
    }

    fn forward(&self, node: &str) -> Result<()> {
        run(self.command(node, "sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))
    }

    /// A cable between two nodes, on a network of its own.
    fn connect(&mut self, outer: &str, inner: &str, range: &str) -> Result<Link> {
        self.networks += 1;
        let network = self.networks;
        let (outer_interface, inner_interface) = (format!("out{network}"), format!("in{network}"));
        let outer_name = self.name(outer);
        let mut add = Command::new("ip");
        add.args(["-n", &outer_name, "link", "add", &outer_interface, "type", "veth", "peer", "name"]);
        run(add.args([&inner_interface, "netns", &self.name(inner)]))?;
        let link = Link {
            network,
            outer: format!("{range}.{network}.1"),
            inner: format!("{range}.{network}.2"),
            inner_interface,
        };
        for (node, interface, address) in
            [(outer, &outer_interface, &link.outer), (inner, &link.inner_interface, &link.inner)]
        {
            self.ip(node, &["address", "add", &format!("{address}/24"), "dev", interface])?;
            self.ip(node, &["link", "set", interface, "up"])?;
        }
        self.wait_for_carrier(inner, &link.inner_interface)?;
        Ok(link)
    }

    /// The kernel takes a moment to find that a cable is plugged in.
    fn wait_for_carrier(&self, node: &str, interface: &str) -> Result<()> {
        for _ in 0..200 {
            let name = self.name(node);
            let state = Command::new("ip").args(["-n", &name, "link", "show", interface]).output()?;
            if String::from_utf8_lossy(&state.stdout).contains("state UP") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{interface} of {node} does not come up")
    }

    fn ip(&self, node: &str, arguments: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name(node)]).args(arguments))
    }

    fn name(&self, node: &str) -> String {
        format!("{}-{node}", self.prefix)
    }
}

struct Link {
    network: u8,
    outer: String,
    inner: String,
    inner_interface: String,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for node in &self.nodes {
            // What is left of a node that could not be made whole is nothing.
            let _ = run(Command::new("ip").args(["netns", "del", &self.name(node)]));
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {} {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
