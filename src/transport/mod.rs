//! One non-blocking byte stream to the broker, whatever carries it.
//!
//! [`Connecting`] takes the way from a host name to a [`Stream`] step by step, never blocking; the stream then reads and
//! writes like any other and answers `WouldBlock` when it must wait. Nothing above this module knows what is beneath.

mod connect;
mod fault;
mod headers;
mod host;
mod identity;
mod pem;
mod plain;
mod race;
mod resolve;
mod socket;
mod stream;
mod tls;
pub(crate) mod upgrade;
mod watched;
pub(crate) mod websocket;

pub(crate) use connect::{Connecting, Target};
pub(crate) use fault::lost;
pub(crate) use headers::Headers;
pub(crate) use host::Host;
pub(crate) use identity::{ClientCertificate, IdentitySource};
pub(crate) use pem::is_der;
pub(crate) use stream::Stream;
pub(crate) use tls::{Trust, parse_roots};

use std::sync::Arc;

/// Called from the resolver's thread when there is an answer; must make the loop turn.
pub(crate) type Notify = Arc<dyn Fn() + Send + Sync>;
