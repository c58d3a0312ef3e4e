//! Answers to checks, on their way out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use antiphon_crypto::HmacKey;
use antiphon_stun::{Attribute, AttributeType, ErrorCode, MessageBuilder, MessageType, TransactionId};
use antiphon_util::{Path, Transmit, Writer};

use crate::embedding::Embedding;

/// An answer to be sent; it is built when its turn comes.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) path: Path,
    pub(crate) id: TransactionId,
    pub(crate) answer: Answer,
    /// Whether it belongs to the session before a restart.
    pub(crate) is_former: bool,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Success,
    /// The request was not authenticated, so the answer isn't either (RFC 8489 §9.1.3).
    Unsigned(ErrorCode<'static>),
    Error(ErrorCode<'static>),
    UnknownAttributes(Vec<AttributeType>),
}

/// The queue of answers, with its bounds.
#[derive(Debug)]
pub(crate) struct Responses {
    queue: VecDeque<Response>,
    limit: usize,
    errors: ErrorRate,
}

/// Errors in the current second.
#[derive(Debug)]
struct ErrorRate {
    limit: u32,
    since: Option<Instant>,
    count: u32,
}

/// Why an answer is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    TooManyErrors,
}

impl Responses {
    pub(crate) fn new(limit: usize, errors_per_second: u32) -> Self {
        let errors = ErrorRate { limit: errors_per_second, since: None, count: 0 };
        Self { queue: VecDeque::new(), limit, errors }
    }

    pub(crate) fn push(&mut self, now: Instant, response: Response) -> Result<(), Refused> {
        if self.queue.len() >= self.limit {
            return Err(Refused::Full);
        }
        if !matches!(response.answer, Answer::Success) && !self.errors.admits(now) {
            return Err(Refused::TooManyErrors);
        }
        self.queue.push_back(response);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Appends the next answer to `buf`, signed with `key`, or with that of the session before; what is to be embedded rides in
    /// those of the present one.
    pub(crate) fn poll_transmit(
        &mut self,
        key: &HmacKey,
        former: Option<&HmacKey>,
        embedding: &mut Embedding,
        buf: &mut Vec<u8>,
    ) -> Option<Transmit> {
        while let Some(response) = self.queue.pop_front() {
            let start = buf.len();
            let Some(key) = (if response.is_former { former } else { Some(key) }) else { continue };
            match response.write(key, embedding, buf) {
                Ok(len) => return Some(Transmit { path: response.path, ecn: None, len, segment_size: None }),
                Err(_) => buf.truncate(start),
            }
        }
        None
    }
}

impl ErrorRate {
    fn admits(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            self.since = Some(now);
            self.count = 0;
        }
        self.count += 1;
        self.count <= self.limit
    }
}

impl Response {
    fn write(
        &self,
        key: &HmacKey,
        embedding: &mut Embedding,
        buf: &mut Vec<u8>,
    ) -> Result<usize, antiphon_stun::TooLong> {
        let kind = match self.answer {
            Answer::Success => MessageType::BINDING_SUCCESS,
            _ => MessageType::BINDING_ERROR,
        };
        let mut writer = Writer::new(buf);
        let mut builder = MessageBuilder::new(&mut writer, kind, self.id);
        match &self.answer {
            Answer::Success => {
                builder.attribute(&Attribute::XorMappedAddress(self.path.remote));
                if !self.is_former {
                    let load = embedding.load(self.path.remote.ip(), 0);
                    embedding.write(load, &mut builder);
                }
            }
            Answer::Unsigned(error) | Answer::Error(error) => {
                builder.attribute(&Attribute::ErrorCode(*error))
            }
            Answer::UnknownAttributes(kinds) => {
                builder.attribute(&Attribute::ErrorCode(ErrorCode::UNKNOWN_ATTRIBUTE));
                builder.unknown_attributes(kinds.iter().copied());
            }
        }
        if !matches!(self.answer, Answer::Unsigned(_)) {
            builder.message_integrity(key);
        }
        builder.fingerprint();
        builder.finish()
    }
}
