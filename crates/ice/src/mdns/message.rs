//! Messages of multicast DNS (RFC 6762 §18), as far as names of hosts need them: questions for addresses, and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use antiphon_util::{ParseError, Reader, Writer};

/// Questions and records that are read of one message; what follows is left.
const MAX_ENTRIES: usize = 64;
/// Bytes of a name (RFC 1035 §3.1).
const MAX_NAME_LEN: usize = 255;

const CLASS_IN: u16 = 1;
/// In a question: the answer may come by unicast; in a record: it replaces what was known (RFC 6762 §5.4, §10.2).
const TOP_BIT: u16 = 0x8000;
/// QR and AA: an authoritative answer (RFC 6762 §18.2, §18.4).
const RESPONSE: u16 = 0x8400;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_ANY: u16 = 255;

/// What of a message concerns addresses of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MdnsMessage {
    /// Repeated in answers to those who do not know multicast DNS (RFC 6762 §6.7).
    pub(crate) id: u16,
    pub(crate) is_response: bool,
    pub(crate) questions: Vec<Question>,
    pub(crate) records: Vec<Record>,
}

/// Which addresses does a name have?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) wants: Wanted,
    /// Whether the answer may come by unicast.
    pub(crate) unicast: bool,
}

/// Addresses of which family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    V4,
    V6,
    Any,
}

impl Wanted {
    pub(crate) fn includes(self, ip: IpAddr) -> bool {
        match self {
            Wanted::V4 => ip.is_ipv4(),
            Wanted::V6 => ip.is_ipv6(),
            Wanted::Any => true,
        }
    }
}

/// A name has this address, for so many seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    pub(crate) ttl: u32,
}

impl MdnsMessage {
    /// Reads a whole datagram; questions and records of other types are passed over.
    pub(crate) fn parse(datagram: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(datagram);
        let r = &mut reader;
        let (id, flags) = (r.u16()?, r.u16()?);
        let (questions, answers, authorities, additional) = (r.u16()?, r.u16()?, r.u16()?, r.u16()?);
        let mut message = Self { id, is_response: flags & 0x8000 != 0, ..Self::default() };
        // RFC 6762 §18.3: messages with another operation code are ignored; §18.11: and those that tell of an error.
        if flags & 0x780f != 0 {
            return Err(ParseError::Value);
        }
        for _ in 0..questions.min(MAX_ENTRIES as u16) {
            message.questions.extend(parse_question(datagram, r)?);
        }
        if usize::from(questions) > MAX_ENTRIES {
            return Ok(message);
        }
        let records = usize::from(answers) + usize::from(authorities) + usize::from(additional);
        for _ in 0..records.min(MAX_ENTRIES) {
            message.records.extend(parse_record(datagram, r)?);
        }
        Ok(message)
    }

    /// Writes it without compression of names.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let count = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        writer.u16(self.id);
        writer.u16(if self.is_response { RESPONSE } else { 0 });
        writer.u16(count(self.questions.len()));
        writer.u16(count(self.records.len()));
        writer.u16(0);
        writer.u16(0);
        for question in &self.questions {
            write_name(writer, &question.name);
            writer.u16(match question.wants {
                Wanted::V4 => TYPE_A,
                Wanted::V6 => TYPE_AAAA,
                Wanted::Any => TYPE_ANY,
            });
            writer.u16(if question.unicast { CLASS_IN | TOP_BIT } else { CLASS_IN });
        }
        for record in &self.records {
            write_name(writer, &record.name);
            writer.u16(if record.ip.is_ipv4() { TYPE_A } else { TYPE_AAAA });
            writer.u16(CLASS_IN | TOP_BIT);
            writer.u32(record.ttl);
            writer.vec16(|writer| match record.ip {
                IpAddr::V4(v4) => writer.bytes(&v4.octets()),
                IpAddr::V6(v6) => writer.bytes(&v6.octets()),
            });
        }
    }
}

fn parse_question<'a>(datagram: &'a [u8], r: &mut Reader<'a>) -> Result<Option<Question>, ParseError> {
    let name = parse_name(datagram, r)?;
    let (kind, class) = (r.u16()?, r.u16()?);
    let wants = match kind {
        TYPE_A => Wanted::V4,
        TYPE_AAAA => Wanted::V6,
        TYPE_ANY => Wanted::Any,
        _ => return Ok(None),
    };
    let is_internet = class & !TOP_BIT == CLASS_IN || class & !TOP_BIT == TYPE_ANY;
    Ok(is_internet.then_some(Question { name, wants, unicast: class & TOP_BIT != 0 }))
}

fn parse_record<'a>(datagram: &'a [u8], r: &mut Reader<'a>) -> Result<Option<Record>, ParseError> {
    let name = parse_name(datagram, r)?;
    let (kind, class, ttl) = (r.u16()?, r.u16()?, r.u32()?);
    let mut data = r.vec16()?;
    let ip: IpAddr = match kind {
        TYPE_A => Ipv4Addr::from(data.array::<4>()?).into(),
        TYPE_AAAA => Ipv6Addr::from(data.array::<16>()?).into(),
        _ => return Ok(None),
    };
    data.finish()?;
    Ok((class & !TOP_BIT == CLASS_IN).then_some(Record { name, ip, ttl }))
}

/// Reads a name with its labels joined by dots. A pointer (RFC 1035 §4.1.4) has to lead further back than the one before, so that
/// there is an end to them.
fn parse_name<'a>(datagram: &'a [u8], r: &mut Reader<'a>) -> Result<String, ParseError> {
    let mut name = Vec::new();
    let mut limit = datagram.len() - r.remaining().min(datagram.len());
    let mut behind: Option<Reader<'a>> = None;
    loop {
        let reader = behind.as_mut().unwrap_or(r);
        let len = reader.u8()?;
        match len {
            0 => break,
            1..=63 => {
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend(reader.bytes(usize::from(len))?);
                if name.len() > MAX_NAME_LEN {
                    return Err(ParseError::Limit);
                }
            }
            192.. => {
                let target = usize::from(u16::from_be_bytes([len & 0x3f, reader.u8()?]));
                if target >= limit {
                    return Err(ParseError::Value);
                }
                limit = target;
                behind = Some(Reader::new(datagram.get(target..).ok_or(ParseError::Value)?));
            }
            _ => return Err(ParseError::Value),
        }
    }
    // Names of hosts are text; others are none that we ask or answer for.
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn write_name(writer: &mut Writer<'_>, name: &str) {
    for label in name.split('.') {
        writer.vec8(|writer| writer.bytes(label.as_bytes()));
    }
    writer.u8(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &MdnsMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.write(&mut Writer::new(&mut bytes));
        bytes
    }

    fn example() -> MdnsMessage {
        let name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local".to_owned();
        MdnsMessage {
            id: 0,
            is_response: true,
            questions: vec![Question { name: name.clone(), wants: Wanted::Any, unicast: true }],
            records: vec![
                Record { name: name.clone(), ip: "192.0.2.1".parse().unwrap(), ttl: 120 },
                Record { name, ip: "2001:db8::1".parse().unwrap(), ttl: 0 },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_and_shorter_datagrams_are_refused() {
        let bytes = written(&example());
        assert_eq!(MdnsMessage::parse(&bytes), Ok(example()));
        for len in 0..bytes.len() {
            assert!(MdnsMessage::parse(bytes.get(..len).unwrap()).is_err(), "{len}");
        }
    }

    #[test]
    fn pointers_lead_back_and_never_in_a_circle() {
        let mut bytes = written(&MdnsMessage { records: Vec::new(), ..example() });
        let start = bytes.len();
        // A record whose name points to that of the question.
        bytes.extend([0xc0, 12, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 7]);
        let set = |bytes: &[u8], at: usize, value: u8| {
            let mut bytes = bytes.to_vec();
            *bytes.get_mut(at).unwrap() = value;
            bytes
        };
        let bytes = set(&bytes, 7, 1);
        let read = MdnsMessage::parse(&bytes).unwrap();
        assert_eq!(read.records.first().unwrap().name, example().questions.first().unwrap().name);
        for target in [start, start + 1, start + 2, 255] {
            let circular = set(&bytes, start + 1, u8::try_from(target).unwrap());
            assert!(MdnsMessage::parse(&circular).is_err(), "{target}");
        }
    }

    #[test]
    fn entries_are_read_up_to_a_limit() {
        let question = example().questions.remove(0);
        let many = MdnsMessage { questions: vec![question; 640], ..example() };
        assert_eq!(MdnsMessage::parse(&written(&many)).unwrap().questions.len(), MAX_ENTRIES);
        let record = example().records.remove(0);
        let many = MdnsMessage { records: vec![record; 640], ..example() };
        assert_eq!(MdnsMessage::parse(&written(&many)).unwrap().records.len(), MAX_ENTRIES);
    }

    #[test]
    fn published_messages_that_broke_other_parsers_are_refused() {
        let Some(corpus) = antiphon_testkit::corpus("mdns") else { return };
        assert!(!corpus.is_empty());
        for (path, bytes) in corpus {
            for len in 0..=bytes.len() {
                let read = MdnsMessage::parse(bytes.get(..len).unwrap());
                assert!(read.is_err(), "{} up to {len}: {read:?}", path.display());
            }
        }
    }
}
