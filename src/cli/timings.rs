//! `--timings`: a page that shows where the time of a command went.

use std::path::Path;

use polyarch_actors::BuildId;
use tokio::task::JoinHandle;

use super::report::Failure;
use crate::{
    BuildHandle,
    timings::{PageBuild, Timings, page},
    whole_file::write_whole,
};

/// The timings of a build that goes on.
pub(super) struct Watched {
    name: String,
    timings: JoinHandle<Timings>,
}

/// Follows a build, which is called `name`, for its timings.
pub(super) fn watch(handle: &BuildHandle, name: String) -> Watched {
    Watched { name, timings: tokio::spawn(Timings::collect(handle.events())) }
}

/// What a build is called by its tags, else by its id: its context may be an address that is not for everybody.
pub(super) fn name_of(tags: &[crate::oci::Reference], build: &BuildId) -> String {
    let names: Vec<String> = tags.iter().map(crate::oci::Reference::familiar).collect();
    if names.is_empty() { format!("build {build}") } else { names.join(", ") }
}

/// Writes the page of builds that have ended, well or not.
pub(super) async fn write(path: &Path, watched: Vec<Watched>) -> Result<(), Unwritten> {
    let mut builds = Vec::with_capacity(watched.len());
    for Watched { name, timings } in watched {
        // Collecting ends with the build and cannot fail by itself.
        builds.extend(timings.await.ok().map(|timings| (name, timings)));
    }
    let builds: Vec<_> = builds.iter().map(|(name, timings)| PageBuild { name, timings }).collect();
    let text = page(&builds);
    write_whole(path, text.as_bytes())
        .map_err(|error| Unwritten(format!("cannot write {}: {error}", path.display())))
}

/// Why there is no page.
pub(super) struct Unwritten(String);

impl From<Unwritten> for Failure {
    fn from(unwritten: Unwritten) -> Self {
        Self::host(unwritten.0)
    }
}

impl Unwritten {
    /// Says so beside a failure that matters more.
    pub(super) fn beside(self, failure: Failure) -> Failure {
        failure.hint(self.0)
    }
}
