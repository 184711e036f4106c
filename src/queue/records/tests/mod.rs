//! Records on real files.

mod killed;
mod life;
mod model;
mod opening;
mod submissions;
mod two;

use polyarch_actors::{
    BuildId,
    queue::{Priority, Tenant},
};

use super::{How, NewBuild, Records, Submitted};
use crate::{
    BuildSpec,
    queue::{BuildState, Key, Supersede, SupersedePolicy},
};

/// Records in a folder that goes when the test ends.
struct Bench {
    records: Records,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let records = Records::open(folder.path().join("queue.db")).await.expect("open");
        Self { records, _folder: folder }
    }

    async fn submit(&self, new: NewBuild) -> Submitted {
        self.records.submit(new).await.expect("submitted")
    }

    async fn state(&self, id: &BuildId) -> BuildState {
        self.records.get(&Tenant::default(), id).await.expect("a record").state
    }
}

fn tenant(name: &str) -> Tenant {
    name.parse().expect("a tenant")
}

fn priority(number: i64) -> Priority {
    number.try_into().expect("a priority")
}

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

/// A build whose context may change.
fn of(target: &str) -> NewBuild {
    let mut spec = BuildSpec::new("/srv/app");
    spec.target = Some(target.to_owned());
    NewBuild::new(spec)
}

/// A build whose context cannot change.
fn pinned(target: &str) -> NewBuild {
    let address = format!("https://example.com/a.git#{}", "a1".repeat(20));
    let context = crate::ContextInput::read(&address).expect("an address");
    NewBuild { spec: BuildSpec { context, ..of(target).spec }, ..of(target) }
}

fn with_key(text: &str, new: NewBuild) -> NewBuild {
    NewBuild { idempotency_key: Some(key(text)), ..new }
}

fn with_policy(policy: SupersedePolicy, new: NewBuild) -> NewBuild {
    NewBuild { supersede: Some(Supersede { key: key("main"), policy }), ..new }
}
