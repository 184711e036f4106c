//! How much may be asked for.

use std::time::Duration;

use crate::archive::Limits;

/// How much may be asked for at once, how large it may be, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// The largest document of a build, in bytes.
    pub document: usize,
    /// How many documents one tenant sends at once.
    pub documents: usize,
    /// How long a whole document may take to come.
    pub arrival: Duration,
    /// The largest archive of a context, in bytes as it is sent.
    pub context: u64,
    /// How much an archive of a context may hold.
    pub archive: Limits,
    /// The most bytes that the contexts of one tenant take.
    pub contexts: u64,
    /// How long a context is kept that no build uses.
    pub kept: Duration,
    /// How many contexts one tenant sends at once.
    pub uploads: usize,
    /// How many streams of events or of output one tenant reads at once.
    pub streams: usize,
    /// How many connections there are at once. With TLS, one address (of IPv6, one `/64`) has at most a quarter of
    /// them; without it, to see to that is left to a proxy.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may be there without a request.
    pub head: Duration,
    /// How long whoever sends a body may send none of it, and how long whoever has a connection may read nothing from it: of
    /// several answers on one of HTTP/2, to read one is enough.
    pub pause: Duration,
    /// How long a whole context may take to come.
    pub upload: Duration,
    /// How long it may take to read a context to its end before it is kept.
    pub check: Duration,
    /// How long an answer to the cancelling of a build waits at most for its end.
    pub wait: Duration,
    /// How often a stream says that it is alive.
    pub heartbeat: Duration,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            document: 4 << 20,
            documents: 32,
            arrival: Duration::from_mins(1),
            context: 2 << 30,
            archive: Limits::OF_OTHERS,
            contexts: 8 << 30,
            kept: Duration::from_hours(1),
            uploads: 4,
            streams: 64,
            connections: 1024,
            head: Duration::from_secs(10),
            pause: Duration::from_secs(30),
            upload: Duration::from_hours(1),
            check: Duration::from_mins(10),
            wait: Duration::from_mins(5),
            heartbeat: Duration::from_secs(15),
        }
    }
}
