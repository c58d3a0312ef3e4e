//! Messages of multicast DNS (RFC 6762) on their way: sockets at the groups, for as long as somebody asks for a name or
//! publishes one. The connections of an endpoint share them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use antiphon_peer::{MDNS_PORT, MdnsDestination, PeerConnection};
use antiphon_util::Path;
use socket2::{Domain, Socket as RawSocket, Type};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use crate::endpoint::Inbox;
use crate::interfaces::interfaces_of;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// RFC 6762 §11: who receives it can tell that it has not come through a router.
const HOPS: u32 = 255;

/// Bytes of messages that wait for one connection.
const INBOX_BYTES: usize = 64 * 1024;

/// The longest message (RFC 6762 §17).
const MAX_MESSAGE: usize = 9_000;

/// A connection's part in multicast DNS.
#[derive(Debug)]
pub(crate) struct Multicast {
    /// `None` where it takes none.
    groups: Option<Arc<Groups>>,
    membership: Membership,
}

#[derive(Debug)]
enum Membership {
    None,
    Member(Arc<Sockets>, Arc<Inbox>),
    /// There can't be one on these interfaces.
    Refused,
}

/// What a connection wants of multicast DNS.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    wants: bool,
    messages: Vec<(MdnsDestination, Vec<u8>)>,
}

impl Wish {
    /// What `peer` wants now.
    pub(crate) fn of(peer: &mut PeerConnection) -> Self {
        let mut wish = Self { wants: peer.wants_multicast(), messages: Vec::new() };
        let mut message = Vec::new();
        while let Some((destination, _)) = peer.poll_multicast(&mut message) {
            wish.messages.push((destination, std::mem::take(&mut message)));
        }
        wish
    }
}

impl Multicast {
    /// A part in `groups`.
    pub(crate) fn new(groups: Arc<Groups>) -> Self {
        Self { groups: Some(groups), membership: Membership::None }
    }

    /// None, whatever the connection wants.
    pub(crate) fn never() -> Self {
        Self { groups: None, membership: Membership::None }
    }

    /// Joins or leaves the groups, and sends; `locals` are the addresses that the connection uses.
    pub(crate) fn fulfil(&mut self, cx: &Context<'_>, wish: Wish, locals: impl Iterator<Item = SocketAddr>) {
        if !wish.wants && wish.messages.is_empty() {
            if matches!(self.membership, Membership::Member(..)) {
                self.membership = Membership::None;
            }
            return;
        }
        if matches!(self.membership, Membership::None) {
            self.join(cx, locals);
        }
        if let Membership::Member(sockets, _) = &self.membership {
            for (destination, message) in &wish.messages {
                sockets.send(*destination, message);
            }
        }
    }

    /// The interfaces are others: the groups are joined anew where that is wanted.
    pub(crate) fn leave(&mut self) {
        self.membership = Membership::None;
    }

    /// Hands what has arrived to `receive`, as sender and message; whether there was anything.
    pub(crate) fn poll(&self, cx: &Context<'_>, mut receive: impl FnMut(SocketAddr, &[u8])) -> bool {
        let Membership::Member(_, inbox) = &self.membership else { return false };
        let Poll::Ready(mut arrivals) = inbox.poll_take(cx) else { return false };
        arrivals.runs().for_each(|(run, message)| receive(run.path.remote, message));
        true
    }

    fn join(&mut self, cx: &Context<'_>, locals: impl Iterator<Item = SocketAddr>) {
        let Some(groups) = &self.groups else { return };
        match groups.open(locals) {
            Ok(sockets) => {
                let inbox = Arc::new(Inbox::new(INBOX_BYTES));
                sockets.members.add(&inbox);
                self.membership = Membership::Member(sockets, inbox);
                // So that the inbox is looked at.
                cx.waker().wake_by_ref();
            }
            Err(error) => {
                tracing::debug!(%error, "no multicast DNS");
                self.membership = Membership::Refused;
            }
        }
    }
}

/// The sockets that some connections share, while one of them needs them.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<Weak<Sockets>>);

impl Groups {
    /// From now on others are opened.
    pub(crate) fn close(&self) {
        *self.lock() = Weak::new();
    }

    /// The sockets, on the interfaces that have one of the addresses `locals`.
    fn open(&self, locals: impl Iterator<Item = SocketAddr>) -> io::Result<Arc<Sockets>> {
        let mut open = self.lock();
        if let Some(sockets) = open.upgrade() {
            return Ok(sockets);
        }
        let addresses: Vec<IpAddr> = locals.map(|local| local.ip()).collect();
        let sockets = Arc::new(Sockets::open(&interfaces_of(&addresses)?)?);
        *open = Arc::downgrade(&sockets);
        Ok(sockets)
    }

    fn lock(&self) -> MutexGuard<'_, Weak<Sockets>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket at the group of each family, and who hears what arrives there.
#[derive(Debug)]
struct Sockets {
    families: Vec<Family>,
    members: Arc<Members>,
}

impl Sockets {
    fn open(interfaces: &[(IpAddr, u32)]) -> io::Result<Self> {
        let members = Arc::new(Members::default());
        let mut families = Vec::new();
        let mut refused = io::ErrorKind::AddrNotAvailable.into();
        for is_ipv4 in [true, false] {
            let mut of_family: Vec<(IpAddr, u32)> =
                interfaces.iter().filter(|(ip, _)| ip.is_ipv4() == is_ipv4).copied().collect();
            of_family.sort_by_key(|(_, index)| *index);
            of_family.dedup_by_key(|(_, index)| *index);
            if of_family.is_empty() {
                continue;
            }
            match Family::open(is_ipv4, of_family, &members) {
                Ok(family) => families.push(family),
                Err(error) => refused = error,
            }
        }
        if families.is_empty() { Err(refused) } else { Ok(Self { families, members }) }
    }

    /// Sends a message. What the kernel does not take is lost, as datagrams are.
    fn send(&self, destination: MdnsDestination, message: &[u8]) {
        match destination {
            MdnsDestination::Multicast => self.families.iter().for_each(|family| family.multicast(message)),
            MdnsDestination::Unicast(to) => {
                let mut families = self.families.iter();
                if let Some(family) = families.find(|family| family.group.is_ipv4() == to.is_ipv4()) {
                    let _ = family.raw().send_to(message, &to.into());
                }
            }
        }
    }
}

/// The connections that hear what arrives.
#[derive(Debug, Default)]
struct Members(Mutex<Vec<Weak<Inbox>>>);

impl Members {
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Inbox>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, inbox: &Arc<Inbox>) {
        let mut members = self.lock();
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(inbox));
    }

    /// Puts a message into the inbox of each. One that is full loses it.
    fn hand_out(&self, path: Path, message: &[u8]) {
        let mut wakers = Vec::new();
        self.lock().retain(|member| {
            let Some(inbox) = member.upgrade() else { return false };
            wakers.extend(inbox.push(path, None, message.len().max(1), message).ok().flatten());
            true
        });
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}

/// The socket at the group of one family; its drop ends the task that reads it.
#[derive(Debug)]
struct Family {
    group: SocketAddr,
    /// For sending; the lock holds the interface in place that is sent from.
    raw: Mutex<RawSocket>,
    /// Each by an address and its index.
    interfaces: Vec<(IpAddr, u32)>,
    task: AbortHandle,
}

impl Family {
    fn open(is_ipv4: bool, mut interfaces: Vec<(IpAddr, u32)>, members: &Arc<Members>) -> io::Result<Self> {
        let (group, any): (SocketAddr, SocketAddr) = match is_ipv4 {
            true => ((GROUP_V4, MDNS_PORT).into(), (Ipv4Addr::UNSPECIFIED, MDNS_PORT).into()),
            false => ((GROUP_V6, MDNS_PORT).into(), (Ipv6Addr::UNSPECIFIED, MDNS_PORT).into()),
        };
        let raw = RawSocket::new(Domain::for_address(any), Type::DGRAM, None)?;
        raw.set_nonblocking(true)?;
        // Other programs of this host, browsers among them, are at the same port.
        raw.set_reuse_address(true)?;
        #[cfg(unix)]
        raw.set_reuse_port(true)?;
        if is_ipv4 {
            raw.set_multicast_ttl_v4(HOPS)?;
        } else {
            raw.set_only_v6(true)?;
            raw.set_multicast_hops_v6(HOPS)?;
        }
        raw.bind(&any.into())?;
        interfaces.retain(|(ip, index)| {
            let joined = match ip {
                IpAddr::V4(ip) => raw.join_multicast_v4(&GROUP_V4, ip),
                IpAddr::V6(_) => raw.join_multicast_v6(&GROUP_V6, *index),
            };
            joined.is_ok()
        });
        if interfaces.is_empty() {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let io = UdpSocket::from_std(raw.try_clone()?.into())?;
        let task = tokio::spawn(read(io, any, Arc::clone(members))).abort_handle();
        Ok(Self { group, raw: Mutex::new(raw), interfaces, task })
    }

    /// Sends to the group over every interface.
    fn multicast(&self, message: &[u8]) {
        let raw = self.raw();
        for (ip, index) in &self.interfaces {
            let over = match ip {
                IpAddr::V4(ip) => raw.set_multicast_if_v4(ip),
                IpAddr::V6(_) => raw.set_multicast_if_v6(*index),
            };
            if let Err(error) = over.and_then(|()| raw.send_to(message, &self.group.into())) {
                tracing::debug!(group = %self.group, %ip, %error, "message of multicast DNS not sent");
            }
        }
    }

    fn raw(&self) -> MutexGuard<'_, RawSocket> {
        self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hands what arrives to the members.
async fn read(io: UdpSocket, local: SocketAddr, members: Arc<Members>) {
    let mut message = vec![0; MAX_MESSAGE];
    loop {
        match io.recv_from(&mut message).await {
            Ok((len, from)) => {
                members.hand_out(Path::udp(local, from), message.get(..len).unwrap_or_default());
            }
            Err(error) => {
                tracing::debug!(%local, %error, "multicast DNS ends");
                return;
            }
        }
    }
}
