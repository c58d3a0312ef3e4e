//! The arrows between the crates: who may use whom, and nobody else.
#![allow(clippy::expect_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// What each crate may use of ours in production, besides `antiphon-util`, which all may use.
const ARROWS: [(&str, &[&str]); 14] = [
    ("antiphon", &["antiphon-peer", "antiphon-dtls", "antiphon-stun", "antiphon-turn", "antiphon-crypto"]),
    (
        "antiphon-peer",
        &[
            "antiphon-ice",
            "antiphon-turn",
            "antiphon-dtls",
            "antiphon-sctp",
            "antiphon-srtp",
            "antiphon-media",
            "antiphon-sdp",
            "antiphon-crypto",
        ],
    ),
    ("antiphon-ice", &["antiphon-stun", "antiphon-crypto"]),
    ("antiphon-turn", &["antiphon-stun", "antiphon-crypto"]),
    ("antiphon-stun", &["antiphon-crypto"]),
    ("antiphon-dtls", &["antiphon-crypto"]),
    ("antiphon-sctp", &["antiphon-crypto"]),
    ("antiphon-srtp", &["antiphon-rtp", "antiphon-crypto"]),
    ("antiphon-media", &["antiphon-rtp"]),
    ("antiphon-rtp", &[]),
    ("antiphon-sdp", &[]),
    ("antiphon-crypto", &[]),
    ("antiphon-util", &[]),
    ("antiphon-testkit", &[]),
];

/// Packages that use the library and that nothing uses.
const USERS: [&str; 6] =
    ["xtask", "antiphon-benches", "antiphon-bogo", "antiphon-examples", "antiphon-interop", "antiphon-fuzz"];

/// Sockets and runtimes, which only the outermost crate knows.
const OUTSIDE_WORLD: [&str; 8] =
    ["tokio", "quinn-udp", "socket2", "if-addrs", "hickory-resolver", "mio", "async-std", "smol"];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo metadata of this workspace")
}

/// What `package` may use directly.
fn allowed(package: &str) -> BTreeSet<&'static str> {
    let mut allowed: BTreeSet<_> =
        ARROWS.iter().filter(|(from, _)| *from == package).flat_map(|(_, to)| to.iter().copied()).collect();
    if package != "antiphon-util" {
        allowed.insert("antiphon-util");
    }
    allowed
}

/// What `package` may reach by way of others: what its tests may use.
fn reachable(package: &str) -> BTreeSet<&'static str> {
    let mut reached = allowed(package);
    loop {
        let wider: BTreeSet<_> =
            reached.iter().flat_map(|name| allowed(name)).chain(reached.iter().copied()).collect();
        if wider == reached {
            return reached;
        }
        reached = wider;
    }
}

#[test]
fn crates_use_only_what_the_arrows_allow() {
    let metadata = metadata();
    let ours: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut offences = Vec::new();
    for package in metadata.packages.iter().filter(|package| !USERS.contains(&package.name.as_str())) {
        let production = allowed(&package.name);
        let mut tests = reachable(&package.name);
        tests.extend(["antiphon-testkit", package.name.as_str()]);
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(&dependency.name)) {
            let name = dependency.name.as_str();
            let fine = match dependency.kind {
                DependencyKind::Development => tests.contains(name),
                _ => production.contains(name),
            };
            if !fine {
                offences.push(format!("{} -> {name} ({})", package.name, dependency.kind));
            }
        }
    }
    assert_eq!(offences, Vec::<String>::new());
}

#[test]
fn every_crate_has_its_place() {
    let metadata = metadata();
    let known: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let strangers: Vec<_> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .filter(|name| !known.contains_key(name) && !USERS.contains(name))
        .collect();
    assert_eq!(strangers, Vec::<&str>::new(), "give it its arrows, here and in the architecture");
    assert!(metadata.packages.len() >= 11, "the workspace is seen whole");
}

#[test]
fn only_the_outermost_crate_knows_sockets_and_the_runtime() {
    let offences: Vec<_> = metadata()
        .packages
        .iter()
        .filter(|package| package.name != "antiphon" && !USERS.contains(&package.name.as_str()))
        .flat_map(|package| {
            package.dependencies.iter().map(|dependency| (package.name.to_string(), dependency))
        })
        .filter(|(_, dependency)| dependency.kind != DependencyKind::Development)
        .filter(|(_, dependency)| OUTSIDE_WORLD.contains(&dependency.name.as_str()))
        .map(|(package, dependency)| format!("{package} -> {}", dependency.name))
        .collect();
    assert_eq!(offences, Vec::<String>::new());
}

#[test]
fn the_arrows_have_no_cycle() {
    for (name, _) in ARROWS {
        assert!(!reachable(name).contains(name), "{name} reaches itself");
    }
}
