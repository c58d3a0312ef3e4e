//! A client and a server in simulated time: repetition, long-term credentials, and what somebody on the path can do.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use antiphon_crypto::Provider;
use antiphon_stun::{
    Attribute, AttributeType, Authenticator, BindingServer, Class, Client, ClientConfig, ClientDrop,
    ClientError, ClientEvent, Credential, ErrorCode, FrameDecoder, Framing, Integrity, Limits, Message,
    MessageBuilder, MessageType, Method, PasswordAlgorithms, RequestError, SecurityFeatures, Timing, UserId,
    is_message, refuse,
};
use antiphon_testkit::{for_each_seed, origin};
use antiphon_util::{Path, Rng, Writer};

const REALM: &str = "example.org";
const NONCE_LIFETIME: Duration = Duration::from_secs(600);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn provider() -> Provider {
    Provider::default()
}

fn user() -> Credential {
    Credential::new("alice", "wonderland").unwrap()
}

fn path() -> Path {
    let [local, remote]: [SocketAddr; 2] =
        ["192.0.2.1:3478", "203.0.113.7:40000"].map(|text| text.parse().unwrap());
    Path::udp(local, remote)
}

fn client(credential: Option<Credential>, timing: Timing) -> Client {
    let config = ClientConfig { credential, ..ClientConfig::new(timing) };
    Client::new(provider(), config, Rng::from_test_seed(1))
}

fn datagrams() -> Timing {
    Timing::recommended(ms(500))
}

/// A server that knows alice.
struct Server(Authenticator);

impl Server {
    fn new(now: Instant) -> Self {
        Self(Authenticator::new(now, provider(), REALM, &[7; 32], NONCE_LIFETIME))
    }

    fn answer(&self, now: Instant, datagram: &[u8]) -> Vec<u8> {
        let request = Message::try_from(datagram).unwrap();
        let judged = self.0.judge(now, path().remote, &request, |id, algorithm| {
            let is_alice = match id {
                UserId::Name(name) => name == "alice",
                UserId::Hash(hash) => *hash == user().userhash(provider(), REALM),
            };
            is_alice.then(|| user().long_term_keys(provider(), REALM, algorithm))?
        });
        let mut buf = Vec::new();
        match judged {
            Ok(known) => {
                let signer = Some((&known.keys, known.integrity));
                BindingServer::default().respond_to(path(), &request, signer, &mut buf).unwrap();
            }
            Err(refusal) => {
                refuse(&request, refusal.error, None, &mut buf, |builder| {
                    if refusal.is_challenge {
                        self.0.challenge(now, path().remote, builder);
                    }
                })
                .unwrap();
            }
        }
        buf
    }
}

/// The next datagram of the client.
fn sent(client: &mut Client, now: Instant) -> Option<Vec<u8>> {
    let mut buf = Vec::new();
    let len = client.poll_transmit(now, &mut buf)?;
    assert_eq!(len, buf.len());
    Some(buf)
}

/// Carries until the client has nothing to send at `now`; gives what it asked, and how it ended.
fn converse(
    client: &mut Client,
    now: Instant,
    mut answer: impl FnMut(&[u8]) -> Vec<u8>,
) -> (Vec<Vec<u8>>, Vec<ClientEvent>) {
    let mut asked = Vec::new();
    while let Some(datagram) = sent(client, now) {
        assert!(client.handle_datagram(now, &answer(&datagram)));
        asked.push(datagram);
    }
    (asked, std::iter::from_fn(|| client.poll_event()).collect())
}

fn ask(client: &mut Client, now: Instant) {
    client.request(now, Method::BINDING, |_| {}).unwrap();
}

/// How the client ends where nothing more comes, and when.
fn outcome(client: &mut Client, mut now: Instant) -> (Result<Vec<u8>, ClientError>, Instant) {
    loop {
        while sent(client, now).is_some() {}
        client.handle_timeout(now);
        if let Some(event) = client.poll_event() {
            return (event.outcome, now);
        }
        now = client.poll_timeout().unwrap();
    }
}

/// A response to `request` of the given attributes, neither signed nor with a fingerprint.
fn forged(request: &[u8], class: Class, attributes: &[Attribute<'_>]) -> Vec<u8> {
    let request = Message::try_from(request).unwrap();
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out);
    let kind = MessageType::new(request.kind().method, class);
    let mut builder = MessageBuilder::new(&mut writer, kind, request.id());
    attributes.iter().for_each(|attribute| builder.attribute(attribute));
    builder.finish().unwrap();
    out
}

fn has(datagram: &[u8], kind: AttributeType) -> bool {
    Message::try_from(datagram).unwrap().find(kind).is_some()
}

#[test]
fn a_request_is_repeated_until_it_is_answered() {
    for_each_seed(200, |seed| {
        let mut rng = Rng::from_test_seed(seed);
        let lost = rng.below(7);
        let start = origin();
        let mut client = client(None, datagrams());
        let request = client.request(start, Method::BINDING, |_| {}).unwrap();
        let mut first = None;
        for _ in 0..lost {
            let now = client.poll_timeout().unwrap();
            let datagram = sent(&mut client, now).unwrap();
            assert_eq!(*first.get_or_insert(datagram.clone()), datagram, "repeated byte for byte");
        }
        let now = client.poll_timeout().unwrap();
        let datagram = sent(&mut client, now).unwrap();
        let mut answer = Vec::new();
        BindingServer::default().respond(path(), &datagram, &mut answer).unwrap();
        assert!(client.handle_datagram(now, &answer));
        assert!(!client.handle_datagram(now, &answer), "answered already");
        assert_eq!(client.poll_event(), Some(ClientEvent { request, outcome: Ok(answer) }));
        assert_eq!((client.poll_event(), client.poll_timeout()), (None, None));
    });
}

/// The bytes of a stream, in pieces of random lengths, as the frames that come of them.
fn through_a_stream(rng: &mut Rng, framing: Framing, message: &[u8]) -> Vec<Vec<u8>> {
    let mut stream = Vec::new();
    // ChannelData of TURN stands between messages; ICE has other frames there.
    framing.encode(&[0x40, 1, 0, 3, 7, 8, 9], &mut stream).unwrap();
    framing.encode(message, &mut stream).unwrap();
    let mut decoder = FrameDecoder::new(framing, 1_500);
    let mut frames = Vec::new();
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(rest.len().min(1 + rng.below(40) as usize));
        rest = later;
        while let Some(frame) = decoder.decode(&mut piece).unwrap() {
            frames.push(frame.to_vec());
        }
    }
    frames
}

#[test]
fn requests_and_answers_pass_over_streams() {
    for_each_seed(100, |seed| {
        let mut rng = Rng::from_test_seed(seed);
        for framing in [Framing::LengthPrefixed, Framing::SelfDelimiting] {
            let now = origin();
            let server = Server::new(now);
            let mut client = client(Some(user()), Timing::reliable());
            ask(&mut client, now);
            while let Some(datagram) = sent(&mut client, now) {
                for request in
                    through_a_stream(&mut rng, framing, &datagram).iter().filter(|one| is_message(one))
                {
                    for answer in through_a_stream(&mut rng, framing, &server.answer(now, request)) {
                        assert_eq!(client.handle_datagram(now, &answer), is_message(&answer));
                    }
                }
            }
            assert!(client.poll_event().unwrap().outcome.is_ok());
        }
    });
}

#[test]
fn a_request_without_an_answer_times_out() {
    for (timing, seconds) in [(datagrams(), 39.5), (Timing::reliable(), 39.5)] {
        let start = origin();
        let mut client = client(None, timing);
        ask(&mut client, start);
        let (ended, when) = outcome(&mut client, start);
        assert_eq!(ended, Err(ClientError::TimedOut));
        assert_eq!(when - start, Duration::from_secs_f64(seconds));
    }
}

#[test]
fn a_client_signs_with_sha_256_what_a_new_server_asks_for() {
    let now = origin();
    let server = Server::new(now);
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let (asked, events) = converse(&mut client, now, |datagram| server.answer(now, datagram));
    assert_eq!(asked.len(), 2);
    assert!(!has(&asked[0], AttributeType::USERNAME) && has(&asked[1], AttributeType::USERNAME));
    let signed = Message::try_from(&asked[1][..]).unwrap();
    assert_eq!(Integrity::of(&signed), Some(Integrity::Sha256));
    assert!(has(&asked[1], AttributeType::PASSWORD_ALGORITHMS));
    let [ClientEvent { outcome: Ok(answer), .. }] = &events[..] else { panic!("{events:?}") };
    let answer = Message::try_from(&answer[..]).unwrap();
    assert_eq!(
        (answer.kind(), Integrity::of(&answer)),
        (MessageType::BINDING_SUCCESS, Some(Integrity::Sha256))
    );
    assert_eq!(client.authentication().unwrap().realm(), Some(REALM));

    ask(&mut client, now);
    let (asked, events) = converse(&mut client, now, |datagram| server.answer(now, datagram));
    assert_eq!((asked.len(), events.len()), (1, 1), "signed at once from then on");
}

#[test]
fn a_client_signs_with_sha_1_what_an_old_server_asks_for() {
    let now = origin();
    let server = Server(Server::new(now).0.without_password_algorithms());
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let (asked, events) = converse(&mut client, now, |datagram| server.answer(now, datagram));
    assert_eq!(Integrity::of(&Message::try_from(&asked[1][..]).unwrap()), Some(Integrity::Sha1));
    assert!(!has(&asked[1], AttributeType::PASSWORD_ALGORITHM));
    let [ClientEvent { outcome: Ok(answer), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(Integrity::of(&Message::try_from(&answer[..]).unwrap()), Some(Integrity::Sha1));
}

#[test]
fn the_user_name_is_hidden_where_the_server_says_so() {
    let now = origin();
    let server = Server(Server::new(now).0.with_anonymous_users());
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let (asked, events) = converse(&mut client, now, |datagram| server.answer(now, datagram));
    assert!(has(&asked[1], AttributeType::USERHASH) && !has(&asked[1], AttributeType::USERNAME));
    assert!(matches!(&events[..], [ClientEvent { outcome: Ok(_), .. }]));
}

#[test]
fn a_stale_nonce_is_replaced() {
    let start = origin();
    let server = Server::new(start);
    let mut client = client(Some(user()), datagrams());
    for (seconds, requests) in [(0, 2), (600, 1), (601, 2), (1_000, 1)] {
        let now = start + Duration::from_secs(seconds);
        ask(&mut client, now);
        let (asked, events) = converse(&mut client, now, |datagram| server.answer(now, datagram));
        assert_eq!(asked.len(), requests, "after {seconds} s");
        assert!(matches!(&events[..], [ClientEvent { outcome: Ok(_), .. }]));
    }
}

#[test]
fn a_wrong_password_ends_the_request() {
    let now = origin();
    let server = Server::new(now);
    for (name, password) in [("alice", "looking-glass"), ("bob", "wonderland")] {
        let mut client = client(Some(Credential::new(name, password).unwrap()), datagrams());
        ask(&mut client, now);
        let (asked, events) = converse(&mut client, now, |datagram| server.answer(now, datagram));
        assert_eq!(asked.len(), 2);
        let [ClientEvent { outcome: Err(ClientError::Refused(error)), .. }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(*error, antiphon_stun::AuthenticationError::Rejected);
    }
}

#[test]
fn a_nonce_is_good_for_the_address_it_was_given_to() {
    let now = origin();
    let server = Server::new(now);
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let (asked, _) = converse(&mut client, now, |datagram| server.answer(now, datagram));
    let request = Message::try_from(&asked[1][..]).unwrap();
    let judge = |source: &str| {
        let keys = |_: UserId<'_>, algorithm| user().long_term_keys(provider(), REALM, algorithm);
        server
            .0
            .judge(now, source.parse().unwrap(), &request, keys)
            .map(|_| ())
            .map_err(|refusal| refusal.error)
    };
    assert_eq!(judge("203.0.113.7:40000"), Ok(()));
    assert_eq!(judge("203.0.113.7:40001"), Err(ErrorCode::STALE_NONCE));
    assert_eq!(judge("203.0.113.8:40000"), Err(ErrorCode::STALE_NONCE));
}

#[test]
fn taking_the_algorithms_out_of_a_challenge_is_noticed() {
    let now = origin();
    let nonce = SecurityFeatures::PASSWORD_ALGORITHMS.cookie() + "x";
    for code in [ErrorCode::UNAUTHENTICATED, ErrorCode::STALE_NONCE] {
        let mut client = client(Some(user()), datagrams());
        ask(&mut client, now);
        let (_, events) = converse(&mut client, now, |datagram| {
            let attributes = [Attribute::ErrorCode(code), Attribute::Realm(REALM), Attribute::Nonce(&nonce)];
            forged(datagram, Class::ErrorResponse, &attributes)
        });
        let [ClientEvent { outcome: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(*error, ClientError::Refused(antiphon_stun::AuthenticationError::BidDown));
    }
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let request = sent(&mut client, now).unwrap();
    client.handle_datagram(now, &forged(&request, Class::SuccessResponse, &[Attribute::Nonce(&nonce)]));
    assert_eq!(client.poll_event(), None, "ignored");
}

#[test]
fn changing_the_algorithms_of_a_challenge_is_noticed_by_the_server() {
    let now = origin();
    let server = Server::new(now);
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let first = sent(&mut client, now).unwrap();
    let answer = server.answer(now, &first);
    let answer = Message::try_from(&answer[..]).unwrap();
    // Somebody on the path leaves MD5 alone in the list.
    let weaker = PasswordAlgorithms::parse(&mut antiphon_util::Reader::new(&[0, 1, 0, 0])).unwrap();
    let attributes: Vec<Attribute<'_>> = answer
        .attributes()
        .filter(|one| one.kind != AttributeType::FINGERPRINT)
        .map(|one| match one.kind {
            AttributeType::PASSWORD_ALGORITHMS => Attribute::PasswordAlgorithms(weaker),
            _ => one.decode(answer.id()).unwrap(),
        })
        .collect();
    client.handle_datagram(now, &forged(&first, Class::ErrorResponse, &attributes));
    let second = sent(&mut client, now).unwrap();
    let answer = server.answer(now, &second);
    let answer = Message::try_from(&answer[..]).unwrap();
    assert_eq!(
        answer.attribute(AttributeType::ERROR_CODE),
        Some(Attribute::ErrorCode(ErrorCode::BAD_REQUEST))
    );
}

#[test]
fn taking_the_features_out_of_a_nonce_leads_nowhere() {
    let now = origin();
    let server = Server::new(now);
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let cookie = SecurityFeatures::PASSWORD_ALGORITHMS.cookie();
    let (asked, events) = converse(&mut client, now, |datagram| {
        let answer = server.answer(now, datagram);
        let answer = Message::try_from(&answer[..]).unwrap();
        let kept = answer.attributes().filter(|one| {
            !matches!(one.kind, AttributeType::FINGERPRINT | AttributeType::PASSWORD_ALGORITHMS)
        });
        let weaker: Vec<Attribute<'_>> = kept
            .map(|one| match one.decode(answer.id()).unwrap() {
                Attribute::Nonce(nonce) => Attribute::Nonce(nonce.strip_prefix(&cookie).unwrap()),
                other => other,
            })
            .collect();
        forged(datagram, Class::ErrorResponse, &weaker)
    });
    assert!(asked[1..].iter().all(|datagram| has(datagram, AttributeType::MESSAGE_INTEGRITY)));
    let [ClientEvent { outcome: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*error, ClientError::TooManyChallenges, "the server takes no nonce but its own");
}

#[test]
fn a_server_without_a_common_algorithm_is_left() {
    let now = origin();
    let unknown = PasswordAlgorithms::parse(&mut antiphon_util::Reader::new(&[0, 9, 0, 0])).unwrap();
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let (_, events) = converse(&mut client, now, |datagram| {
        let attributes = [
            Attribute::ErrorCode(ErrorCode::UNAUTHENTICATED),
            Attribute::Realm(REALM),
            Attribute::Nonce("n"),
            Attribute::PasswordAlgorithms(unknown),
        ];
        forged(datagram, Class::ErrorResponse, &attributes)
    });
    let [ClientEvent { outcome: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*error, ClientError::Refused(antiphon_stun::AuthenticationError::NoCommonAlgorithm));
}

#[test]
fn answers_that_are_not_authentic_do_not_count_over_udp_and_end_a_reliable_request() {
    for (timing, seconds) in [(datagrams(), 39.5), (Timing::reliable(), 0.0)] {
        let start = origin();
        let server = Server::new(start);
        let mut client = client(Some(user()), timing);
        ask(&mut client, start);
        converse(&mut client, start, |datagram| server.answer(start, datagram));
        ask(&mut client, start);
        let request = sent(&mut client, start).unwrap();
        let mapped = [Attribute::XorMappedAddress(path().local)];
        assert!(client.handle_datagram(start, &forged(&request, Class::SuccessResponse, &mapped)));
        let bad = [Attribute::ErrorCode(ErrorCode::BAD_REQUEST)];
        client.handle_datagram(start, &forged(&request, Class::ErrorResponse, &bad));
        assert!(timing.is_reliable() || client.drops().of(ClientDrop::NotAuthentic) == 1);
        assert!(timing.is_reliable() || client.drops().of(ClientDrop::Ignored) == 1);
        let (ended, when) = outcome(&mut client, start);
        assert_eq!(ended, Err(ClientError::IntegrityViolated));
        assert_eq!(when - start, Duration::from_secs_f64(seconds));
    }
}

#[test]
fn an_authentic_answer_counts_after_a_forged_one() {
    let now = origin();
    let server = Server::new(now);
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    converse(&mut client, now, |datagram| server.answer(now, datagram));
    ask(&mut client, now);
    let request = sent(&mut client, now).unwrap();
    let mapped = [Attribute::XorMappedAddress(path().local)];
    client.handle_datagram(now, &forged(&request, Class::SuccessResponse, &mapped));
    assert_eq!(client.poll_event(), None);
    client.handle_datagram(now, &server.answer(now, &request));
    assert!(client.poll_event().unwrap().outcome.is_ok());
}

#[test]
fn challenges_without_end_end_the_request_at_the_limit() {
    let now = origin();
    let mut client = client(Some(user()), datagrams());
    ask(&mut client, now);
    let mut realms = (0..).map(|number| format!("realm {number}"));
    let (asked, events) = converse(&mut client, now, |datagram| {
        let realm = realms.next().unwrap();
        let attributes = [
            Attribute::ErrorCode(ErrorCode::UNAUTHENTICATED),
            Attribute::Realm(&realm),
            Attribute::Nonce("n"),
        ];
        forged(datagram, Class::ErrorResponse, &attributes)
    });
    assert_eq!(asked.len(), 1 + Limits::default().challenges as usize);
    let [ClientEvent { outcome: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*error, ClientError::TooManyChallenges);
}

#[test]
fn requests_are_begun_up_to_their_limit() {
    let now = origin();
    let mut client = client(None, datagrams());
    let limit = Limits::default().requests;
    let begun: Vec<_> =
        (0..10 * limit).filter_map(|_| client.request(now, Method::BINDING, |_| {}).ok()).collect();
    assert_eq!(begun.len(), limit);
    assert_eq!(client.request(now, Method::BINDING, |_| {}), Err(RequestError::TooMany));
    client.cancel(begun[0]);
    assert!(client.request(now, Method::BINDING, |_| {}).is_ok());
    let (asked, events) = converse(&mut client, now, |datagram| {
        let mut answer = Vec::new();
        BindingServer::default().respond(path(), datagram, &mut answer).unwrap();
        answer
    });
    assert_eq!((asked.len(), events.len()), (limit, limit));
    assert!(events.iter().all(|event| event.request != begun[0]));
}

#[test]
fn a_request_that_does_not_fit_is_not_begun() {
    let mut client = client(None, datagrams());
    let long = vec![0; 65_536];
    let begun = client.request(origin(), Method::BINDING, move |builder| {
        builder.attribute(&Attribute::Padding(&long));
    });
    assert_eq!(begun, Err(RequestError::TooLong(antiphon_stun::TooLong)));
}

#[test]
fn an_answer_that_is_not_understood_is_a_failure() {
    let now = origin();
    let mut client = client(None, datagrams());
    ask(&mut client, now);
    let (_, events) = converse(&mut client, now, |datagram| {
        forged(datagram, Class::SuccessResponse, &[Attribute::ConnectionId(7)])
    });
    let [ClientEvent { outcome: Err(error), .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*error, ClientError::NotUnderstood(AttributeType::CONNECTION_ID));
}

#[test]
fn what_is_no_answer_to_a_request_changes_nothing() {
    let now = origin();
    let mut client = client(None, datagrams());
    ask(&mut client, now);
    let request = sent(&mut client, now).unwrap();
    let mut wrong_id = forged(&request, Class::SuccessResponse, &[]);
    *wrong_id.get_mut(19).unwrap() ^= 1;
    let mut wrong_method = forged(&request, Class::SuccessResponse, &[]);
    *wrong_method.get_mut(1).unwrap() ^= 2;
    let crc = [Attribute::Fingerprint(7)];
    let others = [
        forged(&request, Class::Request, &[]),
        forged(&request, Class::Indication, &[]),
        forged(&request, Class::SuccessResponse, &crc),
        wrong_id,
        wrong_method,
        vec![],
        vec![1; 40],
    ];
    for datagram in others {
        assert!(!client.handle_datagram(now, &datagram), "{datagram:?}");
    }
    assert_eq!(client.poll_event(), None);
    let counted: Vec<_> = client.drops().iter().collect();
    let expected = [(ClientDrop::NoResponse, 4), (ClientDrop::Fingerprint, 1), (ClientDrop::Unasked, 2)];
    assert_eq!(counted, expected);
    assert!(client.handle_datagram(now, &forged(&request, Class::SuccessResponse, &[])));
}
