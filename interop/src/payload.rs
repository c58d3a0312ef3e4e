//! What a message is.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// A message of a data channel.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// A string.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Payload {
    /// Text of ASCII letters that repeats with a period unlike any packet's size.
    pub fn text(len: usize) -> Self {
        Self::Text((0..len).map(|at| char::from(b'a' + (at % 251 % 26) as u8)).collect())
    }

    /// Bytes in a pattern that shows where a piece is lost or out of place.
    pub fn binary(len: usize) -> Self {
        Self::Binary((0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect())
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!({"text": text}),
            Self::Binary(bytes) => json!({"binary": BASE64_STANDARD.encode(bytes)}),
        }
    }

    pub(crate) fn from_json(value: &Value) -> Result<Self> {
        match (value["text"].as_str(), value["binary"].as_str()) {
            (Some(text), None) => Ok(Self::Text(text.to_owned())),
            (None, Some(digits)) => Ok(Self::Binary(BASE64_STANDARD.decode(digits).context("base64")?)),
            _ => bail!("no payload: {value}"),
        }
    }
}

/// Long payloads are told by their length.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) if text.len() > 40 => write!(f, "Text({} bytes)", text.len()),
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}
