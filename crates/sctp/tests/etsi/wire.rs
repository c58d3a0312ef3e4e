//! Packets as a script has them, to bytes and back, by a reader that is not the crate's own.

use anyhow::{Context, Result, bail, ensure};
use crc_fast::{CrcAlgorithm, checksum};

use super::script::{Packet, Term, Value};

/// What the numbers of a script stand for in this run.
#[derive(Debug, Default)]
pub struct Names {
    /// The tag that packets to the association under test carry, and how the script calls it.
    ours: Option<(u32, u32)>,
    /// The tags that packets from it may carry, the newest last.
    theirs: Vec<u32>,
    /// Its first TSN, and how the script calls that.
    first_tsn: Option<(u32, u32)>,
    /// The cookie that it gave.
    cookie: Vec<u8>,
    /// The values of the HEARTBEATs that it was sent and sent itself.
    heartbeat: Vec<u8>,
}

/// A chunk as it stands in a packet.
#[derive(Debug, Clone)]
pub struct Raw {
    pub kind: u8,
    flags: u8,
    value: Vec<u8>,
}

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

fn chunk_type(term: &Term) -> Result<u8> {
    Ok(match term.name.as_str() {
        "DATA" => 0,
        "INIT" => INIT,
        "INIT_ACK" => INIT_ACK,
        "SACK" => 3,
        "HEARTBEAT" => 4,
        "HEARTBEAT_ACK" => 5,
        "ABORT" => 6,
        "SHUTDOWN" => 7,
        "SHUTDOWN_ACK" => 8,
        "ERROR" => 9,
        "COOKIE_ECHO" => 10,
        "COOKIE_ACK" => 11,
        "SHUTDOWN_COMPLETE" => 14,
        "CHUNK" => match term.get("type") {
            Some(Value::Number(kind)) => *kind as u8,
            Some(Value::Word(name)) => chunk_type(&Term { name: name.clone(), arguments: Vec::new() })?,
            other => bail!("type {other:?}?"),
        },
        other => bail!("{other}?"),
    })
}

fn cause_code(name: &str) -> Result<u16> {
    Ok(match name {
        "INVALID_STREAM_IDENTIFIER" => 1,
        "MISSING_MANDATORY_PARAMETER" => 2,
        "STALE_COOKIE_ERROR" => 3,
        "UNRESOLVABLE_ADDRESS" => 5,
        "UNRECOGNIZED_CHUNK_TYPE" => 6,
        "INVALID_MANDATORY_PARAMETER" => 7,
        "UNRECOGNIZED_PARAMETERS" => 8,
        "NO_USER_DATA" => 9,
        "PROTOCOL_VIOLATION" => 13,
        other => bail!("{other}?"),
    })
}

fn parameter_type(term: &Term) -> Result<u16> {
    Ok(match term.name.as_str() {
        "HEARTBEAT_INFORMATION" => 1,
        "IPV4_ADDRESS" => 5,
        "IPV6_ADDRESS" => 6,
        "STATE_COOKIE" => 7,
        "UNRECOGNIZED_PARAMETER" => 8,
        "COOKIE_PRESERVATIVE" => 9,
        "HOSTNAME_ADDRESS" => 11,
        "SUPPORTED_ADDRESS_TYPES" => 12,
        "PARAMETER" => term.number("type").context("a type")? as u16,
        other => bail!("{other}?"),
    })
}

/// The flags that `flgs=BE`, `flgs=T` or `flgs=0x01` name; `None` for any.
fn flags(term: &Term) -> Option<u8> {
    match term.get("flgs")? {
        Value::Number(flags) => Some(*flags as u8),
        Value::Word(letters) => Some(letters.chars().fold(0, |flags, letter| {
            flags
                | match letter {
                    'E' | 'T' => 1,
                    'B' => 2,
                    'U' => 4,
                    _ => 8,
                }
        })),
        _ => None,
    }
}

/// Type, length and value, padded.
fn tlv(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(kind.to_be_bytes());
    out.extend((value.len() as u16 + 4).to_be_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The bytes of `val=[…]`, or as many zeros as `len` leaves behind the header of four.
fn literal(term: &Term) -> Vec<u8> {
    match term.get("val") {
        Some(Value::Term(list)) => bytes(list),
        _ => vec![0; term.number("len").unwrap_or(4).saturating_sub(4) as usize],
    }
}

/// The bytes of `[0x01, 0x02]`.
fn bytes(list: &Term) -> Vec<u8> {
    let byte = |value: &Value| match value {
        Value::Number(byte) => Some(*byte as u8),
        _ => None,
    };
    list.values().filter_map(byte).collect()
}

/// The front of four bytes, and what is behind.
fn four(bytes: &[u8]) -> Result<(u32, &[u8])> {
    let (front, rest) = bytes.split_first_chunk::<4>().context("four bytes")?;
    Ok((u32::from_be_bytes(*front), rest))
}

fn two(bytes: &[u8]) -> Result<(u16, &[u8])> {
    let (front, rest) = bytes.split_first_chunk::<2>().context("two bytes")?;
    Ok((u16::from_be_bytes(*front), rest))
}

/// What has a type and a length in front, one behind the other.
fn elements(mut bytes: &[u8]) -> Result<Vec<(u16, Vec<u8>)>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (kind, rest) = two(bytes)?;
        let (len, rest) = two(rest)?;
        let value = rest.get(..usize::from(len).checked_sub(4).context("a length")?).context("a value")?;
        elements.push((kind, value.to_vec()));
        bytes = bytes.get(usize::from(len).next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(elements)
}

/// The chunks of a packet that the association sent, whose header is checked.
pub fn parse(bytes: &[u8], names: &Names) -> Result<Vec<Raw>> {
    let (header, mut rest) = bytes.split_first_chunk::<12>().context("a header")?;
    let [_, _, _, _, tag @ .., a, b, c, d] = *header;
    let mut zeroed = bytes.to_vec();
    zeroed[8..12].fill(0);
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &zeroed) as u32;
    ensure!(u32::from_le_bytes([a, b, c, d]) == crc, "the checksum is wrong");
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (front, _) = four(rest)?;
        let [kind, flags, a, b] = front.to_be_bytes();
        let len = usize::from(u16::from_be_bytes([a, b]));
        let value = rest.get(4..len).context("a chunk")?.to_vec();
        chunks.push(Raw { kind, flags, value });
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    let tag = u32::from_be_bytes(tag);
    let first = chunks.first().context("a chunk")?;
    let reflected = matches!(first.kind, 6 | 14) && first.flags & 1 != 0;
    let right = if first.kind == INIT { &[0] } else { names.theirs.as_slice() };
    ensure!(reflected || right.contains(&tag), "the verification tag is {tag}, not {right:?}");
    Ok(chunks)
}

impl Names {
    /// The bytes of a packet for the association.
    pub fn encode(&mut self, packet: &Packet, port: u16) -> Result<Vec<u8>> {
        let first = packet.chunks.first().context("a chunk")?;
        // Before an association has a tag, any but 0 is wrong.
        let live = self.ours.map_or(u32::MAX, |(live, _)| live);
        let tag = match packet.tag {
            None if first.name == "INIT" => 0,
            None if flags(first) == Some(1)
                && matches!(first.name.as_str(), "ABORT" | "SHUTDOWN_COMPLETE") =>
            {
                self.theirs.last().copied().unwrap_or_default()
            }
            None => live,
            Some(0) => 0,
            Some(tag) if self.ours.is_some_and(|(_, name)| name == tag) => live,
            Some(tag) => live ^ (tag << 8 | 1),
        };
        let mut bytes = [port.to_be_bytes(), port.to_be_bytes()].concat();
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0; 4]);
        for chunk in &packet.chunks {
            self.encode_chunk(chunk, &mut bytes)?;
        }
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &bytes) as u32 ^ u32::from(packet.bad_checksum);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    fn encode_chunk(&mut self, chunk: &Term, out: &mut Vec<u8>) -> Result<()> {
        if chunk.name.is_empty() {
            out.extend(bytes(chunk));
            return Ok(());
        }
        let kind = chunk_type(chunk)?;
        let value = self.value(chunk)?;
        let len = match chunk.number("len") {
            Some(len) if chunk.name == "CHUNK" => len as usize,
            _ => value.len() + 4,
        };
        out.extend([kind, flags(chunk).unwrap_or(0)]);
        out.extend((len as u16).to_be_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        Ok(())
    }

    /// What stands behind the header of a chunk.
    fn value(&mut self, chunk: &Term) -> Result<Vec<u8>> {
        let number = |key: &str| chunk.number(key).with_context(|| format!("{key} of {}", chunk.name));
        let mut value = Vec::new();
        match chunk.name.as_str() {
            "DATA" => {
                value.extend((number("tsn")? as u32).to_be_bytes());
                value.extend((number("sid")? as u16).to_be_bytes());
                value.extend((number("ssn")? as u16).to_be_bytes());
                value.extend((number("ppid")? as u32).to_be_bytes());
                value.resize(number("len")? as usize - 4, 0xA5);
            }
            "INIT" | "INIT_ACK" => {
                let tag = number("tag")? as u32;
                self.theirs.push(tag);
                value.extend(tag.to_be_bytes());
                value.extend((number("a_rwnd")? as u32).to_be_bytes());
                value.extend((number("os")? as u16).to_be_bytes());
                value.extend((number("is")? as u16).to_be_bytes());
                value.extend((number("tsn")? as u32).to_be_bytes());
                for parameter in chunk.terms() {
                    tlv(parameter_type(parameter)?, &parameter_value(parameter)?, &mut value);
                }
            }
            "SACK" => {
                value.extend(self.live_tsn(number("cum_tsn")? as u32).to_be_bytes());
                value.extend((number("a_rwnd")? as u32).to_be_bytes());
                let gaps = ranges(chunk.get("gaps"));
                value.extend((gaps.len() as u16).to_be_bytes());
                value.extend([0; 2]);
                value.extend(gaps.iter().flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()]).flatten());
            }
            "SHUTDOWN" => value.extend(self.live_tsn(number("cum_tsn")? as u32).to_be_bytes()),
            "HEARTBEAT" => {
                for parameter in chunk.terms() {
                    self.heartbeat = literal(parameter);
                    tlv(1, &self.heartbeat, &mut value);
                }
            }
            "HEARTBEAT_ACK" => tlv(1, &self.heartbeat, &mut value),
            "COOKIE_ECHO" if matches!(chunk.get("val"), Some(Value::Term(_))) => value = literal(chunk),
            "COOKIE_ECHO" => value.clone_from(&self.cookie),
            "ERROR" | "ABORT" => {
                for cause in chunk.terms() {
                    let content = match cause.name.as_str() {
                        "STALE_COOKIE_ERROR" => {
                            (cause.number("staleness").unwrap_or(0) as u32).to_be_bytes().to_vec()
                        }
                        "UNRECOGNIZED_PARAMETERS" => nested(cause, "params")?,
                        _ => Vec::new(),
                    };
                    tlv(cause_code(&cause.name)?, &content, &mut value);
                }
            }
            "CHUNK" => value = literal(chunk),
            _ => {}
        }
        Ok(value)
    }

    /// Whether `chunk` is what the script wants; what the script names for the first time gets its name.
    pub fn check(&mut self, wanted: &Term, chunk: &Raw) -> Result<()> {
        ensure!(chunk.kind == chunk_type(wanted)?, "chunk type {}", chunk.kind);
        if let Some(flags) = flags(wanted) {
            // The I bit is younger than the scripts (RFC 7053).
            let given = if chunk.kind == 0 { chunk.flags & 7 } else { chunk.flags };
            ensure!(given == flags, "flags {given:#x}");
        }
        match wanted.name.as_str() {
            "DATA" => self.check_data(wanted, chunk),
            "INIT" | "INIT_ACK" => self.check_init(wanted, chunk),
            "SACK" => check_sack(wanted, chunk),
            "SHUTDOWN" => same(wanted, "cum_tsn", four(&chunk.value)?.0),
            "COOKIE_ECHO" => match wanted.number("len") {
                Some(len) => {
                    ensure!(chunk.value.len() + 4 == len as usize, "a cookie of {}", chunk.value.len());
                    Ok(())
                }
                None => Ok(()),
            },
            "HEARTBEAT_ACK" => {
                let echoed = elements(&chunk.value)?;
                ensure!(echoed == [(1, self.heartbeat.clone())], "{echoed:?}");
                Ok(())
            }
            "HEARTBEAT" => {
                self.heartbeat = elements(&chunk.value)?.pop().context("information")?.1;
                Ok(())
            }
            "ERROR" | "ABORT" => check_causes(wanted, chunk),
            _ => Ok(()),
        }
    }

    fn check_data(&mut self, wanted: &Term, chunk: &Raw) -> Result<()> {
        let (tsn, rest) = four(&chunk.value)?;
        let (stream, rest) = two(rest)?;
        let (sequence, rest) = two(rest)?;
        same(wanted, "len", chunk.value.len() as u32 + 4)?;
        same(wanted, "tsn", self.script_tsn(tsn))?;
        same(wanted, "sid", stream.into())?;
        same(wanted, "ssn", sequence.into())?;
        same(wanted, "ppid", four(rest)?.0)
    }

    fn check_init(&mut self, wanted: &Term, chunk: &Raw) -> Result<()> {
        let (tag, rest) = four(&chunk.value)?;
        let (window, rest) = four(rest)?;
        let (outgoing, rest) = two(rest)?;
        let (incoming, rest) = two(rest)?;
        let (tsn, parameters) = four(rest)?;
        // Where the script has no name for it, it is of no association that lasts.
        if let Some(name) = wanted.number("tag") {
            self.ours = Some((tag, name as u32));
        }
        if let Some(name) = wanted.number("tsn") {
            self.first_tsn = Some((tsn, name as u32));
        }
        same(wanted, "a_rwnd", window)?;
        same(wanted, "os", outgoing.into())?;
        same(wanted, "is", incoming.into())?;
        let parameters = elements(parameters)?;
        if let Some((_, cookie)) = parameters.iter().find(|(kind, _)| *kind == 7) {
            self.cookie.clone_from(cookie);
        }
        for parameter in wanted.terms() {
            let kind = parameter_type(parameter)?;
            let value = match parameter.name.as_str() {
                "UNRECOGNIZED_PARAMETER" => Some(nested(parameter, "params")?),
                "PARAMETER" => Some(literal(parameter)),
                _ => None,
            };
            let is_there =
                parameters.iter().any(|(k, v)| *k == kind && value.as_ref().is_none_or(|value| v == value));
            ensure!(is_there, "no {} in {parameters:x?}", parameter.name);
        }
        Ok(())
    }

    /// A TSN of the association, from the script.
    fn live_tsn(&self, tsn: u32) -> u32 {
        self.first_tsn.map_or(tsn, |(live, name)| tsn.wrapping_sub(name).wrapping_add(live))
    }

    fn script_tsn(&self, tsn: u32) -> u32 {
        self.first_tsn.map_or(tsn, |(live, name)| tsn.wrapping_sub(live).wrapping_add(name))
    }
}

fn same(wanted: &Term, key: &str, found: u32) -> Result<()> {
    match wanted.number(key) {
        Some(number) if number != u64::from(found) => bail!("{key} is {found}, not {number}"),
        _ => Ok(()),
    }
}

fn check_sack(wanted: &Term, chunk: &Raw) -> Result<()> {
    let (cumulative, rest) = four(&chunk.value)?;
    let (window, rest) = four(rest)?;
    let (gaps, rest) = two(rest)?;
    let (duplicates, mut rest) = two(rest)?;
    same(wanted, "cum_tsn", cumulative)?;
    same(wanted, "a_rwnd", window)?;
    let mut found = Vec::new();
    for _ in 0..gaps {
        let (a, b);
        (a, rest) = two(rest)?;
        (b, rest) = two(rest)?;
        found.push((a, b));
    }
    ensure!(found == ranges(wanted.get("gaps")), "gaps {found:?}");
    let wanted = match wanted.get("dups") {
        Some(Value::Term(list)) => list.arguments.len(),
        _ => return Ok(()),
    };
    ensure!(usize::from(duplicates) == wanted, "{duplicates} duplicates");
    Ok(())
}

/// Every cause that the script names is there.
fn check_causes(wanted: &Term, chunk: &Raw) -> Result<()> {
    let causes = elements(&chunk.value)?;
    for cause in wanted.terms() {
        let code = cause_code(&cause.name)?;
        let content = match cause.name.as_str() {
            "UNRECOGNIZED_CHUNK_TYPE" => Some(nested(cause, "chk")?),
            "UNRECOGNIZED_PARAMETERS" => Some(nested(cause, "params")?),
            _ => None,
        };
        let is_there = causes.iter().any(|(c, v)| {
            *c == code
                && content.as_ref().is_none_or(|content| v.starts_with(content) || content.starts_with(v))
        });
        ensure!(is_there, "no {} in {causes:x?}", cause.name);
    }
    Ok(())
}

/// Chunks or parameters within a cause or parameter.
fn nested(term: &Term, key: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match term.get(key) {
        Some(Value::Term(chunk)) if chunk.name == "CHUNK" => {
            Names::default().encode_chunk(chunk, &mut bytes)?
        }
        Some(Value::Term(list)) => {
            for parameter in list.terms() {
                tlv(parameter_type(parameter)?, &parameter_value(parameter)?, &mut bytes);
            }
        }
        _ => {}
    }
    Ok(bytes)
}

fn parameter_value(parameter: &Term) -> Result<Vec<u8>> {
    Ok(match parameter.name.as_str() {
        "IPV4_ADDRESS" => vec![1, 1, 1, 1],
        "IPV6_ADDRESS" => vec![0xFE; 16],
        "HOSTNAME_ADDRESS" => b"a.b\0".to_vec(),
        "COOKIE_PRESERVATIVE" => (parameter.number("incr").unwrap_or(0) as u32).to_be_bytes().to_vec(),
        "SUPPORTED_ADDRESS_TYPES" => vec![0, 5, 0, 6],
        _ => literal(parameter),
    })
}

fn ranges(value: Option<&Value>) -> Vec<(u16, u16)> {
    let Some(Value::Term(list)) = value else { return Vec::new() };
    list.values()
        .filter_map(|value| match value {
            Value::Range(a, b) => Some((*a, *b)),
            _ => None,
        })
        .collect()
}
