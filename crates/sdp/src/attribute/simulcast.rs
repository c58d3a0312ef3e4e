//! `simulcast`.

use std::fmt;

use super::ice::write_list;
use super::rid::is_rid;
use crate::Text;
use crate::error::Malformed;
use crate::words::{Source, Words};

/// Several streams of one source side by side (RFC 8853 §5.1).
///
/// ```text
/// simulcast:send <stream>[,<alternative>…][;…] recv …
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// The streams that the describing end would send, each with its alternatives, the best first.
    pub send: Vec<Vec<SimulcastStream>>,
    /// The streams that the describing end would receive, each with its alternatives, the best first.
    pub recv: Vec<Vec<SimulcastStream>>,
}

/// One stream, or an alternative to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulcastStream {
    /// The name, as in its `rid`.
    pub rid: Text,
    /// Whether it is not sent for now.
    pub paused: bool,
}

impl Simulcast {
    /// To send the streams `rids`, without alternatives and none paused.
    pub fn send<'a>(rids: impl IntoIterator<Item = &'a str>) -> Self {
        Self { send: streams(rids), recv: Vec::new() }
    }

    /// To receive the streams `rids`, without alternatives and none paused.
    pub fn recv<'a>(rids: impl IntoIterator<Item = &'a str>) -> Self {
        Self { send: Vec::new(), recv: streams(rids) }
    }

    pub(crate) fn parse_boxed(words: &mut Words<'_>) -> Result<Box<Self>, Malformed> {
        let mut simulcast = Self::default();
        let mut next = Some(words.word("send or recv")?);
        while let Some(word) = next {
            let streams = match word {
                "send" => &mut simulcast.send,
                "recv" => &mut simulcast.recv,
                _ => return Err(words.expected(word, "send or recv")),
            };
            if !streams.is_empty() {
                return Err(words.expected(word, "each direction once"));
            }
            let source = words.source();
            *streams = words.convert("names of streams", |list| read_list(source, list))?;
            next = words.next();
        }
        Ok(Box::new(simulcast))
    }
}

fn streams<'a>(rids: impl IntoIterator<Item = &'a str>) -> Vec<Vec<SimulcastStream>> {
    rids.into_iter().map(|rid| vec![SimulcastStream { rid: rid.into(), paused: false }]).collect()
}

fn read_list(source: Source<'_>, list: &str) -> Option<Vec<Vec<SimulcastStream>>> {
    let stream = |word: &str| {
        let rid = word.strip_prefix('~').unwrap_or(word);
        is_rid(rid).then(|| SimulcastStream { rid: source.text(rid), paused: rid.len() < word.len() })
    };
    list.split(';').map(|alternatives| alternatives.split(',').map(stream).collect()).collect()
}

impl fmt::Display for Simulcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (direction, streams) in [("send ", &self.send), ("recv ", &self.recv)] {
            if streams.is_empty() {
                continue;
            }
            write!(f, "{separator}{direction}")?;
            for (index, alternatives) in streams.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ";" })?;
                write_list(f, alternatives, ",")?;
            }
            separator = " ";
        }
        Ok(())
    }
}

impl fmt::Display for SimulcastStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.paused { "~" } else { "" }, self.rid)
    }
}
