//! Who is in which room, and who hears what. No network here: a member hears through the queue that it got on joining.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::messages::{MAX_TEXT, MemberId, Notice, Present, Request, clean_name, clean_text};

/// Notices that wait for a member; one that lets more wait is let go.
const MAX_WAITING: usize = 64;
/// A member may ask for so many things at once, …
const BURST: u32 = 10;
/// … and for one more each time this has passed.
const REFILL: Duration = Duration::from_millis(300);

/// How many rooms there are at most, and how many members in each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rooms: usize,
    pub(crate) members: usize,
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooManyRooms,
    RoomFull,
    TooFast,
    BadText,
    JoinedAlready,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooManyRooms => f.write_str("there are too many rooms, try again later"),
            Self::RoomFull => f.write_str("the room is full"),
            Self::TooFast => f.write_str("too much at once, wait a moment"),
            Self::BadText => write!(f, "a message has 1 to {MAX_TEXT} characters"),
            Self::JoinedAlready => f.write_str("you are in the room already"),
        }
    }
}

/// All rooms. A room exists while it has members.
#[derive(Debug)]
pub(crate) struct Rooms {
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rooms: HashMap<String, Room>,
    members_ever: u64,
}

#[derive(Debug)]
struct Room {
    members: BTreeMap<MemberId, Member>,
    /// When somebody joined or spoke last.
    active: Instant,
}

#[derive(Debug)]
struct Member {
    name: String,
    queue: mpsc::Sender<String>,
}

impl Rooms {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::default() })
    }

    /// Adds a member to a room, which comes to be with its first. What the member is to hear comes out of the queue; its end
    /// means that the member is in no room any more.
    pub(crate) fn join(
        self: &Arc<Self>,
        now: Instant,
        token: &str,
        name: &str,
    ) -> Result<(Membership, mpsc::Receiver<String>), Refusal> {
        let mut inner = self.lock();
        match inner.rooms.get(token) {
            None if inner.rooms.len() >= self.limits.rooms => return Err(Refusal::TooManyRooms),
            Some(room) if room.members.len() >= self.limits.members => return Err(Refusal::RoomFull),
            _ => {}
        }
        inner.members_ever += 1;
        let id = MemberId(inner.members_ever);
        let (queue, notices) = mpsc::channel(MAX_WAITING);
        let room = inner
            .rooms
            .entry(token.to_owned())
            .or_insert_with(|| Room { members: BTreeMap::new(), active: now });
        room.active = now;
        let name = clean_name(name);
        room.tell_all(&Notice::Joined { id, name: &name });
        room.members.insert(id, Member { name, queue: queue.clone() });
        let members =
            room.members.iter().map(|(id, member)| Present { id: *id, name: &member.name }).collect();
        // The queue is new and has room.
        let _ = queue.try_send(Notice::Welcome { id, members }.to_json());
        let pace = Pace { left: BURST, counted: now };
        Ok((Membership { rooms: Arc::clone(self), token: token.to_owned(), id, pace }, notices))
    }

    /// Drops the rooms in which nothing was said for `idle`, after telling their members.
    pub(crate) fn drop_idle(&self, now: Instant, idle: Duration) {
        self.lock().rooms.retain(|_, room| {
            let keep = now.saturating_duration_since(room.active) < idle;
            if !keep {
                room.tell_all(&Notice::Closed { reason: "the room was silent for too long".to_owned() });
            }
            keep
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Queues `notice` for every member. One whose queue is full is let go, of which the others hear in turn.
    fn tell_all(&mut self, notice: &Notice<'_>) {
        let mut notices = vec![notice.to_json()];
        while let Some(json) = notices.pop() {
            let slow = |(_, member): &(&MemberId, &mut Member)| member.queue.try_send(json.clone()).is_err();
            let gone: Vec<MemberId> = self.members.iter_mut().filter(slow).map(|(id, _)| *id).collect();
            for id in gone {
                if let Some(member) = self.members.remove(&id) {
                    notices.push(Notice::Left { id, name: &member.name }.to_json());
                }
            }
        }
    }
}

/// A place in a room, which is left when this is dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    rooms: Arc<Rooms>,
    token: String,
    id: MemberId,
    pace: Pace,
}

impl Membership {
    /// Does what the member asks for; the others in the room hear of it, and the member as well.
    pub(crate) fn handle_request(&mut self, now: Instant, request: Request) -> Result<(), Refusal> {
        if !self.pace.allows(now) {
            return Err(Refusal::TooFast);
        }
        let id = self.id;
        let mut inner = self.rooms.lock();
        let Some(room) = inner.rooms.get_mut(&self.token) else { return Ok(()) };
        let Some(member) = room.members.get_mut(&id) else { return Ok(()) };
        match request {
            Request::Join { .. } => return Err(Refusal::JoinedAlready),
            Request::Rename { name } => {
                let name = clean_name(&name);
                if member.name != name {
                    member.name.clone_from(&name);
                    room.tell_all(&Notice::Renamed { id, name: &name });
                }
            }
            Request::Say { text } => {
                let text = clean_text(&text).ok_or(Refusal::BadText)?;
                let name = member.name.clone();
                room.active = now;
                room.tell_all(&Notice::Said { id, name: &name, text: &text });
            }
        }
        Ok(())
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.rooms.lock();
        let Some(room) = inner.rooms.get_mut(&self.token) else { return };
        if let Some(member) = room.members.remove(&self.id) {
            room.tell_all(&Notice::Left { id: self.id, name: &member.name });
        }
        if room.members.is_empty() {
            inner.rooms.remove(&self.token);
        }
    }
}

/// A bucket of requests that refills with time.
#[derive(Debug)]
struct Pace {
    left: u32,
    /// Up to when refills are counted.
    counted: Instant,
}

impl Pace {
    fn allows(&mut self, now: Instant) -> bool {
        while self.left < BURST && now.saturating_duration_since(self.counted) >= REFILL {
            self.left += 1;
            self.counted += REFILL;
        }
        if self.left == BURST {
            self.counted = now;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { rooms: 3, members: 4 };

    fn say(text: &str) -> Request {
        Request::Say { text: text.to_owned() }
    }

    /// What has come out of the queue so far, as `type:detail`.
    fn heard(notices: &mut mpsc::Receiver<String>) -> Vec<String> {
        let mut heard = Vec::new();
        while let Ok(json) = notices.try_recv() {
            let notice: serde_json::Value = serde_json::from_str(&json).unwrap();
            let detail = ["text", "name", "reason"].iter().find_map(|key| notice[key].as_str()).unwrap_or("");
            heard.push(format!("{}:{detail}", notice["type"].as_str().unwrap()));
        }
        heard
    }

    #[test]
    fn members_of_a_room_hear_each_other_and_nobody_else() {
        let rooms = Rooms::new(LIMITS);
        let now = Instant::now();
        let (mut anna, mut to_anna) = rooms.join(now, "a", "Anna").unwrap();
        let (ben, mut to_ben) = rooms.join(now, "a", "Ben").unwrap();
        let (_cleo, mut to_cleo) = rooms.join(now, "b", "Cleo").unwrap();
        anna.handle_request(now, say("hello")).unwrap();
        anna.handle_request(now, Request::Rename { name: "Ann".to_owned() }).unwrap();
        drop(ben);
        assert_eq!(heard(&mut to_anna), ["welcome:", "joined:Ben", "said:hello", "renamed:Ann", "left:Ben"]);
        assert_eq!(heard(&mut to_ben), ["welcome:", "said:hello", "renamed:Ann"]);
        assert_eq!(heard(&mut to_cleo), ["welcome:"]);
    }

    #[test]
    fn rooms_and_members_are_limited() {
        let rooms = Rooms::new(LIMITS);
        let now = Instant::now();
        let mut inside: Vec<_> = (0..LIMITS.members).map(|_| rooms.join(now, "a", "x").unwrap()).collect();
        for _ in 0..10 * LIMITS.members {
            assert_eq!(rooms.join(now, "a", "x").unwrap_err(), Refusal::RoomFull);
        }
        inside.extend((1..LIMITS.rooms).map(|number| rooms.join(now, &number.to_string(), "x").unwrap()));
        for number in 0..10 * LIMITS.rooms {
            assert_eq!(rooms.join(now, &format!("more-{number}"), "x").unwrap_err(), Refusal::TooManyRooms);
        }
        assert_eq!(rooms.lock().rooms.len(), LIMITS.rooms);
        drop(inside);
        assert!(rooms.lock().rooms.is_empty(), "empty rooms are gone");
    }

    #[test]
    fn a_member_that_reads_nothing_is_let_go() {
        let rooms = Rooms::new(LIMITS);
        let mut now = Instant::now();
        let (mut anna, mut to_anna) = rooms.join(now, "a", "Anna").unwrap();
        let (_ben, mut to_ben) = rooms.join(now, "a", "Ben").unwrap();
        for _ in 0..MAX_WAITING {
            now += REFILL;
            anna.handle_request(now, say("hello")).unwrap();
            to_anna.try_recv().unwrap();
        }
        assert_eq!(heard(&mut to_anna).last().unwrap(), "left:Ben");
        assert_eq!(heard(&mut to_ben).len(), MAX_WAITING);
        assert_eq!(to_ben.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }

    #[test]
    fn who_asks_too_fast_is_refused_until_time_passes() {
        let rooms = Rooms::new(LIMITS);
        let now = Instant::now();
        let (mut anna, _to_anna) = rooms.join(now, "a", "Anna").unwrap();
        for _ in 0..BURST {
            anna.handle_request(now, say("x")).unwrap();
        }
        for _ in 0..10 * BURST {
            assert_eq!(anna.handle_request(now, say("x")), Err(Refusal::TooFast));
        }
        assert_eq!(anna.handle_request(now + REFILL, say("x")), Ok(()));
        assert_eq!(anna.handle_request(now + REFILL, say("x")), Err(Refusal::TooFast));
    }

    #[test]
    fn texts_and_names_have_bounds() {
        let rooms = Rooms::new(LIMITS);
        let mut now = Instant::now();
        let (mut anna, mut to_anna) = rooms.join(now, "a", "\u{202e}  \n").unwrap();
        for length in [0, MAX_TEXT + 1, 10 * MAX_TEXT] {
            assert_eq!(anna.handle_request(now, say(&"é".repeat(length))), Err(Refusal::BadText));
        }
        assert_eq!(anna.handle_request(now, say("\u{0} \u{7}")), Err(Refusal::BadText));
        assert_eq!(anna.handle_request(now, say(&"é".repeat(MAX_TEXT))), Ok(()));
        now += REFILL;
        anna.handle_request(now, Request::Rename { name: "n".repeat(1_000) }).unwrap();
        let told = heard(&mut to_anna);
        assert_eq!(told[1], format!("said:{}", "é".repeat(MAX_TEXT)));
        assert_eq!(told[2], format!("renamed:{}", "n".repeat(40)));
    }

    #[test]
    fn silent_rooms_are_dropped_and_others_stay() {
        let rooms = Rooms::new(LIMITS);
        let start = Instant::now();
        let hour = Duration::from_secs(3_600);
        let (mut silent, mut to_silent) = rooms.join(start, "a", "Anna").unwrap();
        let (mut lively, mut to_lively) = rooms.join(start, "b", "Ben").unwrap();
        lively.handle_request(start + hour / 2, say("still here")).unwrap();
        rooms.drop_idle(start + hour, hour);
        assert_eq!(heard(&mut to_silent), ["welcome:", "closed:the room was silent for too long"]);
        assert_eq!(to_silent.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(silent.handle_request(start + hour, say("too late")), Ok(()));
        assert_eq!(heard(&mut to_lively), ["welcome:", "said:still here"]);
        assert_eq!(to_lively.try_recv(), Err(mpsc::error::TryRecvError::Empty));
    }
}
