//! What was found out about this machine by trying, kept until it is started again or the program changes.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::wire::Done;
use crate::guard::group;

/// How long a result with problems counts. The cause may have been passing.
const DOUBTFUL: Duration = Duration::from_hours(1);

/// The result of a trial in a file.
#[derive(Debug)]
pub(super) struct Trial {
    path: PathBuf,
    /// What the result depends on.
    key: String,
}

impl Trial {
    /// That of the helper program in a session's folder; `None` where nothing tells one start of the machine from
    /// another.
    pub(super) fn of(folder: &Path, helper: &Path) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let program = fs::metadata(helper).ok()?;
        let user = nix::unistd::geteuid();
        let namespaces = ["user", "mnt"].map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).ok());
        let key = format!(
            "{} {user} {namespaces:?} {} {} {} {} {}.{}",
            boot.trim(),
            group::top().display(),
            program.dev(),
            program.ino(),
            program.size(),
            program.mtime(),
            program.mtime_nsec()
        );
        Some(Self { path: folder.join("trial.json"), key })
    }

    /// The result, if it was kept.
    pub(super) fn recall(&self) -> Option<Done> {
        let (key, done): (String, Done) = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        let age = fs::metadata(&self.path).and_then(|found| found.modified()).ok()?.elapsed().ok()?;
        (key == self.key && (done.problems.is_empty() || age < DOUBTFUL)).then_some(done)
    }

    /// Keeps a result. It is not worth an error.
    pub(super) fn keep(&self, done: &Done) {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(&self.path))?;
            file.write_all(&serde_json::to_vec(&(&self.key, done))?)?;
            file.persist(&self.path).map_err(|error| error.error)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "what works on this machine cannot be remembered");
        }
    }
}

#[cfg(test)]
mod tests {
    use polyarch_actors::StepNeed;

    use super::*;
    use crate::session::{
        linux::probe::Snapshots,
        outcome::{Ended, Spent},
    };

    #[test]
    fn a_result_counts_for_the_same_program_until_the_machine_is_started_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let helper = folder.path().join("helper");
        fs::write(&helper, "one").expect("written");
        let trial = || Trial::of(folder.path(), &helper).expect("a boot id");
        let done = Done {
            ended: Ended::Code(0),
            layer: None,
            snapshots: Snapshots::Copy,
            problems: Vec::new(),
            gives: [StepNeed::MemoryLimit].into(),
            spent: Spent::default(),
        };
        assert!(trial().recall().is_none());
        trial().keep(&done);
        let known = trial().recall().map(|done| (done.snapshots, done.gives));
        assert_eq!(known, Some((Snapshots::Copy, [StepNeed::MemoryLimit].into())));
        fs::write(&helper, "another").expect("written");
        assert!(trial().recall().is_none(), "another program");
        let booted = Trial { key: "another start".into(), ..trial() };
        booted.keep(&done);
        assert!(trial().recall().is_none());
        assert!(booted.recall().is_some());
    }
}
