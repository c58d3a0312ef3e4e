//! Requests of a client to one server, from the first sending to the answer (RFC 8489 §6.2, §6.3, §9.2).

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use antiphon_crypto::Provider;
use antiphon_util::{Rng, Tally, Writer};
use tracing::trace;

use crate::{
    Attribute, AttributeType, Authentication, AuthenticationError, Class, ClientTransaction, Credential,
    Limits, Message, MessageBuilder, MessageType, Method, Signature, Step, Timing, TooLong, TransactionId,
    Verdict,
};

/// How a [`Client`] asks.
#[derive(Debug)]
pub struct ClientConfig {
    /// When requests are repeated and given up: [`Timing::recommended`] over UDP, [`Timing::reliable`] over TCP and TLS.
    pub timing: Timing,
    /// Whether requests carry FINGERPRINT.
    pub fingerprint: bool,
    /// SOFTWARE of requests.
    pub software: Option<String>,
    /// What to answer a server with that asks who we are (long-term credential).
    pub credential: Option<Credential>,
    /// Attributes of answers that are understood; an answer with others that have to be is a failure.
    pub understood: fn(AttributeType) -> bool,
    /// Bounds.
    pub limits: Limits,
}

impl ClientConfig {
    /// Binding requests without credentials over UDP.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            fingerprint: true,
            software: None,
            credential: None,
            understood: AttributeType::is_of_binding,
            limits: Limits::default(),
        }
    }
}

/// Names a request for as long as the client lives; it stays the same where the request is sent again with another
/// transaction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientEvent {
    /// Which one.
    pub request: RequestId,
    /// The whole answer, success or error, to be read by [`Message::try_from`]; or why there is none.
    pub outcome: Result<Vec<u8>, ClientError>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// None came in time.
    #[error("no answer")]
    TimedOut,
    /// All that came were not authentic.
    #[error("integrity of the answers violated")]
    IntegrityViolated,
    /// The server does not let us in.
    #[error(transparent)]
    Refused(#[from] AuthenticationError),
    /// The server asked for credentials again and again.
    #[error("too many challenges")]
    TooManyChallenges,
    /// The answer has an attribute that has to be understood and is not.
    #[error("answer not understood: {0}")]
    NotUnderstood(AttributeType),
    /// The request, signed, does not fit a message.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// Why what was received changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientDrop {
    /// No response at all: malformed, a request, or an indication.
    NoResponse,
    /// FINGERPRINT is wrong.
    Fingerprint,
    /// No request of ours awaits it.
    Unasked,
    /// An error that anybody could have sent, or a response without the algorithms that its nonce promises (RFC 8489 §9.2.5).
    Ignored,
    /// It should be signed, and is not authentic.
    NotAuthentic,
}

/// Why a request is not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// As many as permitted await their answers, or their events are not taken.
    #[error("too many requests")]
    TooMany,
    /// It does not fit a message.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// The requests of a client to one server: sends, repeats, authenticates, and gives the answers. It knows no addresses and no
/// socket; over a stream its messages pass through [`Framing`](crate::Framing).
///
/// ```
/// use std::time::{Duration, Instant};
/// use antiphon_crypto::Provider;
/// use antiphon_stun::{Client, ClientConfig, Method, Timing};
/// use antiphon_util::Rng;
///
/// # #[allow(clippy::disallowed_methods)]
/// let now = Instant::now();
/// let provider = Provider::default();
/// let config = ClientConfig::new(Timing::recommended(Duration::from_millis(500)));
/// let mut client = Client::new(provider, config, Rng::from_seed(provider.random_seed()));
/// let request = client.request(now, Method::BINDING, |_| {})?;
/// let mut datagram = Vec::new();
/// while client.poll_transmit(now, &mut datagram).is_some() {
///     // Send it; hand what comes to `handle_datagram`, and call `handle_timeout` at `poll_timeout`.
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    authentication: Option<Authentication>,
    rng: Rng,
    pending: Vec<Pending>,
    events: VecDeque<ClientEvent>,
    requests: u64,
    drops: Tally<ClientDrop>,
}

type Body = Box<dyn Fn(&mut MessageBuilder<'_>) + Send + Sync>;

/// A request that awaits its answer.
struct Pending {
    request: RequestId,
    method: Method,
    body: Body,
    transaction: ClientTransaction,
    bytes: Vec<u8>,
    signature: Signature,
    challenges: u32,
    /// Whether an answer came that was not authentic.
    violated: bool,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("request", &self.request)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of one server.
    pub fn new(provider: Provider, mut config: ClientConfig, rng: Rng) -> Self {
        let authentication =
            config.credential.take().map(|credential| Authentication::new(provider, credential));
        Self {
            config,
            authentication,
            rng,
            pending: Vec::new(),
            events: VecDeque::new(),
            requests: 0,
            drops: Tally::new(),
        }
    }

    /// Begins a request of `method`; `body` appends its attributes, each time the request is made anew.
    ///
    /// # Errors
    /// Where too many requests await their answers, or what `body` appends does not fit.
    pub fn request(
        &mut self,
        now: Instant,
        method: Method,
        body: impl Fn(&mut MessageBuilder<'_>) + Send + Sync + 'static,
    ) -> Result<RequestId, RequestError> {
        if self.pending.len() + self.events.len() >= self.config.limits.requests {
            return Err(RequestError::TooMany);
        }
        let body: Body = Box::new(body);
        let (transaction, bytes, signature) = self.begin(now, method, &body)?;
        let request = RequestId(self.requests);
        self.requests += 1;
        let pending =
            Pending { request, method, body, transaction, bytes, signature, challenges: 0, violated: false };
        self.pending.push(pending);
        Ok(request)
    }

    /// Forgets a request: no event comes of it.
    pub fn cancel(&mut self, request: RequestId) {
        self.pending.retain(|pending| pending.request != request);
    }

    /// Takes what came from the server; whether it was a response to one of our requests. Anything else is dropped and counted.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> bool {
        match self.find(datagram) {
            Ok((at, response)) => {
                self.handle_response(now, at, &response);
                true
            }
            Err(reason) => {
                self.drop(reason);
                false
            }
        }
    }

    /// Gives up requests whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(at) = self.pending.iter().position(|pending| pending.has_timed_out(now)) {
            let violated = self.pending.get(at).is_some_and(|pending| pending.violated);
            let error = if violated { ClientError::IntegrityViolated } else { ClientError::TimedOut };
            self.end(at, Err(error));
        }
    }

    /// Appends the next message to be sent at `now` to `buf` and gives its length.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut Vec<u8>) -> Option<usize> {
        let due =
            |pending: &&mut Pending| pending.transaction.due() <= now && !pending.transaction.is_exhausted();
        let pending = self.pending.iter_mut().find(due)?;
        let step = pending.transaction.step(now);
        debug_assert_eq!(step, Step::Send, "it is due and not exhausted");
        buf.extend_from_slice(&pending.bytes);
        Some(pending.bytes.len())
    }

    /// How a request ended.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// When [`poll_transmit`](Self::poll_transmit) or [`handle_timeout`](Self::handle_timeout) have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.transaction.due()).min()
    }

    /// What the server has told of itself, where credentials are in use.
    pub fn authentication(&self) -> Option<&Authentication> {
        self.authentication.as_ref()
    }

    /// What was dropped, and why.
    pub fn drops(&self) -> &Tally<ClientDrop> {
        &self.drops
    }

    /// The response in `datagram` and the place of its request.
    fn find<'a>(&self, datagram: &'a [u8]) -> Result<(usize, Message<'a>), ClientDrop> {
        let response = Message::try_from(datagram).map_err(|_| ClientDrop::NoResponse)?;
        let MessageType { method, class } = response.kind();
        if !matches!(class, Class::SuccessResponse | Class::ErrorResponse) {
            return Err(ClientDrop::NoResponse);
        }
        if response.has_fingerprint() && !response.verify_fingerprint() {
            return Err(ClientDrop::Fingerprint);
        }
        let is_its =
            |pending: &Pending| pending.transaction.id() == response.id() && pending.method == method;
        let at = self.pending.iter().position(is_its).ok_or(ClientDrop::Unasked)?;
        Ok((at, response))
    }

    fn drop(&mut self, reason: ClientDrop) {
        trace!(?reason, "dropped");
        self.drops.count(reason);
    }

    fn begin(
        &mut self,
        now: Instant,
        method: Method,
        body: &Body,
    ) -> Result<(ClientTransaction, Vec<u8>, Signature), TooLong> {
        let id = TransactionId::random(&mut self.rng);
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let mut builder = MessageBuilder::new(&mut writer, MessageType::new(method, Class::Request), id);
        if let Some(software) = &self.config.software {
            builder.attribute(&Attribute::Software(software));
        }
        body(&mut builder);
        let signature =
            self.authentication.as_ref().map_or(Signature::NONE, |known| known.sign(&mut builder));
        if self.config.fingerprint {
            builder.fingerprint();
        }
        builder.finish()?;
        Ok((ClientTransaction::new(now, id, self.config.timing), bytes, signature))
    }

    fn handle_response(&mut self, now: Instant, at: usize, response: &Message<'_>) {
        let Some(pending) = self.pending.get_mut(at) else { return };
        let verdict = self
            .authentication
            .as_mut()
            .map_or(Verdict::Accepted, |known| known.judge(pending.signature, response));
        match verdict {
            Verdict::Accepted => {
                let unknown = response.unknown_required(self.config.understood).next();
                let outcome = unknown.map_or_else(
                    || Ok(response.bytes().to_vec()),
                    |kind| Err(ClientError::NotUnderstood(kind)),
                );
                self.end(at, outcome);
            }
            Verdict::Ignored => self.drop(ClientDrop::Ignored),
            Verdict::Violated if self.config.timing.is_reliable() => {
                self.end(at, Err(ClientError::IntegrityViolated));
            }
            Verdict::Violated => {
                pending.violated = true;
                self.drop(ClientDrop::NotAuthentic);
            }
            Verdict::Refused(error) => self.end(at, Err(error.into())),
            Verdict::Retry => self.retry(now, at),
        }
    }

    /// Sends the request again, signed as the server wants it now.
    fn retry(&mut self, now: Instant, at: usize) {
        if at >= self.pending.len() {
            return;
        }
        let mut pending = self.pending.swap_remove(at);
        pending.challenges += 1;
        let begun = if pending.challenges > self.config.limits.challenges {
            Err(ClientError::TooManyChallenges)
        } else {
            self.begin(now, pending.method, &pending.body).map_err(ClientError::from)
        };
        match begun {
            Ok((transaction, bytes, signature)) => {
                self.pending.push(Pending { transaction, bytes, signature, ..pending });
            }
            Err(error) => {
                self.events.push_back(ClientEvent { request: pending.request, outcome: Err(error) })
            }
        }
    }

    fn end(&mut self, at: usize, outcome: Result<Vec<u8>, ClientError>) {
        if at < self.pending.len() {
            let request = self.pending.swap_remove(at).request;
            self.events.push_back(ClientEvent { request, outcome });
        }
    }
}

impl Pending {
    fn has_timed_out(&self, now: Instant) -> bool {
        self.transaction.is_exhausted() && self.transaction.due() <= now
    }
}
