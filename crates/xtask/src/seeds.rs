//! Seeds of fuzz targets, made from the captures that the tests of the crates keep as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::shell::root;

/// What a target's seeds are made from: files whose name starts so, and how.
fn sources(target: &str) -> Option<(&'static str, Form)> {
    Some(match target.split('_').next()? {
        "sdp" | "candidate" => ("", Form::Text),
        "stun" | "ice" | "turn" => ("stun-", Form::Hex),
        "dtls" => ("dtls", Form::Hex),
        "sctp" => ("sctp-", Form::Hex),
        "dcep" => ("sctp-", Form::Dcep),
        _ => return None,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A file with the ending `.sdp` is one seed.
    Text,
    /// Each line of a `.txt` file ends in the hexadecimal digits of one seed.
    Hex,
    /// The data channel messages (RFC 8832) in the SCTP packets of such lines.
    Dcep,
}

/// Writes the seeds of `target` to `corpus`, named by their number, and tells how many there are.
pub(crate) fn write(target: &str, corpus: &Path) -> Result<usize> {
    let Some((prefix, form)) = sources(target) else { return Ok(0) };
    let mut seeds = BTreeSet::new();
    for path in captures()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match form {
            Form::Text if name.ends_with(".sdp") => {
                seeds.insert(fs::read(&path)?);
            }
            Form::Hex | Form::Dcep if name.starts_with(prefix) && name.ends_with(".txt") => {
                let text = fs::read_to_string(&path)?;
                let packets = text.lines().filter_map(datagram);
                match form {
                    Form::Dcep => seeds.extend(packets.flat_map(|packet| dcep(&packet))),
                    _ => seeds.extend(packets),
                }
            }
            _ => {}
        }
    }
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(seeds.len())
}

/// The files under `tests/data` of every crate.
fn captures() -> Result<Vec<PathBuf>> {
    let mut waiting = Vec::new();
    for entry in fs::read_dir(root().join("crates"))? {
        waiting.push(entry?.path().join("tests/data"));
    }
    let mut files = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                waiting.push(entry?.path());
            }
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// The datagram of a capture's line, which stands last; lines of keys and remarks are none.
fn datagram(line: &str) -> Option<Vec<u8>> {
    let line = line.trim();
    if line.starts_with(['K', '#']) {
        return None;
    }
    let digits = line.rsplit(' ').next()?.as_bytes();
    if digits.is_empty() || digits.len() % 2 != 0 {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The payloads of DATA chunks whose payload protocol identifier is 50 (RFC 8832 §8.1).
fn dcep(packet: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = packet.get(12..).unwrap_or_default();
    while let [kind, _, high, low, ..] = *rest {
        let len = usize::from(u16::from_be_bytes([high, low]));
        let Some(chunk) = rest.get(..len).filter(|chunk| chunk.len() >= 4) else { break };
        if kind == 0 && chunk.get(12..16) == Some(&[0, 0, 0, 50]) {
            found.extend(chunk.get(16..).map(<[u8]>::to_vec));
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_captures() {
        assert_eq!(datagram("O 0102ff"), Some(vec![1, 2, 255]));
        assert_eq!(datagram("password 0a"), Some(vec![10]));
        assert_eq!(datagram("K CLIENT_RANDOM 00 11"), None);
        assert_eq!(datagram("# a remark"), None);
        assert_eq!(datagram("odd 123"), None);
        assert_eq!(datagram(""), None);
    }

    #[test]
    fn finds_data_channel_messages_in_a_packet() {
        let mut packet = vec![0; 12];
        packet.extend([3, 0, 0, 5, 9, 0, 0, 0]);
        packet.extend([0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 50, 2, 0, 0, 0]);
        packet.extend([0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 51, 7, 0, 0, 0]);
        assert_eq!(dcep(&packet), [vec![2]]);
        assert_eq!(dcep(&packet[..15]), Vec::<Vec<u8>>::new());
    }
}
