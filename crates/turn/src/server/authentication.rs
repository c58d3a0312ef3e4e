//! Who sent a request (RFC 8489 §9.2.4), and whose quota it counts against.

use std::sync::Arc;
use std::time::Instant;

use antiphon_stun::{
    Authenticator, Credential, ErrorCode, Integrity, IntegrityKeys, Message, MessageBuilder, Refusal, UserId,
};
use antiphon_util::Path;

use super::config::Config;
use crate::time_limited::{time_limit, time_limited_password};

/// Who sent a request, proved.
#[derive(Debug)]
pub(super) struct Sender {
    /// As in the request.
    pub(super) username: String,
    /// For names that hold a time, the rest.
    pub(super) user: String,
    pub(super) signer: Signer,
}

/// What the answer to a request is protected with.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    keys: Arc<IntegrityKeys>,
    integrity: Integrity,
}

impl Signer {
    pub(super) fn sign(&self, builder: &mut MessageBuilder<'_>) {
        self.keys.sign(builder, self.integrity);
    }
}

/// Judges the credentials of a request. `established` is the user name of the allocation that the request is about: its
/// time does not count any more.
pub(super) fn authenticate(
    config: &Config,
    authenticator: &Authenticator,
    now: Instant,
    path: Path,
    message: &Message<'_>,
    established: Option<&str>,
) -> Result<Sender, Refusal> {
    let secrets = config.users.secrets.iter().map(Some);
    let mut refusal = None;
    // Once for the passwords of users, and once for each secret that makes passwords.
    for secret in std::iter::once(None).chain(secrets) {
        let judged = authenticator.judge(now, path.remote, message, |user, algorithm| {
            let UserId::Name(name) = user else { return None };
            let password = password(config, now, name, established == Some(name), secret)?;
            let credential = Credential::new(name, &password).ok()?;
            credential.long_term_keys(config.provider, &config.realm, algorithm)
        });
        match judged {
            Ok(authenticated) => {
                let UserId::Name(name) = authenticated.user else { continue };
                let user = match (secret, time_limit(name)) {
                    (Some(_), Some((_, user))) if !user.is_empty() => user,
                    _ => name,
                };
                let signer =
                    Signer { keys: Arc::new(authenticated.keys), integrity: authenticated.integrity };
                return Ok(Sender { username: name.to_owned(), user: user.to_owned(), signer });
            }
            Err(denied) if denied.error == ErrorCode::UNAUTHENTICATED && message_is_signed(message) => {
                refusal.get_or_insert(denied);
            }
            Err(denied) => return Err(denied),
        }
    }
    Err(refusal.unwrap_or(Refusal { error: ErrorCode::UNAUTHENTICATED, is_challenge: true }))
}

fn message_is_signed(message: &Message<'_>) -> bool {
    Integrity::of(message).is_some()
}

/// The password of a user: a known one, or the one that `secret` makes of a name that holds a time.
fn password(
    config: &Config,
    now: Instant,
    name: &str,
    established: bool,
    secret: Option<&String>,
) -> Option<String> {
    let Some(secret) = secret else { return config.users.passwords.get(name).cloned() };
    let (expires, _) = time_limit(name)?;
    let valid = established || expires > config.clock.unix_time(now).as_secs();
    valid.then(|| time_limited_password(config.provider, secret, name))
}
