//! What can go wrong with a build, and who can do something about it.
//!
//! Errors are values that cross machines, so they carry text where a library would carry a source.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{BackendId, Place, Platform, image::millis, queue::Resource};

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Whoever wrote the Dockerfile or the command.
    User,
    /// Whoever looks after the machine that builds.
    Host,
    /// Whoever looks after a registry or the network to it.
    Registry,
    /// Nobody: a rule that was asked for said so.
    Policy,
    /// Whoever cancelled.
    Cancelled,
}

impl Fault {
    /// The fault as text: `user`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Registry => "registry",
            Self::Policy => "policy",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a backend cannot take a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    /// The backend.
    pub backend: BackendId,
    /// Why not, as a fragment: `has no emulator for arm64`.
    pub reason: String,
}

/// The end of a platform that is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "error")]
#[non_exhaustive]
pub enum BuildError {
    /// Somebody cancelled the build, and all it had started is gone.
    #[error("the build was cancelled")]
    Cancelled,
    /// Another platform failed first and the policy is to stop then.
    #[error("stopped because {failed} failed")]
    Abandoned {
        /// The platform that failed.
        failed: Platform,
    },
    /// The Dockerfile, the context or an option is wrong.
    #[error("{}{message}", before(place.as_ref()))]
    Invalid {
        /// What is wrong, and what to do.
        message: String,
        /// Which part of the Dockerfile it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// A step of the Dockerfile failed.
    #[error("{instruction} failed with exit code {exit_code}")]
    StepFailed {
        /// The instruction as the backend printed it.
        instruction: String,
        /// The exit code of the command.
        exit_code: i32,
        /// The last lines that the step printed.
        output: Vec<String>,
    },
    /// A base image is not to be had.
    #[error("{}base image {image} for {platform}: {reason}", before(place.as_ref()))]
    BaseImage {
        /// The reference in the Dockerfile.
        image: String,
        /// The platform it was wanted for.
        platform: Platform,
        /// What the registry or the puller said.
        reason: String,
        /// Which part of the Dockerfile asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// A registry could not be reached, refused, or failed.
    #[error("{}{}{reason}", before(place.as_ref()), pulling(image.as_deref()))]
    Registry {
        /// What went wrong, with the registry's name.
        reason: String,
        /// Whether the same call may work later.
        retryable: bool,
        /// Whether it wants other credentials, or any.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        denied: bool,
        /// The base image that was to be pulled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// Which part of the Dockerfile needs the registry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// No backend here can build the platform.
    #[error("{}", no_backend(platform, ruled_out))]
    NoBackend {
        /// The platform.
        platform: Platform,
        /// Each backend and why not.
        ruled_out: Vec<RuledOut>,
        /// What a person can do, one sentence each.
        ways_out: Vec<String>,
    },
    /// The backend that was asked for does not exist.
    #[error("unknown backend {name:?} (expected one of: {})", names(known))]
    UnknownBackend {
        /// The name that was given.
        name: String,
        /// The names there are.
        known: Vec<BackendId>,
    },
    /// The CPU that a step needs is neither here nor emulated.
    #[error("a step for {platform} cannot run here: no emulator is registered for that CPU")]
    NoEmulator {
        /// The platform of the step.
        platform: Platform,
    },
    /// The disk is full.
    #[error("no space left on the device that holds {path}")]
    NoSpace {
        /// A path on that device.
        path: String,
    },
    /// The backend returned an image for another platform.
    #[error("the backend built {built} where {requested} was asked for")]
    WrongPlatform {
        /// What was asked for.
        requested: Platform,
        /// What the image config says.
        built: String,
    },
    /// The machine or the backend failed in a way that is nobody's Dockerfile.
    #[error("{reason}")]
    Host {
        /// What failed.
        reason: String,
        /// Whether trying again can help.
        retryable: bool,
    },
    /// The backend has no free slot.
    #[error("backend {backend} has no free slot")]
    Busy {
        /// The backend.
        backend: BackendId,
    },
    /// More requests wait than the supervisor was set up to hold.
    #[error("the build queue is full ({limit} requests wait)")]
    QueueFull {
        /// The most requests that may wait.
        limit: usize,
    },
    /// It claims more than there ever is here.
    #[error("it needs {asked} {resource}, and here are never more than {limit}")]
    TooLarge {
        /// Of what it claims too much.
        resource: Resource,
        /// How much it claims.
        asked: u64,
        /// How much there is.
        limit: u64,
    },
    /// The backend panicked; only this build is affected.
    #[error("backend {backend} panicked: {message}")]
    Panicked {
        /// The backend.
        backend: BackendId,
        /// The panic's message.
        message: String,
    },
    /// The backend's actor went away with the build.
    #[error("backend {backend} was lost while it built")]
    BackendLost {
        /// The backend.
        backend: BackendId,
    },
    /// A part of the build took longer than it may, and all of it was stopped.
    #[error("{}", timed_out(*part, *limit_ms))]
    TimedOut {
        /// The part.
        part: TimedPart,
        /// How long it may take, in milliseconds; 0 where it was a deadline.
        limit_ms: u64,
    },
    /// The orchestrator was asked to stop before the build could begin.
    #[error("the orchestrator is shutting down and takes no more builds")]
    ShuttingDown,
}

/// A part of a build whose time can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimedPart {
    /// Waiting until a backend takes the first platform.
    Queue,
    /// One step of one platform.
    Step,
    /// Writing to registries.
    Push,
    /// The whole build.
    Total,
    /// Everything that was to be done before a certain time, which has no length of its own.
    Deadline,
}

impl fmt::Display for TimedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "waiting for a turn",
            Self::Step => "a step",
            Self::Push => "the push",
            Self::Total => "the build",
            Self::Deadline => "the deadline",
        })
    }
}

impl BuildError {
    /// Something wrong that has no place in the Dockerfile.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), place: None }
    }

    /// A failure of a registry that is about no base image.
    pub fn registry(reason: impl Into<String>, retryable: bool) -> Self {
        Self::Registry { reason: reason.into(), retryable, denied: false, image: None, place: None }
    }

    /// The part of the Dockerfile that it is about.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Invalid { place, .. } | Self::BaseImage { place, .. } | Self::Registry { place, .. } => {
                place.as_ref()
            }
            _ => None,
        }
    }

    /// The same error with its place, where it can have one and has none yet.
    #[must_use]
    pub fn at(mut self, found: &Place) -> Self {
        if let Self::Invalid { place, .. } | Self::BaseImage { place, .. } | Self::Registry { place, .. } =
            &mut self
        {
            place.get_or_insert_with(|| found.clone());
        }
        self
    }

    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Cancelled | Self::ShuttingDown => Fault::Cancelled,
            Self::Abandoned { .. } | Self::TimedOut { .. } => Fault::Policy,
            Self::Invalid { .. }
            | Self::StepFailed { .. }
            | Self::UnknownBackend { .. }
            | Self::TooLarge { .. } => Fault::User,
            Self::BaseImage { .. } | Self::Registry { .. } => Fault::Registry,
            Self::NoBackend { .. }
            | Self::NoEmulator { .. }
            | Self::NoSpace { .. }
            | Self::WrongPlatform { .. }
            | Self::Host { .. }
            | Self::Busy { .. }
            | Self::QueueFull { .. }
            | Self::Panicked { .. }
            | Self::BackendLost { .. } => Fault::Host,
        }
    }

    /// Whether the same request may succeed when it is tried again.
    ///
    /// Never true for a fault of the user: a failed step fails again.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Registry { retryable, .. } | Self::Host { retryable, .. } => *retryable,
            Self::Busy { .. } | Self::Panicked { .. } | Self::BackendLost { .. } => true,
            _ => false,
        }
    }
}

/// How often and how soon a fault of the host or the network is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The most retries of one platform; 0 turns retrying off.
    pub retries: u32,
    /// The wait before the first retry; each further one is twice as long.
    #[serde(with = "millis")]
    pub backoff: Duration,
    /// The longest wait.
    #[serde(with = "millis")]
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 2, backoff: Duration::from_millis(500), longest: Duration::from_secs(15) }
    }
}

impl RetryPolicy {
    /// How long to wait before trying again after `error`, which ended attempt number `attempt` (from 0);
    /// `None` when it is final.
    pub fn delay(&self, error: &BuildError, attempt: u32) -> Option<Duration> {
        (error.retryable() && attempt < self.retries)
            .then(|| self.backoff.saturating_mul(2_u32.saturating_pow(attempt)).min(self.longest))
    }
}

fn before(place: Option<&Place>) -> String {
    place.map(|place| format!("{place}: ")).unwrap_or_default()
}

fn pulling(image: Option<&str>) -> String {
    image.map(|image| format!("cannot pull {image}: ")).unwrap_or_default()
}

fn timed_out(part: TimedPart, limit_ms: u64) -> String {
    match part {
        TimedPart::Deadline => "the deadline of the build has passed".into(),
        part => format!("{part} took longer than {}", in_words(limit_ms)),
    }
}

/// Milliseconds as a person would say them.
fn in_words(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..120_000 => format!("{} s", millis / 1000),
        _ => format!("{} min", millis / 60_000),
    }
}

fn names(ids: &[BackendId]) -> String {
    ids.iter().map(BackendId::as_str).collect::<Vec<_>>().join(", ")
}

fn no_backend(platform: &Platform, ruled_out: &[RuledOut]) -> String {
    let why: Vec<String> = ruled_out.iter().map(|out| format!("{} {}", out.backend, out.reason)).collect();
    if why.is_empty() {
        format!("no backend here can build {platform}")
    } else {
        format!("no backend here can build {platform}: {}", why.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_fault_is_never_retried() {
        let step = BuildError::StepFailed { instruction: "RUN false".into(), exit_code: 1, output: vec![] };
        let lost = BuildError::BackendLost { backend: BackendId::new("buildah") };
        let policy = RetryPolicy::default();
        assert_eq!(policy.delay(&step, 0), None);
        assert_eq!(policy.delay(&lost, 0), Some(Duration::from_millis(500)));
        assert_eq!(policy.delay(&lost, 1), Some(Duration::from_secs(1)));
        assert_eq!(policy.delay(&lost, 2), None);
    }

    #[test]
    fn the_wait_is_bounded() {
        let policy = RetryPolicy { retries: u32::MAX, ..RetryPolicy::default() };
        let busy = BuildError::Busy { backend: BackendId::new("buildah") };
        assert_eq!(policy.delay(&busy, 1_000_000), Some(policy.longest));
    }

    #[test]
    fn the_first_place_that_is_known_stays_and_is_told_first() {
        let place = |line| Place { file: "Dockerfile".into(), line, start: 0, end: 4 };
        let error = BuildError::invalid("bad").at(&place(2)).at(&place(3));
        assert_eq!((error.to_string().as_str(), error.place()), ("Dockerfile:2: bad", Some(&place(2))));
        let image = Some("ghcr.io/x".to_owned());
        let error = BuildError::Registry {
            reason: "cannot reach it".into(),
            retryable: true,
            denied: false,
            image,
            place: None,
        };
        assert!(error.retryable());
        let placed = error.at(&place(1));
        assert_eq!(placed.to_string(), "Dockerfile:1: cannot pull ghcr.io/x: cannot reach it");
        assert!(placed.retryable());
        assert_eq!(BuildError::Cancelled.at(&place(1)), BuildError::Cancelled);
    }

    #[test]
    fn errors_cross_machines() {
        let error = BuildError::NoBackend {
            platform: "windows/amd64".parse().expect("platform"),
            ruled_out: vec![RuledOut {
                backend: BackendId::new("buildah"),
                reason: "builds linux only".into(),
            }],
            ways_out: vec!["use a Windows worker".into()],
        };
        let json = serde_json::to_string(&error).expect("json");
        assert_eq!(serde_json::from_str::<BuildError>(&json).expect("back"), error);
        assert_eq!(error.to_string(), "no backend here can build windows/amd64: buildah builds linux only");
    }
}
