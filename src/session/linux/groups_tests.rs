//! Where groups are made and what is written into them, in folders that are none.

use super::*;

/// A place for groups whose files are made when they are written.
struct Place {
    folder: tempfile::TempDir,
    unified: bool,
}

impl Place {
    fn new(unified: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if !unified {
            for controller in [MEMORY, PIDS, CPU] {
                fs::create_dir(folder.path().join(controller)).expect("made");
            }
        }
        Self { folder, unified }
    }

    fn hierarchies(&self) -> Hierarchies {
        Hierarchies { top: self.folder.path().into(), unified: self.unified }
    }

    /// Makes groups, although nothing makes their doors here but this.
    fn below(&self, shared: &SharedLimits) -> Below {
        let name = name_of(&shared.build);
        for setting in settings(self.unified, &shared.limits) {
            let folder = self.hierarchies().of(setting.controller).join(&name).join("step");
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("cgroup.procs"), "").expect("written");
        }
        self.hierarchies().below(shared, "step")
    }

    fn text(&self, group: &Path, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(group).join(file)).ok()
    }
}

fn shared(limits: Limits) -> SharedLimits {
    SharedLimits { build: BuildId::generate(), limits, required: false }
}

fn all() -> Limits {
    Limits { memory: Some(64 << 20), pids: Some(100), millicpus: Some(1500) }
}

#[test]
fn limits_are_written_as_each_version_has_them() {
    let lines = |unified, limits| {
        let line = |setting: Setting| format!("{} {}={}", setting.controller, setting.file, setting.value);
        settings(unified, &limits).into_iter().map(line).collect::<Vec<_>>()
    };
    let second = ["memory memory.max=67108864", "memory memory.swap.max=67108864", "pids pids.max=100"];
    assert_eq!(lines(true, all())[..3], second);
    assert_eq!(lines(true, all())[3..], ["cpu cpu.max=150000 100000"]);
    let first = [
        "memory memory.limit_in_bytes=67108864",
        "memory memory.memsw.limit_in_bytes=134217728",
        "pids pids.max=100",
        "cpu cpu.cfs_period_us=100000",
        "cpu cpu.cfs_quota_us=150000",
    ];
    assert_eq!(lines(false, all()), first);
    assert!(lines(true, Limits::default()).is_empty() && lines(false, Limits::default()).is_empty());
}

#[test]
fn the_limits_of_a_build_are_in_its_own_group_and_its_step_has_one_below() {
    for unified in [true, false] {
        let (place, shared) = (Place::new(unified), shared(all()));
        let below = place.below(&shared);
        assert!(below.problems.is_empty(), "{below:?}");
        assert_eq!(below.folders.len(), if unified { 1 } else { 3 });
        let name = PathBuf::from(name_of(&shared.build));
        let of = |controller: &str| if unified { name.clone() } else { Path::new(controller).join(&name) };
        let memory = if unified { "memory.max" } else { "memory.limit_in_bytes" };
        assert_eq!(place.text(&of(MEMORY), memory).as_deref(), Some("67108864"));
        assert_eq!(place.text(&of(PIDS), "pids.max").as_deref(), Some("100"));
        assert_eq!(place.text(&of(MEMORY).join("step"), memory), None, "the step has no limit of its own");
        // Only version 2 has to be told that groups below are limited.
        assert_eq!(place.text(&name, "cgroup.subtree_control").is_some(), unified);
    }
}

#[test]
fn a_hierarchy_that_is_missing_is_a_problem_of_its_controller_alone() {
    let place = Place::new(false);
    let shared = shared(all());
    let mut parts = place.hierarchies();
    fs::remove_dir(place.folder.path().join(CPU)).expect("removed");
    for controller in [MEMORY, PIDS] {
        let folder = parts.of(controller).join(name_of(&shared.build)).join("step");
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("cgroup.procs"), "").expect("written");
    }
    let below = parts.below(&shared, "step");
    assert!(below.holds(MEMORY) && below.holds(PIDS) && !below.holds(CPU), "{below:?}");
    // Nothing is there at all.
    parts.top = place.folder.path().join("nowhere");
    let below = parts.below(&shared, "step");
    assert!([MEMORY, PIDS, CPU].iter().all(|controller| !below.holds(controller)), "{below:?}");
}

#[test]
fn memory_below_is_made_to_count_where_it_does_not_by_itself() {
    let place = Place::new(false);
    let group = place.folder.path().join(MEMORY).join("group");
    fs::create_dir(&group).expect("made");
    for (before, after) in [("0\n", "1"), ("1\n", "1\n")] {
        fs::write(group.join("memory.use_hierarchy"), before).expect("written");
        count_below(&group).expect("counted");
        let found = place.text(&Path::new(MEMORY).join("group"), "memory.use_hierarchy");
        assert_eq!(found.as_deref(), Some(after));
    }
}

#[test]
fn two_builds_have_no_group_in_common() {
    let (one, other) = (BuildId::generate(), BuildId::generate());
    assert_ne!(name_of(&one), name_of(&other));
    assert_eq!(name_of(&one), name_of(&one.clone()));
}
