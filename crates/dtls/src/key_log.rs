//! The secrets of a connection in the format that Wireshark reads, for debugging.

use std::fmt;
use std::sync::Arc;

/// Where the secrets of connections are written, one line each, in NSS key log format: `LABEL client_random secret`.
///
/// Whoever has these lines reads everything that was sent; each connection that has a key log says so in the trace, as a
/// warning.
#[derive(Clone)]
pub struct KeyLog(Arc<dyn Fn(&str) + Send + Sync>);

impl KeyLog {
    /// Hands each line, without its end, to `write`.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog")
    }
}

/// The key log of one connection, if it has one.
#[derive(Clone, Copy)]
pub(crate) struct SecretLog<'a> {
    pub(crate) key_log: Option<&'a KeyLog>,
    pub(crate) client_random: [u8; 32],
}

impl SecretLog<'_> {
    pub(crate) fn write(&self, label: &str, secret: &[u8]) {
        let Some(KeyLog(write)) = self.key_log else { return };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        write(&format!("{label} {} {}", hex(&self.client_random), hex(secret)));
    }
}
