//! The session with real namespaces: what a command sees, and what its layer holds.

use std::{fs, time::Duration};

use polyarch::session::{
    Ended, Failure, Limits, Session as _, SessionError, SessionOptions, Snapshots, Step,
};
use polyarch_actors::StepNeed;

use crate::support::session::{Bench, on_top, paths};

const FORMS: [Snapshots; 2] = [Snapshots::Overlay, Snapshots::Copy];

fn bench(snapshots: Snapshots) -> Option<Bench> {
    Bench::with(SessionOptions { snapshots: Some(snapshots), ..SessionOptions::default() })
}

/// Removes all snapshots, so that only the layers in the store are left.
fn forget(bench: &Bench) {
    let folders = fs::read_dir(bench.store.root().join("backends/sandbox")).expect("list").flatten();
    let snapshots = folders.filter(|folder| {
        let name = folder.file_name();
        ["snapshots", "trees"].iter().any(|form| name.to_string_lossy().starts_with(form))
    });
    let folders: Vec<_> = snapshots.map(|folder| folder.path()).collect();
    assert!(!folders.is_empty());
    // In a user namespace, since some of the files belong to other users there.
    let user = nix::unistd::geteuid();
    for folder in folders {
        if user.is_root() {
            fs::remove_dir_all(folder).expect("removed");
        } else {
            fs::rename(&folder, bench.path().join(format!("old-{:?}", std::time::Instant::now())))
                .expect("renamed");
        }
    }
}

#[tokio::test]
async fn a_command_runs_and_what_it_writes_becomes_a_layer() {
    for snapshots in FORMS {
        let Some(bench) = bench(snapshots) else { return };
        let (outcome, printed) = bench
            .run(bench.step("echo hello; sleep 0.1; echo there >&2; mkdir /new; echo x > /new/file"))
            .await;
        let outcome = outcome.expect("an outcome");
        assert_eq!((outcome.ended, printed.as_str()), (Ended::Code(0), "hello\nthere\n"));
        assert_eq!(paths(&outcome), ["new", "new/file"]);
        let layers = on_top(&bench.base, &outcome);
        assert_eq!(bench.script(&layers, "cat /new/file").await.1, "x\n");
        // From the blob alone, without the snapshot that the step left.
        forget(&bench);
        assert_eq!(bench.script(&layers, "cat /new/file").await.1, "x\n");
        bench.session.close().await;
    }
}

#[tokio::test]
async fn a_command_that_changes_nothing_gives_no_layer() {
    for snapshots in FORMS {
        let Some(bench) = bench(snapshots) else { return };
        for script in ["true", "touch /etc/x; rm /etc/x", "chmod 755 /etc; cat /etc/passwd > /dev/null"] {
            let outcome = bench.run(bench.step(script)).await.0.expect("an outcome");
            assert_eq!(
                (outcome.ended, outcome.layer.is_none()),
                (Ended::Code(0), true),
                "{script}: {:?}",
                paths(&outcome)
            );
        }
    }
}

#[tokio::test]
async fn a_failing_command_gives_its_code_and_no_layer() {
    let Some(bench) = Bench::new() else { return };
    for (script, ended) in
        [("touch /x; exit 7", Ended::Code(7)), ("sh -c 'kill -9 $$'; exit $?", Ended::Code(137))]
    {
        let outcome = bench.run(bench.step(script)).await.0.expect("an outcome");
        assert_eq!(outcome.ended, ended, "{script}");
        assert!(outcome.layer.is_none());
    }
    let missing = Step { command: vec!["nothing".into()], ..bench.step("") };
    let error = bench.run(missing).await.0.expect_err("no such program");
    assert!(matches!(error, SessionError::Step(Failure::Execute { .. })), "{error:?}");
}

#[tokio::test]
async fn deletions_and_replaced_directories_come_back_from_the_layer() {
    for snapshots in FORMS {
        let Some(bench) = bench(snapshots) else { return };
        let (layers, _) =
            bench.script(&bench.base, "mkdir -p /d/e; touch /d/one /d/two /d/e/three /gone").await;
        let script = "rm /gone /d/one; rm -r /d/e; mkdir /d/e; touch /d/e/four";
        let step = Step { layers: layers.clone(), ..bench.step(script) };
        let outcome = bench.run(step).await.0.expect("an outcome");
        assert_eq!(paths(&outcome), ["d", "d/e", "d/e/four", "!d/e/three", "!d/one", "!gone"]);
        let layers = on_top(&layers, &outcome);
        let list = "cd /d; find . | sort; test ! -e /gone";
        let direct = bench.script(&layers, list).await.1;
        forget(&bench);
        assert_eq!(bench.script(&layers, list).await.1, direct);
        assert_eq!(direct, ".\n./e\n./e/four\n./two\n");
    }
}

#[tokio::test]
async fn everything_about_files_survives_the_layer() {
    for snapshots in FORMS {
        let Some(bench) = bench(snapshots) else { return };
        let make = "mkdir -p /d; cd /d; echo text > file; ln file second; ln -s file link; mkfifo pipe; chown 12:34 file; chmod 4711 file; \
                    touch -d @1000000000 file; mkdir -m 1777 sticky; dd if=/dev/zero of=sparse bs=1 count=1 \
                    seek=5000000 2> /dev/null; n=$(echo -e 'odd\\377name'); touch \"$n\"; chmod 0 sticky";
        let (layers, _) = bench.script(&bench.base, make).await;
        let show = "cd /d; stat -c '%n %a %u %g %Y %s %h %F' file second link sparse pipe sticky; ls | wc -l";
        let before = bench.script(&layers, show).await.1;
        forget(&bench);
        let after = bench.script(&layers, show).await.1;
        assert_eq!(after, before);
        assert!(before.starts_with("file 4711 12 34 1000000000 5 2 regular file"), "{before}");
        assert!(before.ends_with("\n7\n"), "{before}");
    }
}

#[tokio::test]
async fn times_are_not_later_than_asked_and_records_tell_what_the_layer_holds() {
    let Some(bench) = Bench::new() else { return };
    let step = Step { latest_mtime: Some(1_234_567_890), ..bench.step("mkdir /d; echo hello > /d/file") };
    let outcome = bench.run(step).await.0.expect("an outcome");
    assert!(outcome.records.iter().all(|record| record.mtime == 1_234_567_890), "{:?}", outcome.records);
    let layer = outcome.layer.expect("a layer");
    let mut archive = polyarch::archive::Archive::new(
        polyarch::archive::decompress(bench.store.open_blob(&layer.digest).expect("a blob")).expect("gzip"),
    );
    archive.next_member().expect("a member");
    let member = archive.next_member().expect("a member").expect("a file");
    let polyarch::session::RecordKind::File { size, blake3, offset } = outcome.records[1].kind else {
        panic!("{:?}", outcome.records)
    };
    assert_eq!((member.size, member.offset), (size, offset));
    assert_eq!(blake3, *blake3::hash(b"hello\n").as_bytes());
}

#[tokio::test]
async fn a_step_is_held_to_its_limits() {
    let Some(bench) = Bench::new() else { return };
    let report = bench.session.probe().await.expect("usable");
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait; echo end";
    let limits = Limits { pids: Some(5), ..Limits::default() };
    let step = Step { limits, timeout: Some(Duration::from_secs(20)), ..bench.step(script) };
    if !report.gives.contains(&StepNeed::ProcessLimit) {
        let refused = bench.run(step).await.0;
        assert!(matches!(refused, Err(SessionError::Step(Failure::Unlimited(_)))), "{refused:?}");
        return;
    }
    let (outcome, text) = bench.run(step).await;
    assert!(text.contains("can't fork"), "{text} {outcome:?} {report:?}");
}
