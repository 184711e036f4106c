//! The session with real namespaces: what a command sees, and what its layer holds.

use polyarch::session::{Ended, Failure, SessionError, Step};

use crate::support::session::{Bench, on_top, paths};

#[tokio::test]
async fn a_command_runs_and_what_it_writes_becomes_a_layer() {
    let Some(bench) = Bench::new() else { return };
    let (outcome, printed) =
        bench.run(bench.step("echo hello; sleep 0.1; echo there >&2; mkdir /new; echo x > /new/file")).await;
    let outcome = outcome.expect("an outcome");
    assert_eq!((outcome.ended, printed.as_str()), (Ended::Code(0), "hello\nthere\n"));
    assert_eq!(paths(&outcome), ["new", "new/file"]);
    let layers = on_top(&bench.base, &outcome);
    assert_eq!(bench.script(&layers, "cat /new/file").await.1, "x\n");
    // From the blob alone, without the snapshot that the step left.
    std::fs::remove_dir_all(bench.store.root().join("backends/sandbox/snapshots")).expect("removed");
    assert_eq!(bench.script(&layers, "cat /new/file").await.1, "x\n");
    bench.session.close().await;
}

#[tokio::test]
async fn a_command_that_changes_nothing_gives_no_layer() {
    let Some(bench) = Bench::new() else { return };
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
    let Some(bench) = Bench::new() else { return };
    let (layers, _) = bench.script(&bench.base, "mkdir -p /d/e; touch /d/one /d/two /d/e/three /gone").await;
    let script = "rm /gone /d/one; rm -r /d/e; mkdir /d/e; touch /d/e/four";
    let step = Step { layers: layers.clone(), ..bench.step(script) };
    let outcome = bench.run(step).await.0.expect("an outcome");
    assert_eq!(paths(&outcome), ["d", "d/e", "d/e/four", "!d/e/three", "!d/one", "!gone"]);
    let layers = on_top(&layers, &outcome);
    let list = "cd /d; find . | sort; test ! -e /gone";
    let direct = bench.script(&layers, list).await.1;
    std::fs::remove_dir_all(bench.store.root().join("backends/sandbox/snapshots")).expect("removed");
    assert_eq!(bench.script(&layers, list).await.1, direct);
    assert_eq!(direct, ".\n./e\n./e/four\n./two\n");
}
