//! The orchestration core of polyarch: what to build where and when, and nothing about how.
//!
//! A [`BuildSupervisor`] actor routes each [`BuildRequest`] by its [`ImageOs`] and platform to the actor of
//! one [`BuildBackend`], queues what cannot start yet in a fair order, retries faults of the host, and collects the results
//! in the order they were asked for. The crate opens no socket, starts no process and reads no file.
//!
//! ```
//! use polyarch_actors::{ImageOs, Platform};
//!
//! let platform: Platform = "linux/aarch64".parse()?;
//! assert_eq!(platform.os(), ImageOs::Linux);
//! assert_eq!(platform.to_string(), "linux/arm64");
//! # Ok::<(), polyarch_actors::PlatformError>(())
//! ```

mod backend;
mod backend_actor;
mod collect;
mod error;
mod event;
mod event_log;
mod fetching;
mod id;
mod image;
mod material;
mod need;
mod place;
mod platform;
pub mod queue;
mod request;
mod resources;
mod route;
mod status;
mod step_work;
mod steps;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;
mod version;
mod witness;

pub use backend::{Availability, BuildBackend, BuildCx, Capabilities, SharedBackend};
pub use collect::{FailurePolicy, Outcome, PlatformOutcome};
pub use error::{BuildError, Fault, RetryPolicy, RuledOut, TimedPart};
pub use event::{BuildEvent, EventKind, LogBytes, Timestamp};
pub use event_log::EventSink;
pub use fetching::Fetching;
pub use id::{BackendId, BuildId, Digest, DigestError};
pub use image::{BuiltImage, Descriptor};
pub use material::{Material, Materials};
pub use need::StepNeed;
pub use place::Place;
pub use platform::{ImageOs, Platform, PlatformError};
pub use request::{
    BaseImage, BuildRequest, CachePolicy, ContextSource, DockerfileSource, Emulation, ImportedSteps,
    LayerSource, NamedContext, PullPolicy, RegistryAccess, SecretRef, SecretSource, SshRef,
};
pub use resources::BuildResources;
pub use route::{BackendReport, Route, RouteTable};
pub use status::{BuildStatus, PlatformState, StatusBoard};
pub use step_work::{StepStage, StepWork};
pub use steps::{HostEntry, Resource, StepIsolation, StepNetwork, StepOptionError, StepOptions, Ulimit};
pub use supervisor::{
    BuildSupervisor, DescribeBackends, DescribeQueue, PlanRoutes, QueueReport, ResourceReport, RunBuild,
    SetLimits, Shutdown, SupervisorConfig, WaitingRequest,
};
pub use version::ProtocolVersion;
pub use witness::Witness;
