//! The rows of the table: what is built, in which state, and how fast it is to be.

use polyarch_actors::Platform;

use crate::{base::Base, contexts::Kind};

/// What is built, and the states that follow each other on one store.
pub(crate) struct Work {
    /// What `--only` chooses it by.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    pub(crate) platforms: Vec<String>,
    /// Whether an OCI layout is written.
    pub(crate) exports: bool,
    pub(crate) states: Vec<(State, Goal)>,
}

/// What is there of earlier builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The base image and nothing else. The page cache is as warm as the build before left it, for all sides.
    Cold,
    /// The same build, and nothing changed since.
    Unchanged,
    /// The same build, and one file of the context changed since.
    OneChanged,
}

/// At most this part of the time of something else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// buildah. The part is a fifth to a half of what BuildKit 0.32 took beside buildah on one machine, so that the goal
    /// holds where there is no BuildKit: a quarter where nothing changed and for RUN, half for builds at once and one
    /// file changed, and a fifth for the latter with OCI output.
    OfBuildah(f64),
    /// Reading, hashing and compressing the same files on all CPUs.
    OfFloor(f64),
    /// The compile stage alone, outside of any container.
    OfStage(f64),
    /// Only shown.
    None,
}

/// All of it, in the order of the table.
pub(crate) fn all() -> Vec<Work> {
    use Goal::{None, OfBuildah, OfFloor, OfStage};
    use State::{Cold, OneChanged, Unchanged};
    let [host, sibling] = Base::platforms().map(|platform| platform.to_string());
    let one = std::slice::from_ref(&host);
    let two = [host.clone(), sibling];
    let four = foreign();
    let work = |name, title, kind, platforms: &[String], exports, states: &[(State, Goal)]| Work {
        name,
        title,
        kind,
        platforms: platforms.to_vec(),
        exports,
        states: states.to_vec(),
    };
    let small = [(Cold, None), (Unchanged, OfBuildah(0.032))];
    let small_two = [(Cold, None), (Unchanged, OfBuildah(0.029))];
    let files = [(Cold, OfFloor(1.3)), (Unchanged, OfBuildah(0.013)), (OneChanged, OfBuildah(0.05))];
    let files_out = [(Cold, OfFloor(1.3)), (OneChanged, OfBuildah(0.16))];
    let big = [(Cold, OfFloor(1.3))];
    let compile = "compile stage of 2 s";
    vec![
        work("small-1", "10 instructions, OCI", Kind::Small, one, true, &small),
        work("small-2", "10 instructions, 2 platforms, OCI", Kind::Small, &two, true, &small_two),
        work("files", "COPY of 20,000 files", Kind::Files, one, false, &files),
        work("files-oci", "COPY of 20,000 files, OCI", Kind::Files, one, true, &files_out),
        work("big", "COPY of 1 GiB, OCI", Kind::Big, one, true, &big),
        work("compile-1", compile, Kind::Compile, &four[..1], false, &[(Cold, OfStage(1.1))]),
        work("compile-2", "the same, 2 platforms", Kind::Compile, &four[..2], false, &[(Cold, OfStage(1.1))]),
        work("compile-4", "the same, 4 platforms", Kind::Compile, &four, false, &[(Cold, OfStage(1.1))]),
        work("runs", "10 RUN", Kind::Runs, one, false, &[(Cold, OfBuildah(0.08))]),
        work("many", "8 builds at once", Kind::Many, one, false, &[(Cold, OfBuildah(0.17))]),
    ]
}

/// This machine's platform and three others. None of their programs is run.
fn foreign() -> Vec<String> {
    let host = Platform::host_linux().to_string();
    let others = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64", "linux/s390x"];
    let others = others.map(String::from).into_iter().filter(|other| *other != host);
    std::iter::once(host.clone()).chain(others).take(4).collect()
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Unchanged => "nothing changed",
            Self::OneChanged => "one file changed",
        }
    }
}
