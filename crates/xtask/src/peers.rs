//! The real peers that tests run against: found, or installed by the machine's package managers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{cargo_install, command, output, root, run};

/// The newest releases that the tests were written against.
const AIORTC: &str = "aiortc==1.16.0";
const NODE_PACKAGES: [&str; 2] = ["node-datachannel@0.33.4", "@roamhq/wrtc@0.10.0"];

/// A peer that is no part of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Headless Chromium and its WebDriver.
    Chromium,
    /// Headless Firefox and its WebDriver, in network namespaces that the tests make.
    Firefox,
    /// The Python peer, in an environment of its own.
    Aiortc,
    /// Its WebRTC element, whose ICE is libnice, and the Python bindings of the system.
    Gstreamer,
    /// The libraries of Node: libdatachannel and wrtc.
    Node,
    /// The command-line tool, a DTLS client and server.
    Openssl,
    /// The TURN server and its clients.
    Coturn,
    /// Network namespaces and the NAT of the kernel, which take root.
    Netns,
}

impl Peer {
    pub(crate) const ALL: [Self; 8] = [
        Self::Chromium,
        Self::Firefox,
        Self::Aiortc,
        Self::Gstreamer,
        Self::Node,
        Self::Openssl,
        Self::Coturn,
        Self::Netns,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
            Self::Aiortc => "aiortc",
            Self::Gstreamer => "gstreamer",
            Self::Node => "node",
            Self::Openssl => "openssl",
            Self::Coturn => "coturn",
            Self::Netns => "netns",
        }
    }

    /// Its version, where it is there and starts.
    fn version(self) -> Option<String> {
        match self {
            Self::Chromium => {
                let browser = output(command("chromium").arg("--version"))?;
                let driver = output(command("chromedriver").arg("--version"))?;
                Some(format!("{browser}, {}", driver.split(" (").next().unwrap_or_default()))
            }
            Self::Firefox => {
                let browser = output(command("firefox-esr").arg("--version"))?;
                let driver = output(command("geckodriver").arg("--version"))?;
                output(command("ip").arg("-V"))?;
                Some(format!("{browser}, {}", driver.lines().next().unwrap_or_default().trim()))
            }
            Self::Aiortc => {
                let script = "import aiortc; print('aiortc', aiortc.__version__)";
                output(command(python()).args(["-c", script]))
            }
            Self::Gstreamer => {
                let script = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import Gst, GstWebRTC; \
                    Gst.init(None); assert Gst.ElementFactory.make('webrtcbin') and Gst.ElementFactory.make('nicesrc'); \
                    print(Gst.version_string())";
                output(command("/usr/bin/python3").args(["-c", script]))
            }
            Self::Node => {
                let node = output(command("node").arg("--version"))?;
                let packages = NODE_PACKAGES.map(|package| output(&mut npm(&["list", package])));
                let all = packages.iter().all(Option::is_some);
                all.then(|| format!("node {node}, {}", NODE_PACKAGES.join(", ")))
            }
            Self::Openssl => output(command("openssl").arg("version")),
            Self::Coturn => {
                output(command("turnserver").arg("--version")).map(|version| format!("coturn {version}"))
            }
            Self::Netns => {
                let nft = output(command("nft").arg("--version"))?;
                let ip = output(command("ip").arg("-V"))?;
                Some(format!("{ip}, {}", nft.split(" (").next().unwrap_or_default()))
            }
        }
    }

    fn install(self) -> Result<()> {
        match self {
            Self::Chromium => apt_install(&["chromium", "chromium-driver"]),
            Self::Firefox => {
                apt_install(&["firefox-esr", "iproute2"])?;
                // No other package of it installs without the network at large.
                cargo_install("geckodriver")
            }
            Self::Aiortc => pip_install(AIORTC),
            Self::Gstreamer => apt_install(&[
                "gstreamer1.0-plugins-base",
                "gstreamer1.0-plugins-good",
                "gstreamer1.0-plugins-bad",
                "gstreamer1.0-nice",
                "python3-gst-1.0",
                "gir1.2-gst-plugins-bad-1.0",
                "iproute2",
            ]),
            Self::Node => install_node_packages(),
            Self::Openssl => apt_install(&["openssl"]),
            Self::Coturn => apt_install(&["coturn"]),
            Self::Netns => apt_install(&["iproute2", "nftables"]),
        }
    }
}

/// Takes `--without NAME,..` from the front of `arguments`; gives the names and what is left.
pub(crate) fn parse_without(arguments: &[String]) -> Result<(Vec<Peer>, &[String])> {
    let known = Peer::ALL.map(Peer::name);
    let (mut without, mut rest) = (Vec::new(), arguments);
    while let Some((flag, behind)) = rest.split_first() {
        let (names, behind) = match (flag.strip_prefix("--without="), flag.as_str()) {
            (Some(names), _) => (names, behind),
            (None, "--without") => match behind.split_first() {
                Some((names, behind)) => (names.as_str(), behind),
                None => bail!("--without needs a name"),
            },
            _ => break,
        };
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let peer = Peer::ALL.into_iter().find(|peer| peer.name() == name);
            without.push(peer.with_context(|| format!("no peer {name}; there are: {}", known.join(", ")))?);
        }
        rest = behind;
    }
    Ok((without, rest))
}

/// Finds or installs every peer that is not in `without`.
pub(crate) fn ensure(without: &[Peer]) -> Result<()> {
    for peer in Peer::ALL.into_iter().filter(|peer| !without.contains(peer)) {
        if peer.version().is_none() {
            println!("{} is missing and gets installed", peer.name());
            peer.install().with_context(|| hint(peer))?;
        }
        let version = peer.version().with_context(|| hint(peer))?;
        println!("peer: {version}");
    }
    Ok(())
}

fn hint(peer: Peer) -> String {
    format!("{name} can't be had; `--without {name}` leaves its tests out", name = peer.name())
}

/// The interpreter that has aiortc; the tests look for it at the same place.
fn python() -> PathBuf {
    root().join(".interop/venv/bin/python")
}

/// Installs a Python package into the environment that is our own.
pub(crate) fn pip_install(package: &str) -> Result<()> {
    let environment = root().join(".interop/venv");
    let make = || run(command("python3").args(["-m", "venv"]).arg(&environment));
    if make().is_err() {
        apt_install(&["python3", "python3-venv"])?;
        make()?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
    run(command(python()).args(pip))
}

/// npm in the folder where the tests look for its packages.
fn npm(arguments: &[&str]) -> Command {
    let mut npm = command("npm");
    npm.args(arguments).arg("--prefix").arg(root().join(".interop/node"));
    npm
}

fn install_node_packages() -> Result<()> {
    if output(command("npm").arg("--version")).is_none() {
        apt_install(&["nodejs", "npm"])?;
    }
    fs::create_dir_all(root().join(".interop/node"))?;
    let install = ["install", "--no-fund", "--no-audit", "--loglevel=error"];
    run(&mut npm(&[install.as_slice(), &NODE_PACKAGES].concat()))
}

fn apt_install(packages: &[&str]) -> Result<()> {
    if output(command("id").arg("-u")).as_deref() != Some("0") {
        bail!("install {} by hand, or run this as root", packages.join(" and "));
    }
    let archives = root().join(".interop/apt");
    fs::create_dir_all(archives.join("partial"))?;
    let _no_daemons = NoDaemons::new(Path::new("/usr/sbin/policy-rc.d"))?;
    let apt = |arguments: &[&str]| {
        run(command("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", "-o"])
            // A directory of its own: another run's clean-up would empty the shared one.
            .arg(format!("Dir::Cache::archives={}", archives.display()))
            .args(arguments))
    };
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    apt(&["update"])?;
    let installed = apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)));
    fs::remove_dir_all(&archives)?;
    installed
}

/// While it lives, no package starts a service as it is installed.
struct NoDaemons<'a>(Option<&'a Path>);

impl<'a> NoDaemons<'a> {
    fn new(policy: &'a Path) -> Result<Self> {
        if policy.exists() {
            return Ok(Self(None));
        }
        fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for NoDaemons<'_> {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.0.map(fs::remove_file) {
            eprintln!("policy-rc.d is left behind: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_what_is_left_out_and_leaves_the_rest() {
        let arguments = strings(&["--without", "chromium,aiortc", "--without=openssl", "--", "name"]);
        let (without, rest) = parse_without(&arguments).unwrap();
        assert_eq!(without, [Peer::Chromium, Peer::Aiortc, Peer::Openssl]);
        assert_eq!(rest, ["--", "name"]);
        assert!(parse_without(&strings(&["--without", "netscape"])).is_err());
        assert!(parse_without(&strings(&["--without"])).is_err());
    }
}
