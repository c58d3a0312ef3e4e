//! Descriptions that are copied by hand: base64url of deflated JSON.

use std::io::{Read, Write};

use antiphon::SessionDescription;
use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// A description is a few kilobytes; what unpacks to more is something else.
const MAX_JSON: u64 = 64 * 1024;

/// Prints `description` for the other terminal.
pub(crate) fn show(what: &str, description: &SessionDescription) -> anyhow::Result<()> {
    println!("Paste this {what} into the other terminal:\n\n{}\n", encode(description)?);
    Ok(())
}

/// Asks until a description is pasted that can be read.
pub(crate) async fn ask(what: &str) -> anyhow::Result<SessionDescription> {
    println!("Paste the {what} of the other terminal here, then press enter:");
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match decode(line.trim()) {
            Ok(description) => return Ok(description),
            Err(_) if line.trim().is_empty() => {}
            Err(error) => println!("That is not it ({error}). Once more:"),
        }
    }
    anyhow::bail!("the input ended before the {what} came")
}

fn encode(description: &SessionDescription) -> anyhow::Result<String> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&serde_json::to_vec(description)?)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(packed.finish()?))
}

fn decode(text: &str) -> anyhow::Result<SessionDescription> {
    let packed = BASE64_URL_SAFE_NO_PAD.decode(text).context("not base64url")?;
    let mut json = String::new();
    DeflateDecoder::new(packed.as_slice())
        .take(MAX_JSON)
        .read_to_string(&mut json)
        .context("not deflated text")?;
    serde_json::from_str(&json).context("not a description")
}
