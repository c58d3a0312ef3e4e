//! Headless Firefox.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::browser::{Browser, Make};
use crate::remote::Remote;

/// Starts browsers of this make. They list no loopback candidates: start them in a [`Network`](crate::Network).
pub enum Firefox {}

impl Firefox {
    /// Starts a browser that shows the page of the interop peer.
    pub async fn start() -> Result<Remote<Browser>> {
        Browser::with_page(&make(capabilities)).await.map(Remote::new)
    }

    /// Starts such a browser that knows no DTLS above 1.2.
    pub async fn start_with_dtls12() -> Result<Remote<Browser>> {
        let capped = |profile: &Path| {
            let mut capabilities = capabilities(profile);
            capabilities["moz:firefoxOptions"]["prefs"]["media.peerconnection.dtls.version.max"] = 771.into();
            capabilities
        };
        Browser::with_page(&make(capped)).await.map(Remote::new)
    }
}

fn make(capabilities: fn(&Path) -> Value) -> Make {
    Make {
        name: "Firefox",
        driver: std::env::var("ANTIPHON_GECKODRIVER").unwrap_or_else(|_| "geckodriver".into()),
        driver_arguments: &["--port=0"],
        port,
        capabilities,
    }
}

fn port(line: &str) -> Option<u16> {
    line.rsplit_once("Listening on 127.0.0.1:")?.1.trim().parse().ok()
}

/// Real addresses in candidates, and nothing that looks for the world outside.
fn capabilities(profile: &Path) -> Value {
    let program = std::env::var("ANTIPHON_FIREFOX").unwrap_or_else(|_| "/usr/bin/firefox-esr".into());
    json!({"moz:firefoxOptions": {
        "binary": program,
        "args": ["-headless", "-profile", profile],
        "prefs": {
            "media.peerconnection.ice.obfuscate_host_addresses": false,
            "media.navigator.streams.fake": true,
            "media.navigator.permission.disabled": true,
            "network.captive-portal-service.enabled": false,
            "network.connectivity-service.enabled": false,
            "network.dns.disablePrefetch": true,
            "network.prefetch-next": false,
            "app.update.enabled": false,
            "app.normandy.enabled": false,
            "browser.safebrowsing.malware.enabled": false,
            "browser.safebrowsing.phishing.enabled": false,
            "datareporting.policy.dataSubmissionEnabled": false,
            "extensions.update.enabled": false,
            "media.gmp-manager.updateEnabled": false,
            "media.gmp-provider.enabled": false,
            "toolkit.telemetry.enabled": false,
        },
    }})
}
