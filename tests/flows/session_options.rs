//! What a build gives its steps: limits, memory to share, names of hosts, and all rights.

use std::{fs, time::Duration};

use polyarch::session::{Ended, Failure, Limits, Session as _, SessionError, Step};
use polyarch_actors::{Resource, StepNeed, Ulimit};
use tokio_util::sync::CancellationToken;

use crate::support::{buildah::skip, groups, session::Bench};

fn limits(texts: &[&str]) -> std::collections::BTreeMap<Resource, Ulimit> {
    texts.iter().map(|text| Ulimit::read(text).expect("a limit")).collect()
}

#[tokio::test]
async fn a_step_has_the_limits_the_hosts_and_the_shared_memory_that_it_is_given() {
    let Some(bench) = Bench::new() else { return };
    let script = "ulimit -n; ulimit -H -n; ulimit -H -t; grep db /etc/hosts; grep /dev/shm /proc/mounts | grep -c size=2048k";
    let step = Step {
        ulimits: limits(&["nofile=64:128", "cpu=100"]),
        shm_size: Some(2 << 20),
        extra_hosts: vec![("db.test".into(), "2001:db8::1".parse().expect("an address"))],
        ..bench.step(script)
    };
    let (outcome, text) = bench.run(step).await;
    assert_eq!(outcome.expect("an outcome").ended, Ended::Code(0), "{text}");
    assert!(text.starts_with("64\n128\n100\n"), "{text}");
    assert!(text.ends_with("2001:db8::1\tdb.test\n1\n"), "{text}");
}

#[tokio::test]
async fn a_limit_that_may_not_be_set_is_named_with_the_most_that_may() {
    let Some(bench) = Bench::new() else { return };
    let most: u64 =
        fs::read_to_string("/proc/sys/fs/nr_open").expect("read").trim().parse().expect("a number");
    for text in [format!("nofile={}", most + 1), "nofile=1:-1".to_owned()] {
        let (refused, printed) =
            bench.run(Step { ulimits: limits(&[&text]), ..bench.step("echo ran") }).await;
        let error = refused.expect_err("above the most");
        assert!(
            matches!(&error, SessionError::Step(Failure::Limit { most: told, .. }) if *told <= most),
            "{error}"
        );
        assert!(error.to_string().starts_with("the limit nofile="), "{error}");
        assert_eq!(printed, "");
    }
    // The helper is of use afterwards.
    assert_eq!(bench.script(&bench.base, "echo ran").await.1, "ran\n");
}

#[tokio::test]
async fn every_user_has_all_rights_in_an_insecure_step_and_no_other_step_has() {
    let Some(bench) = Bench::new() else { return };
    let script = "grep -E 'CapEff|CapBnd' /proc/self/status | cut -f 2 | sort | uniq -c | wc -l; id -u; \
                  mkdir -p /tmp/m && mount -t tmpfs none /tmp/m 2> /dev/null && echo mounted";
    let step = |insecure| Step { user: "app".into(), insecure, ..bench.step(script) };
    assert_eq!(bench.run(step(true)).await.1, "1\n1000\nmounted\n");
    let (_, ordinary) = bench.run(step(false)).await;
    assert!(ordinary.starts_with("2\n1000\n") && !ordinary.contains("mounted"), "{ordinary}");
}

#[tokio::test]
async fn an_insecure_step_may_write_what_others_only_read_or_do_not_see() {
    let Some(bench) = Bench::new() else { return };
    let script = "grep -E ' /(proc|proc/sys|sys) ' /proc/mounts | cut -d ' ' -f 2,4 | cut -d , -f 1";
    let step = |insecure| Step { insecure, ..bench.step(script) };
    assert_eq!(bench.run(step(true)).await.1, "/proc rw\n/sys rw\n");
    assert_eq!(bench.run(step(false)).await.1, "/proc rw\n/sys ro\n/proc/sys ro\n");
}

/// A bench where steps can be given a limit; says so where they cannot.
async fn bench_that_gives(need: StepNeed) -> Option<Bench> {
    let bench = Bench::new()?;
    if bench.session.probe().await.expect("usable").gives.contains(&need) {
        return Some(bench);
    }
    skip("control groups cannot be used here");
    None
}

/// Keeps about 40 MB in memory.
const GREEDY: &str = "dd if=/dev/zero of=/dev/null bs=40000000 count=1 2> /dev/null";

#[tokio::test]
async fn a_step_that_takes_more_memory_than_it_may_is_killed_and_the_next_is_not() {
    let Some(bench) = bench_that_gives(StepNeed::MemoryLimit).await else { return };
    let limited = |memory, script: &str| {
        let limits = Limits { memory: Some(memory), ..Limits::default() };
        Step { limits, ..bench.step(script) }
    };
    let swaps = fs::read_to_string("/proc/swaps").expect("read").lines().count() > 1;
    // What is swapped out is not counted by every kernel.
    if !swaps {
        let ended = bench.run(limited(16 << 20, GREEDY)).await.0.expect("an outcome").ended;
        assert_eq!(ended, Ended::OutOfMemory(137));
        let ended = bench.run(limited(16 << 20, &format!("{GREEDY}; exit 7"))).await.0;
        assert_eq!(ended.expect("an outcome").ended, Ended::OutOfMemory(7));
    }
    for step in [limited(256 << 20, GREEDY), bench.step(GREEDY)] {
        assert_eq!(bench.run(step).await.0.expect("an outcome").ended, Ended::Code(0));
    }
    // Who fails for another reason is not told of memory.
    let ended = bench.run(limited(256 << 20, "exit 9")).await.0.expect("an outcome").ended;
    assert_eq!(ended, Ended::Code(9));
}

#[tokio::test]
async fn the_processes_of_a_step_share_the_cpu_time_that_it_may_have() {
    let Some(bench) = bench_that_gives(StepNeed::CpuLimit).await else { return };
    // No other test asks for this share.
    let limits = Limits { millicpus: Some(123), ..Limits::default() };
    let step = Step { limits, ..bench.step("sleep 30 & sleep 30") };
    let cancel = CancellationToken::new();
    let mut ignored = |_, _: &[u8]| {};
    let run = bench.session.run(step, &mut ignored, &cancel);
    let look = async {
        for _ in 0..200 {
            if held_to("12300").is_some_and(|processes| processes >= 2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let found = held_to("12300");
        cancel.cancel();
        found
    };
    let (ended, found) = tokio::join!(run, look);
    assert!(matches!(ended, Err(SessionError::Cancelled)), "{ended:?}");
    assert!(found.is_some_and(|processes| processes >= 2), "{found:?}");
    assert_eq!(held_to("12300"), None, "its group is gone");
}

/// How many processes are in a group of a step that has this quota of CPU time.
fn held_to(quota: &str) -> Option<usize> {
    let folders = groups::tops().into_iter().map(fs::read_dir).filter_map(Result::ok).flatten();
    let groups = folders.flatten().map(|entry| entry.path());
    let mut held = groups.filter(|group| {
        let read = |file| fs::read_to_string(group.join(file)).unwrap_or_default();
        let limit = read("cpu.cfs_quota_us") + &read("cpu.max");
        limit.split_whitespace().next() == Some(quota)
    });
    let processes = fs::read_to_string(held.next()?.join("cgroup.procs")).ok()?;
    Some(processes.lines().count())
}
