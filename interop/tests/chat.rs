//! The page of the `chat` example, used by two people.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use antiphon_interop::{Browser, Chromium};
use antiphon_testkit::left_out;
use anyhow::{Context, Result};
use fantoccini::Locator;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The example, on a free port; killed when dropped.
struct Chat {
    _program: Child,
    _output: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Chat {
    async fn start() -> Result<Self> {
        let program = example("chat")?;
        let mut child = Command::new(&program)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!(
                    "{}: `cargo build --package antiphon-examples --examples` makes it",
                    program.display()
                )
            })?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?).lines();
        while let Some(line) = output.next_line().await? {
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                return Ok(Self { url: url.to_owned(), _program: child, _output: output });
            }
        }
        anyhow::bail!("the example ended before it served")
    }
}

/// Where cargo puts examples: beside the directory of this test.
fn example(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a directory of builds")?;
    Ok(profile.join("examples").join(name))
}

async fn wait_for(browser: &Browser, selector: &str) -> Result<()> {
    let found =
        browser.client().wait().at_most(Duration::from_secs(30)).for_element(Locator::Css(selector)).await;
    found.map(drop).with_context(|| selector.to_owned())
}

/// Waits until the page lists a message of somebody that says `text`.
async fn wait_for_message(browser: &Browser, class: &str, text: &str) -> Result<()> {
    let path = format!(
        "//ol[@id='messages']/li[contains(concat(' ',@class,' '),' {class} ')][contains(.,'{text}')]"
    );
    let found =
        browser.client().wait().at_most(Duration::from_secs(30)).for_element(Locator::XPath(&path)).await;
    found.map(drop).with_context(|| format!("{class}: {text}"))
}

async fn say(browser: &Browser, text: &str) -> Result<()> {
    browser.client().find(Locator::Id("text")).await?.send_keys(text).await?;
    Ok(browser.client().find(Locator::Id("send")).await?.click().await?)
}

async fn click(browser: &Browser, id: &str) -> Result<()> {
    Ok(browser.client().find(Locator::Id(id)).await?.click().await?)
}

#[tokio::test]
async fn two_people_talk_leave_and_come_back() -> Result<()> {
    if left_out("chromium") {
        return Ok(());
    }
    let chat = Chat::start().await?;
    let alice = Chromium::open(&chat.url).await?;
    wait_for(&alice, "#state[data-state=connected]").await?;
    // The way in led to a room of its own; who has its address comes into the same.
    let room = alice.client().current_url().await?;
    assert!(room.path().starts_with("/room/"), "{room}");
    let bob = Chromium::open(room.as_str()).await?;
    wait_for(&bob, "#state[data-state=connected]").await?;
    wait_for(&alice, "#members li:nth-child(2)").await?;

    say(&alice, "hello bob").await?;
    wait_for_message(&alice, "own", "hello bob").await?;
    wait_for_message(&bob, "message", "hello bob").await?;
    say(&bob, "hello alice").await?;
    wait_for_message(&alice, "message", "hello alice").await?;

    click(&bob, "disconnect").await?;
    wait_for(&bob, "#state[data-state=closed]").await?;
    wait_for_message(&alice, "notice", "left").await?;
    wait_for(&alice, "#members li:only-child").await?;
    click(&bob, "reconnect").await?;
    wait_for(&bob, "#state[data-state=connected]").await?;
    say(&bob, "back again").await?;
    wait_for_message(&alice, "message", "back again").await?;

    if let Some(path) = std::env::var_os("ANTIPHON_SCREENSHOT") {
        std::fs::write(path, alice.client().screenshot().await?)?;
    }
    bob.close().await?;
    wait_for(&alice, "#members li:only-child").await?;
    alice.close().await
}
