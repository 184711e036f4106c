//! Lists of builds, page by page.

use polyarch_actors::BuildId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::BuildDocument;
use crate::{
    queue::BuildState,
    service::{
        extract::build_id,
        problem::{FieldProblem, Problem},
    },
};

/// How many builds a page has where nobody says it, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 500;

/// Which builds of a tenant are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFilter {
    /// Only those in this state.
    pub state: Option<BuildState>,
    /// At most so many.
    pub limit: usize,
    /// Only those that were submitted before this one.
    pub before: Option<BuildId>,
}

/// Some builds, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Builds)]
pub struct ListPage {
    /// The builds.
    pub builds: Vec<BuildDocument>,
    /// What `before` is to be for older ones; absent when there are none.
    #[schema(value_type = Option<String>)]
    pub next: Option<BuildId>,
}

/// Which builds are wanted, as an address says it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only builds in this state.
    state: Option<BuildState>,
    /// At most so many builds.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Only builds that were submitted before the one with this id.
    #[param(pattern = "^[0-9a-f]{26}$")]
    before: Option<String>,
}

impl ListQuery {
    pub(super) fn filter(self) -> Result<ListFilter, Problem> {
        let wrong = |field: &str, detail: String| {
            Problem::fields(vec![FieldProblem { pointer: format!("/{field}"), detail }])
        };
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(wrong("limit", format!("it is a number from 1 to {MOST}")));
        }
        let read =
            |text: String| build_id(&text).ok_or_else(|| wrong("before", "it is no id of a build".into()));
        let before = self.before.map(read).transpose()?;
        Ok(ListFilter { state: self.state, limit: usize::try_from(limit).unwrap_or(usize::MAX), before })
    }
}
