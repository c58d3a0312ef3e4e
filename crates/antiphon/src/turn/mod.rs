//! TURN: relays of connections, and a server to run.
//!
//! A connection asks the `turn:` and `turns:` servers of its configuration for addresses by itself. [`Server`] is the other
//! side: a TURN and STUN server over UDP, TCP, TLS and DTLS, to be embedded or run as the example `turn-server`.

mod carrier;
mod dtls;
mod relay;
mod server;
mod tls;

pub use antiphon_crypto::Provider;
pub use antiphon_turn::server::{
    AddressPolicy, AllocationId, Block, BlockError, Config, DropReason, Limits, Metrics, PermissionHook,
    PermissionRequest, Rate, RelayAddress, Users,
};
pub use antiphon_turn::time_limited_password;
pub use antiphon_util::ClockAnchor;
pub(crate) use relay::{Relays, Target};
pub use server::{Listener, Server, ServerLimits, config};
pub use tls::{TlsError, TlsIdentity, TlsRoots};
