//! Looking at what the store holds, and making room while others build.

use std::{fs, os::unix::process::CommandExt as _, path::Path, process::Command, thread, time::Duration};

use serde_json::Value;

use super::sharing::ordinary_user;
use crate::support::{
    buildah::run,
    command::{Desk, Ended, is_root},
    tools::require,
};

/// Builds with the native engine, which needs no other program.
fn build(desk: &Desk, arguments: &[&str]) -> String {
    desk.ok(["build", "-q", "--backend", "sandbox"].iter().chain(arguments))
}

fn json(desk: &Desk, arguments: &[&str]) -> Value {
    let text = desk.ok(arguments.iter().chain(&["--format", "json"]));
    serde_json::from_str(&text).expect("json")
}

fn blobs(desk: &Desk) -> usize {
    fs::read_dir(desk.store().join("blobs/sha256")).expect("a folder").count()
}

/// The files below a folder, without the locks, which stay.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&path)
        } else {
            // What was found out about this machine is no cache.
            let name = entry.file_name();
            usize::from(!name.to_string_lossy().ends_with("lock") && name != "trial.json")
        }
    };
    entries.map(count).sum()
}

#[test]
fn a_named_image_stays_and_one_without_a_name_goes() {
    let desk = Desk::new();
    let (named, other) = (
        desk.context("named", "FROM scratch\nCOPY a.txt /named\n"),
        desk.context("other", "FROM scratch\nCOPY a.txt /other\nCOPY a.txt /more\n"),
    );
    let index = build(&desk, &["-t", "named:1", &named]);
    let before = blobs(&desk);
    build(&desk, &[&other]);
    assert!(blobs(&desk) > before);

    // The layers of the other are what remembered steps led to; its manifests are garbage.
    let kept = json(&desk, &["prune", "--force", "--dry-run"]);
    let would = kept["removed"].as_array().expect("a list").len();
    assert_eq!((would, &kept["dryRun"]), (3, &Value::Bool(true)), "{kept}");
    let went = json(&desk, &["prune", "--force"]);
    assert_eq!(
        (went["removed"].as_array().expect("a list").len(), &went["kept"]),
        (3, &Value::Array(vec![]))
    );
    assert_eq!(blobs(&desk), before + 2);
    assert_eq!(json(&desk, &["prune", "--force"])["reclaimed"], 0);

    // With everything, nothing but the named image is left, and it is whole.
    desk.ok(["prune", "--all", "-f"]);
    assert_eq!(blobs(&desk), before);
    assert_eq!(files(&desk.store().join("backends/sandbox")), 0);
    desk.index(&index);
    let usage = json(&desk, &["du"]);
    assert_eq!(usage["reclaimable"], 0, "{usage}");
    assert!(usage["items"].as_array().expect("a list").iter().all(|item| item["kind"] == "image"), "{usage}");
    desk.ok(["manifest", "inspect", "named:1"]);
    desk.ok(["manifest", "rm", "named:1"]);
    desk.ok(["prune", "-f"]);
    assert_eq!(blobs(&desk), 0);
    // And a store without anything builds as ever.
    assert_eq!(build(&desk, &["-t", "named:1", &named]).len(), index.len());
}

#[test]
fn age_and_size_choose_what_goes() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /one\nCOPY a.txt /two\n");
    build(&desk, &["-t", "app:1", &context]);
    desk.ok(["manifest", "rm", "app:1"]);
    let steps = desk.store().join("backends/sandbox/steps");
    let there = files(&steps);
    assert!(there >= 2);
    desk.ok(["prune", "-f", "--filter", "until=24h"]);
    desk.ok(["prune", "-f", "--max-used-space", "1gb"]);
    desk.ok(["prune", "-f", "--max-used-space", "0", "--keep-storage", "1gb"]);
    assert_eq!(files(&steps), there);
    desk.ok(["prune", "-f", "--keep-duration", "0s", "--max-used-space", "0"]);
    assert_eq!((files(&steps), blobs(&desk)), (0, 0));
}

#[test]
fn nobody_is_asked_where_nobody_is_and_wrong_words_are_refused() {
    let desk = Desk::new();
    desk.run(["prune"]).fails(2, &["nobody is here to be asked"]);
    desk.run(["prune", "-f", "--max-used-space", "much"]).fails(2, &["much"]);
    desk.run(["prune", "-f", "--filter", "label=x"]).fails(2, &["until"]);
    desk.run(["prune", "-f", "--keep-duration", "1y"]).fails(2, &["1y"]);
    let text = desk.ok(["du"]);
    assert!(text.starts_with("TYPE") && text.contains("Total: 0 B"), "{text}");
    fs::write(desk.store().join("names/broken.json"), "{").expect("written");
    desk.run(["prune", "-f", "--all"]).fails(10, &["broken.json", "malformed"]);
}

#[test]
fn builds_go_on_while_everything_is_pruned_again_and_again() {
    if !Path::new("/bin/busybox").is_file() && !require("busybox") {
        return;
    }
    let desk = Desk::new();
    desk.ok(["images"]);
    let context = desk.context(
        "app",
        "FROM scratch AS base\nCOPY busybox /bin/sh\nFROM base\nARG ROUND\nCOPY a.txt /one\n\
         RUN --mount=type=cache,target=/cache echo $ROUND > /cache/round; echo $ROUND > /two\n\
         COPY --from=base /bin/sh /three\nRUN echo done > /four\n",
    );
    fs::copy("/bin/busybox", desk.path("app/busybox")).expect("copied");
    let can_run = desk.run(["build", "-q", "--backend", "sandbox", "--build-arg", "ROUND=first", &context]);
    if can_run.code == Some(5) {
        assert!(!require("newuidmap"), "{}", can_run.stderr);
        return;
    }
    can_run.success();
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let pruning = scope.spawn(|| {
            let mut reclaimed = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                reclaimed +=
                    json(&desk, &["prune", "--all", "--force"])["reclaimed"].as_u64().expect("bytes");
                thread::sleep(Duration::from_millis(5));
            }
            reclaimed
        });
        let builds: Vec<Ended> = (0..4)
            .flat_map(|round| {
                let both: Vec<_> = (0..2)
                    .map(|number| {
                        let (desk, context) = (&desk, &context);
                        // The same build twice at once, and again after that: each may find what another is losing.
                        let round = format!("ROUND={}", round / 2);
                        let tag = format!("app:{number}");
                        scope.spawn(move || {
                            let options = ["build", "--backend", "sandbox", "--progress", "plain"];
                            let more = ["--build-arg", &round, "-t", &tag, "-o", "type=oci,dest=/dev/null"];
                            desk.run(options.iter().chain(&more).chain(&[context.as_str()]))
                        })
                    })
                    .collect();
                both.into_iter().map(|build| build.join().expect("a build")).collect::<Vec<_>>()
            })
            .collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(pruning.join().expect("pruned") > 0, "nothing was removed meanwhile");
        for ended in builds {
            ended.success();
        }
    });
    // What has a name is whole.
    for name in ["app:0", "app:1"] {
        desk.ok(["manifest", "inspect", name]);
    }
    assert!(desk.ok(["images"]).contains("app:1"));
    desk.ok(["prune", "--all", "--force"]);
    assert_eq!(files(&desk.store().join("backends/sandbox")), 0);
}

#[test]
fn a_killed_prune_leaves_a_store_that_works_and_the_next_one_ends_its_work() {
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /one\nCOPY a.txt /two\n");
    for milliseconds in 0..12 {
        build(&desk, &["-t", "app:1", &context]);
        let mut prune = desk.begin("log", ["prune", "--all", "--force"]);
        thread::sleep(Duration::from_millis(milliseconds * 2));
        prune.kill().expect("killed");
        prune.wait().expect("ended");
        desk.ok(["images"]);
    }
    // What a kill leaves of a folder has a name that nobody looks for.
    let gone = desk.store().join("backends/sandbox/snapshots/gone-x");
    fs::create_dir_all(gone.join("fs")).expect("made");
    desk.ok(["prune", "--force"]);
    assert!(!gone.exists());
    desk.ok(["prune", "--all", "--force"]);
    assert_eq!(files(&desk.store().join("backends/sandbox")), 0);
    build(&desk, &["-t", "app:1", &context]);
}

#[test]
fn what_belongs_to_the_other_ids_of_an_ordinary_user_goes_too() {
    if !is_root() || !require("newuidmap") || !Path::new("/bin/busybox").is_file() && !require("busybox") {
        return;
    }
    let Some((user, group)) = ordinary_user() else { return };
    let desk = Desk::new();
    let context = desk.context(
        "app",
        "FROM scratch AS base\nCOPY busybox /bin/sh\nFROM base\n\
         RUN --mount=type=cache,target=/cache,uid=1000,mode=0700 echo x > /cache/file\n",
    );
    fs::copy("/bin/busybox", desk.path("app/busybox")).expect("copied");
    let program = desk.path("polyarch");
    fs::copy(env!("CARGO_BIN_EXE_polyarch"), &program).expect("copied");
    run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(desk.path(".")));
    let as_user =
        |arguments: &[&str]| Ended::of(desk.command_of(&program, arguments).uid(user).gid(group)).success();
    as_user(&["build", "-q", "--backend", "sandbox", &context]);
    let sandbox = desk.store().join("backends/sandbox");
    assert!(files(&sandbox.join("caches")) > 0 && files(&sandbox.join("snapshots-user")) > 0);
    as_user(&["prune", "--all", "--force"]);
    assert_eq!(files(&sandbox), 0);
}
