//! What a build gives its steps: limits, memory to share, names of hosts, and all rights.

use std::fs;

use polyarch::session::{Ended, Failure, SessionError, Step};
use polyarch_actors::{Resource, Ulimit};

use crate::support::session::Bench;

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
