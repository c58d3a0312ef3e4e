//! The server up to the ClientHello, in answer to which it decides the version; the drawings stand in `client`, `client12` and
//! `client13`.

use antiphon_util::Rng;

use crate::connection::State;
use crate::cookie::{CookieKey, Cookies};
use crate::core::Core;
use crate::flight::Repetition;
use crate::message::{ClientHello, HelloVerifyRequest, Kind, Message};
use crate::registry::{DTLS_1_0, DTLS_1_2};
use crate::server12::{self, Server12};
use crate::server13::{self, AwaitSecondHello, Server13};
use crate::transcript::Transcript;
use crate::{CookieExchange, HandshakeError, Version};

/// What the server awaits next.
#[derive(Debug)]
pub(crate) enum Server {
    AwaitClientHello(AwaitClientHello),
    AwaitSecondHello(Box<AwaitSecondHello>),
    Dtls12(Box<Server12>),
    Dtls13(Server13),
}

impl Server {
    pub(crate) fn start(core: &mut Core) -> Self {
        let key = CookieKey::random(core.provider(), &mut Rng::from_seed(core.cookie_secret));
        Self::await_hello(key.cookies(&[], 0))
    }

    /// Awaits a hello to which `cookies` belong.
    pub(crate) fn await_hello(cookies: Cookies) -> Self {
        Server::AwaitClientHello(AwaitClientHello { cookies })
    }

    /// Handles the next message in order.
    pub(crate) fn handle(self, core: &mut Core, message: &Message) -> Result<State, HandshakeError> {
        let next = match (self, message.kind) {
            (Server::AwaitClientHello(state), Kind::CLIENT_HELLO) => state.client_hello(core, message)?,
            (Server::AwaitSecondHello(state), Kind::CLIENT_HELLO) => {
                Server::Dtls13(state.client_hello(core, message)?)
            }
            (Server::Dtls12(state), _) => return state.handle(core, message),
            (Server::Dtls13(state), _) => return state.handle(core, message),
            _ => return Err(HandshakeError::UnexpectedMessage),
        };
        Ok(State::Server(next))
    }
}

#[derive(Debug)]
pub(crate) struct AwaitClientHello {
    cookies: Cookies,
}

impl AwaitClientHello {
    fn client_hello(self, core: &mut Core, message: &Message) -> Result<Server, HandshakeError> {
        let hello = message.read(ClientHello::parse)?;
        let is_cookie_demanded = core.config.cookie == CookieExchange::Demanded;
        match choose_version(core, &hello)? {
            Version::Dtls13 if !is_cookie_demanded => server13::first_hello(core, &hello, message),
            Version::Dtls13 => match &hello.extensions.cookie {
                Some(cookie) => server13::hello_with_cookie(core, &self.cookies, &hello, message, cookie)
                    .map(Server::Dtls13),
                None => {
                    server13::demand_cookie(core, &self.cookies, &hello, message)?;
                    Ok(Server::AwaitClientHello(self))
                }
            },
            Version::Dtls12 => {
                if is_cookie_demanded && !self.cookies.is_right(&hello) {
                    // RFC 6347 §4.2.1: nothing is remembered of a client that has not proven its address.
                    core.flight.begin(Repetition::OnDemand);
                    let request = HelloVerifyRequest { version: DTLS_1_0, cookie: self.cookies.of(&hello) };
                    let request = core.message(Kind::HELLO_VERIFY_REQUEST, |w| request.write(w));
                    core.flight.push(request, 0);
                    return Ok(Server::AwaitClientHello(self));
                }
                core.version = Some(Version::Dtls12);
                let mut transcript = Transcript::new(Version::Dtls12);
                transcript.add(message);
                server12::client_hello(core, &hello, transcript).map(|state| Server::Dtls12(Box::new(state)))
            }
        }
    }
}

/// The best version of both ends. A hello that offers 1.3 says so in an extension; without the extension its version field is
/// the highest it speaks (RFC 8446 §4.2.1).
fn choose_version(core: &Core, hello: &ClientHello) -> Result<Version, HandshakeError> {
    let is_offered = |version: &Version| match &hello.extensions.supported_versions {
        Some(codes) => codes.contains(&version.code()),
        // Versions of DTLS count downwards.
        None => *version == Version::Dtls12 && hello.version <= DTLS_1_2,
    };
    let common = |version: &Version| core.offers(*version) && is_offered(version);
    Version::ALL.into_iter().find(common).ok_or(HandshakeError::NoCommonVersion)
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
