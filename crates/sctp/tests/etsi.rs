//! The conformance scripts of ETSI TS 102 369, written in packetdrill's notation by others: their folder is named by the
//! environment variable `ANTIPHON_ETSI_SCTP`, since they are no part of this repository.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panic")]
#![allow(unreachable_pub, reason = "modules of one test")]

#[path = "etsi/run.rs"]
mod run;
#[path = "etsi/script.rs"]
mod script;
#[path = "etsi/wire.rs"]
mod wire;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

/// The scripts take either of two systems for granted; a stack passes that does as one of them.
const SYSTEMS: [&str; 2] = ["FreeBSD", "Linux"];

/// Scripts that can't pass here, and why.
const EXCLUDED: [(&str, &str); 16] = [
    ("sctp-as-o-1-9-2", ADDRESSES),
    ("sctp-as-v-1-11-1", ADDRESSES),
    ("sctp-as-v-1-11-2", ADDRESSES),
    ("sctp-fh-o-5-3-5", ADDRESSES),
    ("sctp-rt-i-11-2", ADDRESSES),
    ("sctp-rt-i-11-3", ADDRESSES),
    ("sctp-at-i-2-10", TIMEOUT),
    ("sctp-d-i-8-5", TIMEOUT),
    ("sctp-d-o-8-12", TIMEOUT),
    ("sctp-d-o-8-7", TIMEOUT),
    ("sctp-d-o-8-8", TIMEOUT),
    ("sctp-d-v-8-4", TIMEOUT),
    ("sctp-rt-i-11-1", TIMEOUT),
    ("sctp-fh-i-5-1-1", PROBE),
    ("sctp-fh-i-5-1-2", PROBE),
    ("sctp-d-v-8-9", "where a round trip takes no time, what is overtaken is lost at once (RFC 8985 §6.2)"),
];

const ADDRESSES: &str = "an association over DTLS knows no addresses";
const TIMEOUT: &str =
    "a lone packet waits for the peer's delayed acknowledgement, longer than time-outs of 100 ms";
const PROBE: &str =
    "a probe comes before the first time-out (RFC 8985 §7): one packet more than there are time-outs";

fn run(text: &str) -> Result<()> {
    let [first, second] =
        SYSTEMS.map(|system| script::read(text, system).and_then(|script| run::run(&script)));
    if second.is_ok() { second } else { first }
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut scripts: Vec<_> =
        walk(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "pkt")).collect();
    scripts.sort();
    scripts
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn conformance_scripts() {
    let Some(folder) = std::env::var_os("ANTIPHON_ETSI_SCTP").map(PathBuf::from) else {
        println!("ANTIPHON_ETSI_SCTP is not set: the conformance scripts are not run");
        return;
    };
    let (mut passed, mut failed, mut excluded) = (0, Vec::new(), 0);
    for path in scripts(&folder) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let result = run(&text);
        let reason = EXCLUDED.iter().find(|(script, _)| *script == name).map(|(_, reason)| *reason);
        match (result, reason) {
            (Ok(()), None) => passed += 1,
            (Ok(()), Some(reason)) => failed.push((name, anyhow!("it passes, though excluded: {reason}"))),
            (Err(_), Some(reason)) => {
                excluded += 1;
                println!("{name} excluded: {reason}");
            }
            (Err(error), None) => failed.push((name, error)),
        }
    }
    for (name, error) in &failed {
        println!("{name} failed: {error:#}");
    }
    println!("{passed} passed, {} failed, {excluded} excluded", failed.len());
    assert!(failed.is_empty() && passed > 0);
}

/// The notation, in a script of our own.
const OWN: &str = r#"
--tolerance_usecs=20000
 0.0 socket(..., SOCK_STREAM, IPPROTO_SCTP) = 3
+0.0 setsockopt(3, IPPROTO_SCTP, SCTP_RTOINFO, {srto_initial=100, srto_max=800, srto_min=100}, 16) = 0
+0.0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0.0 > sctp: INIT[flgs=0, tag=1, a_rwnd=..., os=..., is=..., tsn=1, ...]
*    > sctp: INIT[flgs=0, tag=1, a_rwnd=..., os=..., is=..., tsn=1, ...]
+0.0 < sctp: INIT_ACK[flgs=0, tag=2, a_rwnd=5000, os=1, is=1, tsn=1,
                      STATE_COOKIE[len=8, val=[0x01, 0x02, 0x03, 0x04]]]
+0.0 > sctp: COOKIE_ECHO[flgs=0, len=8, val=...]
+0.0 < sctp: COOKIE_ACK[flgs=0]; DATA[flgs=BE, len=116, tsn=1, sid=0, ssn=0, ppid=0]
+0.0 > sctp: SACK[flgs=0, cum_tsn=1, a_rwnd=..., gaps=[], dups=[]]
+0.0 read(3, ..., 200) = 100
+0.0 read(3, ..., 200) = -1 EWOULDBLOCK
+0.0 write(3, ..., 100) = 100
+0.0 > sctp: DATA[flgs=BE, len=116, tsn=1, sid=0, ssn=0, ppid=0]
#ifdef Linux
+9.0 < sctp: NOTHING[flgs=0]
#endif
+0.0 < sctp(tag=7): ABORT[flgs=0]
+0.0 < sctp: SACK[flgs=0, cum_tsn=1, a_rwnd=5000, gaps=[], dups=[]]
+0.0 close(3) = 0
+0.0 > sctp: SHUTDOWN[flgs=0, cum_tsn=1]
+0.0 < sctp: SHUTDOWN_ACK[flgs=0]
+0.0 > sctp: SHUTDOWN_COMPLETE[flgs=0]
"#;

#[test]
fn a_script_passes_and_a_wrong_one_fails_with_its_line() {
    run(OWN).unwrap();
    let wrong = |from: &str, to: &str| format!("{:#}", run(&OWN.replacen(from, to, 1)).unwrap_err());
    assert!(wrong("cum_tsn=1, a_rwnd=..., gaps=[]", "cum_tsn=1, a_rwnd=..., gaps=[2:2]").contains("line 12"));
    assert!(wrong("(3, ..., 200) = 100", "(3, ..., 200) = 99").contains("read 100"));
    assert!(wrong("+0.0 > sctp: COOKIE_ECHO", "+0.5 > sctp: COOKIE_ECHO").contains("early"));
    assert!(
        wrong("SHUTDOWN_COMPLETE[flgs=0]", "SHUTDOWN_COMPLETE[flgs=0]\n+0.0 > sctp: ABORT[flgs=0]")
            .contains("no packet")
    );
}
