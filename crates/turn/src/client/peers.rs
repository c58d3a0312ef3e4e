//! Which peers may be sent to, and how: permissions (RFC 8656 §9) and channels (§12).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::config::Limits;
use super::event::DropReason;
use crate::channel::CHANNEL_NUMBERS;

/// How long a permission lasts (RFC 8656 §9).
pub(crate) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// How long a channel lasts (RFC 8656 §12).
pub(crate) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// How long before its end a permission or channel is renewed.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a refused peer is left alone.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// Addresses of peers, and the channels to their ports.
#[derive(Debug)]
pub(super) struct Peers {
    limits: Limits,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    next_number: u16,
    /// Datagrams that wait for a permission.
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Permission {
    peer: IpAddr,
    /// When something was sent there last; what is not used is not renewed.
    used: Instant,
    state: PermissionState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PermissionState {
    /// To be asked for.
    Wanted,
    /// Asked for the first time.
    Asked,
    Granted {
        renew: Instant,
        expires: Instant,
        asked: bool,
    },
    Refused {
        until: Instant,
    },
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    sent: u32,
    state: ChannelState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChannelState {
    /// Not enough is sent to deserve one.
    Unbound,
    Asked,
    Bound {
        renew: Instant,
        expires: Instant,
        asked: bool,
    },
    /// The server has none to give.
    Refused,
}

/// How a datagram goes to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Channel(u16),
    Indication,
    /// Kept until there is a permission.
    Waits,
    Dropped(DropReason),
}

/// What is to be asked of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Permissions(Vec<IpAddr>),
    Channel(u16, SocketAddr),
}

/// Addresses in one CreatePermission, so that the request fits a small datagram.
const PERMISSIONS_PER_REQUEST: usize = 16;

impl Peers {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            permissions: Vec::new(),
            channels: Vec::new(),
            next_number: *CHANNEL_NUMBERS.start(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// How `datagram` goes to `peer`; it is kept where it has to wait.
    pub(super) fn way(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8], channel_after: u32) -> Way {
        let Some(granted) = self.permit(now, peer.ip()) else { return Way::Dropped(DropReason::PeerLimit) };
        match granted {
            PermissionState::Refused { .. } => Way::Dropped(DropReason::PeerRefused),
            PermissionState::Wanted | PermissionState::Asked => self.keep(peer, datagram),
            PermissionState::Granted { .. } => match self.use_channel(now, peer, channel_after) {
                Some(number) => Way::Channel(number),
                None => Way::Indication,
            },
        }
    }

    /// Wants `peer` let in, within the limit.
    pub(super) fn want(&mut self, now: Instant, peer: IpAddr) {
        self.permit(now, peer);
    }

    /// Notes that `peer` is used, and gives the state of its permission; `None` where there are too many.
    fn permit(&mut self, now: Instant, peer: IpAddr) -> Option<PermissionState> {
        if let Some(known) = self.permissions.iter_mut().find(|known| known.peer == peer) {
            known.used = now;
            let over = match known.state {
                PermissionState::Refused { until } => until <= now,
                PermissionState::Granted { expires, .. } => expires <= now,
                _ => false,
            };
            if over {
                known.state = PermissionState::Wanted;
            }
            return Some(known.state);
        }
        if self.permissions.len() >= self.limits.peers {
            self.permissions.retain(|known| now.saturating_duration_since(known.used) < PERMISSION_LIFETIME);
            if self.permissions.len() >= self.limits.peers {
                return None;
            }
        }
        let state = PermissionState::Wanted;
        self.permissions.push(Permission { peer, used: now, state });
        Some(state)
    }

    fn keep(&mut self, peer: SocketAddr, datagram: &[u8]) -> Way {
        if self.waiting_bytes + datagram.len() > self.limits.waiting_bytes {
            return Way::Dropped(DropReason::WaitingLimit);
        }
        self.waiting_bytes += datagram.len();
        self.waiting.push_back((peer, datagram.to_vec()));
        Way::Waits
    }

    fn use_channel(&mut self, now: Instant, peer: SocketAddr, channel_after: u32) -> Option<u16> {
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.peer == peer) {
            channel.sent = channel.sent.saturating_add(1);
            return match channel.state {
                ChannelState::Bound { expires, .. } if now < expires => Some(channel.number),
                _ => None,
            };
        }
        let limit = self.limits.channels.min(CHANNEL_NUMBERS.len());
        if channel_after < u32::MAX && self.channels.len() < limit {
            // Numbers are not used again for another peer: the server would refuse one that is still bound.
            let number = self.next_number;
            self.next_number = number.saturating_add(1);
            if CHANNEL_NUMBERS.contains(&number) {
                self.channels.push(Channel { number, peer, sent: 1, state: ChannelState::Unbound });
            }
        }
        None
    }

    /// What is to be asked now; it counts as asked.
    pub(super) fn next_wish(&mut self, now: Instant, channel_after: u32) -> Option<Wish> {
        let mut peers = Vec::new();
        for permission in &mut self.permissions {
            if peers.len() == PERMISSIONS_PER_REQUEST {
                break;
            }
            if permission.ask(now) {
                peers.push(permission.peer);
            }
        }
        if !peers.is_empty() {
            return Some(Wish::Permissions(peers));
        }
        let permissions = &self.permissions;
        self.channels
            .iter_mut()
            .find_map(|channel| channel.ask(now, channel_after, permissions))
            .map(|(number, peer)| Wish::Channel(number, peer))
    }

    /// The server lets `peer` in.
    pub(super) fn granted(&mut self, now: Instant, peer: IpAddr) {
        if let Some(permission) = self.permissions.iter_mut().find(|known| known.peer == peer) {
            permission.state = PermissionState::Granted {
                renew: now + (PERMISSION_LIFETIME - MARGIN),
                expires: now + PERMISSION_LIFETIME,
                asked: false,
            };
        }
    }

    /// Has each of `peers` asked for again by itself, since one refused address refuses them all.
    pub(super) fn refused(&mut self, now: Instant, peers: &[IpAddr]) {
        for permission in self.permissions.iter_mut().filter(|known| peers.contains(&known.peer)) {
            permission.state = PermissionState::Refused { until: now + REFUSED_FOR };
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().filter(|(peer, _)| !peers.contains(&peer.ip())).collect();
        self.waiting_bytes = self.waiting.iter().map(|(_, datagram)| datagram.len()).sum();
    }

    /// A datagram whose peer is let in by now.
    pub(super) fn pop_ready(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let permissions = &self.permissions;
        let at = self.waiting.iter().position(|(peer, _)| is_granted(permissions, peer.ip()))?;
        let (peer, datagram) = self.waiting.remove(at)?;
        self.waiting_bytes -= datagram.len();
        Some((peer, datagram))
    }

    /// The server has bound the channel.
    pub(super) fn bound(&mut self, now: Instant, number: u16) {
        let Some(channel) = self.channels.iter_mut().find(|channel| channel.number == number) else { return };
        channel.state = ChannelState::Bound {
            renew: now + (CHANNEL_LIFETIME - MARGIN),
            expires: now + CHANNEL_LIFETIME,
            asked: false,
        };
        let peer = channel.peer.ip();
        self.granted(now, peer);
    }

    /// The server has not bound the channel: it is done without.
    pub(super) fn not_bound(&mut self, number: u16) {
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.number == number) {
            channel.state = ChannelState::Refused;
        }
    }

    /// The peer of a channel, also of one whose binding is under way: its data may overtake the answer.
    pub(super) fn peer_of(&self, number: u16) -> Option<SocketAddr> {
        let channel = self.channels.iter().find(|channel| channel.number == number)?;
        matches!(channel.state, ChannelState::Asked | ChannelState::Bound { .. }).then_some(channel.peer)
    }

    /// Whether `peer` was ever sent to: only then can it have been let in.
    pub(super) fn knows(&self, peer: IpAddr) -> bool {
        self.permissions.iter().any(|known| known.peer == peer)
    }

    /// When something is to be asked.
    pub(super) fn due(&self, channel_after: u32) -> Option<Instant> {
        let permissions = self.permissions.iter().filter_map(Permission::due);
        let channels =
            self.channels.iter().filter_map(|channel| channel.due(channel_after, &self.permissions));
        permissions.chain(channels).min()
    }
}

fn is_granted(permissions: &[Permission], peer: IpAddr) -> bool {
    permissions
        .iter()
        .any(|known| known.peer == peer && matches!(known.state, PermissionState::Granted { .. }))
}

impl Permission {
    /// When it is to be asked for; `None` while it is asked, refused, or not used any more.
    fn due(&self) -> Option<Instant> {
        match self.state {
            PermissionState::Wanted => Some(self.used),
            PermissionState::Granted { renew, asked: false, .. } => {
                (renew.saturating_duration_since(self.used) < PERMISSION_LIFETIME).then_some(renew)
            }
            _ => None,
        }
    }

    fn ask(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        match &mut self.state {
            state @ PermissionState::Wanted if due => *state = PermissionState::Asked,
            PermissionState::Granted { asked, .. } if due => *asked = true,
            _ => {}
        }
        due
    }
}

impl Channel {
    fn due(&self, channel_after: u32, permissions: &[Permission]) -> Option<Instant> {
        let permission = permissions.iter().find(|known| known.peer == self.peer.ip())?;
        match self.state {
            ChannelState::Unbound if self.sent > channel_after => Some(permission.used),
            ChannelState::Bound { renew, asked: false, .. } => {
                (renew.saturating_duration_since(permission.used) < PERMISSION_LIFETIME).then_some(renew)
            }
            _ => None,
        }
    }

    fn ask(
        &mut self,
        now: Instant,
        channel_after: u32,
        permissions: &[Permission],
    ) -> Option<(u16, SocketAddr)> {
        self.due(channel_after, permissions).filter(|due| *due <= now)?;
        match &mut self.state {
            state @ ChannelState::Unbound => *state = ChannelState::Asked,
            ChannelState::Bound { asked, .. } => *asked = true,
            _ => {}
        }
        Some((self.number, self.peer))
    }
}
