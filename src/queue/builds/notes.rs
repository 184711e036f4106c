//! What the runner is told and asked.

use std::time::Duration;

use polyarch_actors::{
    BuildId,
    queue::{Place, Tenant},
};
use tokio::sync::oneshot;

use super::{
    options::QueueOptions,
    report::{BuildsLoad, BuildsReport},
};
use crate::{
    queue::{Lane, records::BuildRecord},
    room::Seat,
};

/// What the runner is told.
pub(super) enum Note {
    /// A build is recorded that waits, or that serves more than before.
    Recorded {
        /// Its record.
        record: Box<BuildRecord>,
        /// Its place among those of the tenant, where it is new.
        seat: Option<Seat<Tenant>>,
        /// Builds that ended in its favour.
        superseded: Vec<BuildId>,
        /// Builds that are to end in its favour.
        to_cancel: Vec<BuildId>,
    },
    /// The record of a build that waited says that it has ended.
    Ended(BuildId),
    /// The record of a build that runs says that it is to end.
    Cancel(BuildId),
    /// Asks what waits and runs, of a tenant or of all.
    Report(Option<Tenant>, oneshot::Sender<BuildsReport>),
    /// Asks how much waits and runs.
    Load(oneshot::Sender<BuildsLoad>),
    /// Asks how far the platforms of a build are; nothing where it does not run.
    Lanes(BuildId, oneshot::Sender<Option<Vec<Lane>>>),
    /// Asks for the place of a build; nothing where it does not wait.
    Place(BuildId, oneshot::Sender<Option<Place>>),
    /// Whether there is too little disk to begin a build.
    Disk(bool),
    /// Other limits and shares count from now on.
    Options(Box<QueueOptions>),
    /// Begins nothing any more, and ends what still runs after the grace.
    Close {
        /// How long builds may go on.
        grace: Duration,
        /// Told when nothing runs any more.
        done: oneshot::Sender<()>,
    },
}
