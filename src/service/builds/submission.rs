//! When a build is to be built, what it replaces, and how long it may take.

use std::time::Duration;

use polyarch_actors::{Timestamp, queue::Priority};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::spec::Wrong;
use crate::queue::{Key, SupersedePolicy};

/// The longest time that can be asked for: a month.
const LONGEST_TIME: Duration = Duration::from_hours(31 * 24);

/// When a build is to be built, what it replaces, and how long it may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// How urgent it is among those of its tenant; higher first.
    #[schema(minimum = -100, maximum = 100, default = 0)]
    #[serde(default)]
    pub priority: i8,
    /// The same key again means the same build, and no second one.
    #[schema(min_length = 1, max_length = 255)]
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// What it has to do with other builds.
    #[serde(default)]
    pub supersede: Option<Supersede>,
    /// When it is of no use any more, in milliseconds since 1970.
    #[schema(value_type = Option<u64>)]
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// What a build has to do with other builds of its tenant that have the same key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Supersede {
    /// The key, such as the name of an application and a branch.
    #[schema(min_length = 1, max_length = 255)]
    pub key: String,
    /// What happens to the others.
    #[serde(default)]
    pub policy: SupersedePolicy,
}

/// How long a build and its parts may take, in seconds; without a limit where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// From its submission to its beginning.
    #[serde(default, deserialize_with = "seconds")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub queue: Option<Duration>,
    /// Each of its steps.
    #[serde(default, deserialize_with = "seconds")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub step: Option<Duration>,
    /// Its publishing.
    #[serde(default, deserialize_with = "seconds")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub push: Option<Duration>,
    /// From its beginning to its end.
    #[serde(default, deserialize_with = "seconds")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub total: Option<Duration>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u32>::deserialize(deserializer)?.map(|seconds| Duration::from_secs(seconds.into())))
}

impl Submission {
    /// Notes what of it cannot be meant. Where builds may take `most` at most, one that says nothing of it gets that.
    pub(super) fn check(&mut self, now: Timestamp, most: Option<Duration>, wrong: &mut Wrong) {
        if Priority::try_from(i64::from(self.priority)).is_err() {
            let detail = format!("it is a number from {} to {}", Priority::LOWEST, Priority::HIGHEST);
            wrong.note("/submission/priority", detail);
        }
        if let Some(problem) = self.idempotency_key.as_deref().and_then(problem_of_key) {
            wrong.note("/submission/idempotency_key", problem);
        }
        if let Some(problem) = self.supersede.as_ref().and_then(|supersede| problem_of_key(&supersede.key)) {
            wrong.note("/submission/supersede/key", problem);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            wrong.note("/submission/deadline", "it has passed");
        }
        let Timeouts { queue, step, push, total } = self.timeouts;
        for (name, time) in [("queue", queue), ("step", step), ("push", push), ("total", total)] {
            if time.is_some_and(|time| time.is_zero() || time > LONGEST_TIME) {
                let longest = LONGEST_TIME.as_secs();
                let detail = format!("it is a number of seconds from 1 to {longest}");
                wrong.note(&format!("/submission/timeouts/{name}"), detail);
            }
        }
        if let (Some(asked), Some(most)) = (total, most)
            && asked > most
        {
            let detail = format!("a build of this tenant may take at most {} seconds", most.as_secs());
            wrong.note("/submission/timeouts/total", detail);
        }
        self.timeouts.total = total.or(most);
    }
}

/// Why a text can be no key.
pub(super) fn problem_of_key(key: &str) -> Option<String> {
    // Its own error repeats the text, of any length.
    let wrong = key.parse::<Key>().is_err();
    wrong.then(|| format!("a key has from 1 to {} bytes and no control characters", Key::LONGEST))
}
