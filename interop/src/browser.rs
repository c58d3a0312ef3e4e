//! A headless browser, driven through WebDriver.

use std::fs;
use std::path::Path;
use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::page::Page;
use crate::remote::Driver;

/// What one make of browser needs to be started.
pub(crate) struct Make {
    /// How an error names it.
    pub(crate) name: &'static str,
    /// The program that speaks WebDriver, and its arguments for a port of its own choice.
    pub(crate) driver: String,
    pub(crate) driver_arguments: &'static [&'static str],
    /// The port in the line in which the driver tells that it listens.
    pub(crate) port: fn(&str) -> Option<u16>,
    /// The browser's part of the capabilities, given the folder of its profile.
    pub(crate) capabilities: fn(&Path) -> Value,
}

/// A browser of its own, with a new profile.
pub struct Browser {
    client: Client,
    processes: Processes,
    page: Option<Page>,
}

impl Browser {
    /// Starts a browser that shows the page of the interop peer.
    pub(crate) async fn with_page(make: &Make) -> Result<Self> {
        let page = Page::serve().await?;
        let mut browser = Self::open(make, page.url()).await?;
        browser.page = Some(page);
        Ok(browser)
    }

    /// Starts a browser that shows `url`.
    pub(crate) async fn open(make: &Make, url: &str) -> Result<Self> {
        let profile = TempDir::with_prefix("antiphon-browser-")?;
        let (driver, port) = start_driver(make).await?;
        // From here on, whatever goes wrong, no process is left.
        let processes = Processes { driver, profile };
        let mut capabilities = (make.capabilities)(processes.profile.path());
        capabilities["timeouts"] = json!({"script": 60_000, "pageLoad": 30_000});
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().unwrap_or_default())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .with_context(|| format!("no session with {}", make.name))?;
        let browser = Self { client, processes, page: None };
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

impl Driver for Browser {
    async fn call(&mut self, request: Value) -> Result<Value> {
        let script = "const [request, done] = arguments; \
            call(request).then((ok) => done({ok}), (error) => done({error: String(error)}));";
        Ok(self.client.execute_async(script, vec![request]).await?)
    }

    async fn quit(self) -> Result<()> {
        self.close().await
    }
}

/// Starts the WebDriver program and waits until it listens.
async fn start_driver(make: &Make) -> Result<(Child, u16)> {
    let mut driver = Command::new(&make.driver)
        .args(make.driver_arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("no {}; `cargo xtask peers` installs it", make.driver))?;
    let mut lines = BufReader::new(driver.stdout.take().context("its stdout")?).lines();
    let started = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(port) = (make.port)(&line) {
                return Ok(port);
            }
        }
        bail!("{} does not start", make.driver)
    };
    let port = tokio::time::timeout(Duration::from_secs(20), started)
        .await
        .with_context(|| format!("{} is slow", make.driver))??;
    // It must be able to go on writing.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((driver, port))
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
