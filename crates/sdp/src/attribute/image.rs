//! `imageattr`.

use std::fmt;

use super::ice::write_list;
use super::rtp::payload_type;
use crate::error::Malformed;
use crate::words::{Source, Words, number};
use crate::{Decimal, Text};

/// The sizes that images of a format may have (RFC 6236 §3.1).
///
/// ```text
/// imageattr:<payload type>|* send|recv <sets>|* [recv|send <sets>|*]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAttr {
    /// The payload type; `None` for all of the section.
    pub payload_type: Option<u8>,
    /// What the describing end would send, where that is told.
    pub send: Option<ImageSets>,
    /// What the describing end would receive, where that is told.
    pub recv: Option<ImageSets>,
}

/// The sizes of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSets {
    /// Any.
    Any,
    /// One of these.
    Sets(Vec<ImageSet>),
}

/// A set of sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// The width, in pixels.
    pub x: ImageSizes,
    /// The height, in pixels.
    pub y: ImageSizes,
    /// `sar`: the width of a pixel by its height.
    pub sample_ratios: Option<SampleRatios>,
    /// `par`: the width of the picture by its height.
    pub aspect_ratio: Option<AspectRatio>,
    /// `q`: how much the set is liked, 0 to 1; 0.5 where it is not told.
    pub preference: Option<Decimal>,
    /// Further parameters, by name and value.
    pub others: Vec<(Text, Text)>,
}

/// Widths or heights, in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSizes {
    /// This one.
    One(u32),
    /// From one to another.
    Range {
        /// The least.
        min: u32,
        /// What one is more than the one before; 1 where it is not told.
        step: Option<u32>,
        /// The most.
        max: u32,
    },
    /// One of these, of which there are at least two.
    List(Vec<u32>),
}

/// Widths of a pixel by its height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SampleRatios {
    /// This one.
    One(Decimal),
    /// From one to another.
    Range(Decimal, Decimal),
    /// One of these, of which there are at least two.
    List(Vec<Decimal>),
}

/// From the least to the greatest width of the picture by its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AspectRatio {
    /// The least.
    pub min: Decimal,
    /// The greatest.
    pub max: Decimal,
}

impl ImageAttr {
    pub(crate) fn parse_boxed(words: &mut Words<'_>) -> Result<Box<Self>, Malformed> {
        let payload_type = words.convert("a payload type or *", |word| match word {
            "*" => Some(None),
            word => payload_type(word).map(Some),
        })?;
        let mut image = Self { payload_type, send: None, recv: None };
        let mut next = Some(words.word("send or recv")?);
        while let Some(word) = next {
            let sets = match word {
                "send" => &mut image.send,
                "recv" => &mut image.recv,
                _ => return Err(words.expected(word, "send or recv")),
            };
            if sets.is_some() {
                return Err(words.expected(word, "each direction once"));
            }
            let read;
            (read, next) = ImageSets::parse(words)?;
            *sets = Some(read);
        }
        Ok(Box::new(image))
    }
}

impl ImageSets {
    /// The sets, and the word behind them.
    fn parse<'a>(words: &mut Words<'a>) -> Result<(Self, Option<&'a str>), Malformed> {
        const EXPECTED: &str = "[x=…,y=…] or *";
        let first = words.word(EXPECTED)?;
        if first == "*" {
            return Ok((Self::Any, words.next()));
        }
        let source = words.source();
        let mut sets = Vec::new();
        let mut next = Some(first);
        while let Some(word) = next.filter(|word| sets.is_empty() || word.starts_with('[')) {
            let set = ImageSet::read(source, word);
            sets.push(set.ok_or_else(|| words.expected(word, EXPECTED))?);
            next = words.next();
        }
        Ok((Self::Sets(sets), next))
    }
}

impl ImageSet {
    fn read(source: Source<'_>, word: &str) -> Option<Self> {
        let inner = word.strip_prefix('[')?.strip_suffix(']')?;
        let mut parts = split_outside_brackets(inner);
        let x = ImageSizes::read(parts.next()?.strip_prefix("x=")?)?;
        let y = ImageSizes::read(parts.next()?.strip_prefix("y=")?)?;
        let mut set =
            Self { x, y, sample_ratios: None, aspect_ratio: None, preference: None, others: Vec::new() };
        for part in parts {
            let (name, value) = part.split_once('=')?;
            match name {
                "sar" if set.sample_ratios.is_none() => set.sample_ratios = Some(SampleRatios::read(value)?),
                "par" if set.aspect_ratio.is_none() => set.aspect_ratio = Some(AspectRatio::read(value)?),
                "q" if set.preference.is_none() => set.preference = Some(preference(value)?),
                "" | "sar" | "par" | "q" => return None,
                _ => set.others.push((source.text(name), source.text(value))),
            }
        }
        Some(set)
    }
}

fn preference(value: &str) -> Option<Decimal> {
    Decimal::read(value).filter(|decimal| decimal.value() <= 1.0)
}

/// The parts between commas, but for commas within brackets.
fn split_outside_brackets(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |letter| {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
}

fn in_brackets(value: &str) -> Option<&str> {
    value.strip_prefix('[')?.strip_suffix(']')
}

/// At least two numbers with `separator` between.
fn list<T>(text: &str, read: impl FnMut(&str) -> Option<T>) -> Option<Vec<T>> {
    let numbers: Vec<T> = text.split(',').map(read).collect::<Option<_>>()?;
    (numbers.len() > 1).then_some(numbers)
}

impl ImageSizes {
    fn read(value: &str) -> Option<Self> {
        let Some(inner) = in_brackets(value) else { return size(value).map(Self::One) };
        if inner.contains(',') {
            return list(inner, size).map(Self::List);
        }
        let parts: Vec<u32> = inner.splitn(4, ':').map(size).collect::<Option<_>>()?;
        match *parts {
            [min, max] => Some(Self::Range { min, step: None, max }),
            [min, step, max] => Some(Self::Range { min, step: Some(step), max }),
            _ => None,
        }
    }
}

/// A number without a zero in front.
fn size(word: &str) -> Option<u32> {
    number(word).filter(|_| !word.starts_with('0'))
}

impl SampleRatios {
    fn read(value: &str) -> Option<Self> {
        let Some(inner) = in_brackets(value) else { return Decimal::read(value).map(Self::One) };
        match inner.split_once('-') {
            Some((min, max)) => Some(Self::Range(Decimal::read(min)?, Decimal::read(max)?)),
            None => list(inner, Decimal::read).map(Self::List),
        }
    }
}

impl AspectRatio {
    fn read(value: &str) -> Option<Self> {
        let (min, max) = in_brackets(value)?.split_once('-')?;
        Some(Self { min: Decimal::read(min)?, max: Decimal::read(max)? })
    }
}

impl fmt::Display for ImageAttr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.payload_type {
            Some(payload_type) => payload_type.fmt(f)?,
            None => f.write_str("*")?,
        }
        self.send.as_ref().map_or(Ok(()), |sets| write!(f, " send {sets}"))?;
        self.recv.as_ref().map_or(Ok(()), |sets| write!(f, " recv {sets}"))
    }
}

impl fmt::Display for ImageSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Sets(sets) => write_list(f, sets, " "),
        }
    }
}

impl fmt::Display for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[x={},y={}", self.x, self.y)?;
        self.sample_ratios.as_ref().map_or(Ok(()), |ratios| write!(f, ",sar={ratios}"))?;
        self.aspect_ratio.map_or(Ok(()), |AspectRatio { min, max }| write!(f, ",par=[{min}-{max}]"))?;
        self.preference.map_or(Ok(()), |preference| write!(f, ",q={preference}"))?;
        self.others.iter().try_for_each(|(name, value)| write!(f, ",{name}={value}"))?;
        f.write_str("]")
    }
}

impl fmt::Display for ImageSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(size) => size.fmt(f),
            Self::Range { min, step: None, max } => write!(f, "[{min}:{max}]"),
            Self::Range { min, step: Some(step), max } => write!(f, "[{min}:{step}:{max}]"),
            Self::List(sizes) => write_bracketed(f, sizes),
        }
    }
}

impl fmt::Display for SampleRatios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(ratio) => ratio.fmt(f),
            Self::Range(min, max) => write!(f, "[{min}-{max}]"),
            Self::List(ratios) => write_bracketed(f, ratios),
        }
    }
}

fn write_bracketed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str("[")?;
    write_list(f, items, ",")?;
    f.write_str("]")
}
