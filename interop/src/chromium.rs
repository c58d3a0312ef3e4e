//! Headless Chromium, driven through WebDriver.

use std::fs;
use std::path::Path;
use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::page::Page;
use crate::remote::{Driver, Remote};

/// The fake media permission has the page list real addresses, and the loopback flag those of `lo`, so that the tests
/// need no other network.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
];

/// A browser of its own, with a new profile.
pub struct Chromium {
    client: Client,
    processes: Processes,
    _page: Option<Page>,
}

impl Chromium {
    /// Starts a browser that shows the page of the interop peer.
    pub async fn start() -> Result<Remote<Self>> {
        let page = Page::serve().await?;
        let url = page.url().to_owned();
        let mut browser = Self::open(&url).await?;
        browser._page = Some(page);
        Ok(Remote::new(browser))
    }

    /// Starts a browser that shows `url`.
    pub async fn open(url: &str) -> Result<Self> {
        let profile = TempDir::with_prefix("antiphon-chromium-")?;
        let (driver, port) = start_driver().await?;
        // From here on, whatever goes wrong, no process is left.
        let processes = Processes { driver, profile };
        let connector = HttpConnector::new();
        let capabilities = capabilities(processes.profile.path());
        let capabilities = capabilities.as_object().cloned().unwrap_or_default();
        let client = ClientBuilder::new(connector)
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("no session with chromedriver")?;
        let browser = Self { client, processes, _page: None };
        browser.client.goto(url).await?;
        Ok(browser)
    }

    /// The WebDriver session, for a test that clicks and reads.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Closes the browser, and returns when all its processes are gone.
    pub async fn close(self) -> Result<()> {
        self.client.close().await?;
        self.processes.end().await
    }
}

impl Driver for Chromium {
    async fn call(&mut self, request: Value) -> Result<Value> {
        let script = "const [request, done] = arguments; \
            call(request).then((ok) => done({ok}), (error) => done({error: String(error)}));";
        Ok(self.client.execute_async(script, vec![request]).await?)
    }

    async fn quit(self) -> Result<()> {
        self.close().await
    }
}

/// Starts chromedriver on a port of its own choice.
async fn start_driver() -> Result<(Child, u16)> {
    let program = std::env::var("ANTIPHON_CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into());
    let mut driver = Command::new(program)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("no chromedriver; `cargo xtask peers` installs it")?;
    let mut lines = BufReader::new(driver.stdout.take().context("its stdout")?).lines();
    let started = async {
        while let Some(line) = lines.next_line().await? {
            let port = line.split_once("on port ").map(|(_, port)| port.trim_end_matches('.').parse());
            if let Some(Ok(port)) = port
                && line.contains("started successfully")
            {
                return Ok(port);
            }
        }
        anyhow::bail!("chromedriver does not start")
    };
    let port =
        tokio::time::timeout(Duration::from_secs(20), started).await.context("chromedriver is slow")??;
    // It must be able to go on writing.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((driver, port))
}

fn capabilities(profile: &Path) -> Value {
    let program = std::env::var("ANTIPHON_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    let mut arguments: Vec<_> = ARGUMENTS.map(str::to_owned).to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    json!({
        "goog:chromeOptions": {"binary": program, "args": arguments},
        "timeouts": {"script": 60_000, "pageLoad": 30_000},
    })
}

/// Everything that was started, and the profile directory by which the browser's processes are known.
struct Processes {
    driver: Child,
    profile: TempDir,
}

impl Processes {
    /// Ends them, the browser having been told to close.
    async fn end(mut self) -> Result<()> {
        self.driver.kill().await?;
        for _ in 0..100 {
            if browser_processes(self.profile.path()).is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// A browser outlives its driver, and the profile can't be removed while it writes.
impl Drop for Processes {
    fn drop(&mut self) {
        let _ = self.driver.start_kill();
        for _ in 0..100 {
            let left = browser_processes(self.profile.path());
            if left.is_empty() {
                break;
            }
            let _ = Blocking::new("kill").arg("-KILL").args(left).stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The ids of the processes that were started with `profile`.
fn browser_processes(profile: &Path) -> Vec<String> {
    let wanted = profile.to_string_lossy();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|id| {
            let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(&*wanted)
        })
        .collect()
}
