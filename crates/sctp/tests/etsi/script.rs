//! The text of a packetdrill script about SCTP, read into steps.

use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A whole script.
#[derive(Debug)]
pub struct Script {
    /// How far an expected packet may be off its time.
    pub tolerance: Duration,
    pub steps: Vec<Step>,
}

/// What happens, and when.
#[derive(Debug)]
pub struct Step {
    pub line: usize,
    /// After the step before; `None` is any time.
    pub after: Option<Duration>,
    pub action: Action,
}

#[derive(Debug)]
pub enum Action {
    /// A packet for the association under test.
    Inject(Packet),
    /// A packet that it is to send.
    Expect(Packet),
    /// A call of the socket API, up to what it gives, and that.
    Call { call: Term, result: String },
}

#[derive(Debug)]
pub struct Packet {
    /// The verification tag where it is not the right one.
    pub tag: Option<u32>,
    pub bad_checksum: bool,
    pub chunks: Vec<Term>,
}

/// `NAME[key=value, …]`, `name(value, …)`, or a list, which has no name.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub name: String,
    pub arguments: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `...`
    Any,
    Number(u64),
    /// `2:3`
    Range(u16, u16),
    Word(String),
    Term(Term),
}

impl Term {
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.arguments.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The terms that stand without a key.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        self.arguments.iter().filter_map(|(key, value)| match value {
            Value::Term(term) if key.is_empty() => Some(term),
            _ => None,
        })
    }

    /// The values without their keys.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.arguments.iter().map(|(_, value)| value)
    }
}

/// Reads `text` as the system `system` would: `#ifdef` decides between `Linux` and `FreeBSD`.
pub fn read(text: &str, system: &str) -> Result<Script> {
    let mut script = Script { tolerance: Duration::from_millis(4), steps: Vec::new() };
    for (line, statement) in statements(text, system)? {
        if let Some(micros) = statement.strip_prefix("--tolerance_usecs=") {
            script.tolerance = Duration::from_micros(micros.trim().parse()?);
        } else {
            let step = step(line, &statement).with_context(|| format!("line {line}: {statement}"))?;
            script.steps.push(step);
        }
    }
    Ok(script)
}

/// Statements with the number of their first line; one goes on as long as a bracket is open or `;` or `,` ends the line.
fn statements(text: &str, system: &str) -> Result<Vec<(usize, String)>> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    let mut is_ours = true;
    for (number, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        match line.split_once(' ') {
            Some(("#ifdef", name)) => is_ours = name.trim() == system,
            _ if line.starts_with("#endif") => is_ours = true,
            _ if line.starts_with('#') => bail!("line {}: {line}", number + 1),
            _ if line.is_empty() || !is_ours => {}
            _ => {
                match statements.last_mut().filter(|_| is_open) {
                    Some((_, statement)) => *statement = format!("{statement} {line}"),
                    None => statements.push((number + 1, line.to_owned())),
                }
                let whole = statements.last().map_or("", |(_, statement)| statement);
                let count = |bracket| whole.matches(bracket).count();
                let unclosed = count(['[', '(', '{']) > count([']', ')', '}']);
                is_open = unclosed || line.ends_with([';', ',']);
            }
        }
    }
    Ok(statements)
}

fn step(line: usize, statement: &str) -> Result<Step> {
    let statement = statement.trim_start_matches(['+', ' ']);
    let (time, rest) = statement.split_once(char::is_whitespace).context("a time")?;
    let after = match time {
        "*" => None,
        _ => Some(Duration::from_secs_f64(time.parse()?)),
    };
    let rest = rest.trim();
    let action = match rest.split_once(char::is_whitespace) {
        Some(("<", packet)) => Action::Inject(self::packet(packet)?),
        Some((">", packet)) => Action::Expect(self::packet(packet)?),
        _ => {
            let mut cursor = Cursor(rest);
            let call = cursor.term()?;
            let result = cursor.0.trim().strip_prefix('=').context("a result")?.trim().to_owned();
            Action::Call { call, result }
        }
    };
    Ok(Step { line, after, action })
}

fn packet(text: &str) -> Result<Packet> {
    let (front, chunks) = text.split_once(':').context("a colon")?;
    let tag = match front.split_once("(tag=") {
        Some((_, tag)) => Some(tag.trim_end_matches([')', ' ']).parse()?),
        None => None,
    };
    let mut packet = Packet { tag, bad_checksum: front.contains("bad_crc32c"), chunks: Vec::new() };
    let mut cursor = Cursor(chunks.trim());
    loop {
        packet.chunks.push(cursor.term()?);
        if !cursor.take(';') {
            break;
        }
    }
    if !cursor.0.trim().is_empty() {
        bail!("{} is left", cursor.0);
    }
    Ok(packet)
}

/// What is left to read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn take(&mut self, wanted: char) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// The longest front of letters, digits and what stands in numbers and flags.
    fn word(&mut self) -> &'a str {
        self.0 = self.0.trim_start();
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '|' | '-' | ' ' | '"' | '%');
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word.trim()
    }

    fn term(&mut self) -> Result<Term> {
        let name = self.word().to_owned();
        for (open, close) in [('[', ']'), ('(', ')'), ('{', '}')] {
            if self.take(open) {
                return Ok(Term { name, arguments: self.arguments(close)? });
            }
        }
        bail!("a bracket behind {name}")
    }

    fn arguments(&mut self, close: char) -> Result<Vec<(String, Value)>> {
        let mut arguments = Vec::new();
        while !self.take(close) {
            let before = self.0;
            let word = self.word();
            if !word.is_empty() && word != "..." && self.take('=') {
                arguments.push((word.to_owned(), self.value()?));
            } else {
                self.0 = before;
                arguments.push((String::new(), self.value()?));
            }
            if !self.take(',') && !self.0.trim_start().starts_with(close) {
                bail!("{:?} where {close} is wanted", self.0);
            }
        }
        Ok(arguments)
    }

    fn value(&mut self) -> Result<Value> {
        let before = self.0;
        let word = self.word();
        if self.0.trim_start().starts_with(['[', '{', '(']) {
            self.0 = before;
            return Ok(Value::Term(self.term()?));
        }
        if word == "..." {
            return Ok(Value::Any);
        }
        if self.take(':') {
            let mut parts = vec![word, self.word()];
            while self.take(':') {
                parts.push(self.word());
            }
            // More or other than two numbers are an address of IPv6.
            let range: Vec<_> = parts.iter().filter_map(|part| part.parse().ok()).collect();
            return Ok(match (parts.len(), range.as_slice()) {
                (2, &[first, last]) => Value::Range(first, last),
                _ => Value::Word(parts.join(":")),
            });
        }
        Ok(number(word).map_or_else(|| Value::Word(word.trim_matches('"').to_owned()), Value::Number))
    }
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
