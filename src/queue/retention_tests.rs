use std::sync::Arc;

use polyarch_actors::{BuildEvent, EventKind, ProtocolVersion};
use proptest::prelude::*;

use super::*;
use crate::{
    BuildSpec,
    queue::{
        DataFolder,
        records::{End, NewBuild},
    },
};

fn build(number: usize, tenant: &str, ended: u64, log_bytes: u64) -> EndedBuild {
    let id = crate::queue::build_name::build_id(&format!("{number:026x}"));
    EndedBuild { id, tenant: tenant.parse().expect("a tenant"), ended: Timestamp(ended), log_bytes }
}

fn numbers(gone: &[BuildId]) -> Vec<u64> {
    gone.iter().map(|id| u64::from_str_radix(id.as_str(), 16).expect("a number")).collect()
}

fn limits(age: u64, per_tenant: usize, log_bytes: u64) -> Retention {
    Retention { age: Duration::from_millis(age), per_tenant, log_bytes }
}

#[test]
fn the_oldest_goes_first_above_each_limit() {
    let builds = [build(1, "a", 10, 5), build(2, "b", 20, 5), build(3, "a", 30, 5), build(4, "a", 40, 5)];
    for (retention, gone) in [
        (limits(1000, 100, 1000), vec![]),
        (limits(70, 100, 1000), vec![1, 2]),
        (limits(1000, 2, 1000), vec![1]),
        (limits(1000, 100, 10), vec![1, 3]),
        (limits(1000, 100, 9), vec![1, 2, 3]),
        (limits(1000, 0, 0), vec![1, 2, 3, 4]),
    ] {
        assert_eq!(numbers(&choose(&builds, &retention, Timestamp(100))), gone, "{retention:?}");
    }
    assert_eq!(
        choose(&builds, &limits(0, 9, 99), Timestamp(5)),
        [],
        "a clock that went back lets nothing go"
    );
}

proptest! {
    #[test]
    fn what_stays_is_within_the_limits_and_nothing_goes_without_need(
        ends in prop::collection::vec((0_u64..50, 0_usize..3, 0_u64..20), 0..40),
        age in 0_u64..60, per_tenant in 0_usize..10, log_bytes in 0_u64..100,
    ) {
        let builds: Vec<EndedBuild> = ends.iter().enumerate()
            .map(|(number, (ended, tenant, bytes))| build(number, ["a", "b", "c"][*tenant], *ended, *bytes))
            .collect();
        let (retention, now) = (limits(age, per_tenant, log_bytes), Timestamp(50));
        let gone = choose(&builds, &retention, now);
        let stays: Vec<EndedBuild> =
            builds.iter().filter(|build| !gone.contains(&build.id)).cloned().collect();
        prop_assert!(stays.iter().all(|build| now.0 - build.ended.0 <= age));
        for tenant in ["a", "b", "c"] {
            prop_assert!(stays.iter().filter(|build| build.tenant.as_str() == tenant).count() <= per_tenant);
        }
        prop_assert!(stays.iter().map(|build| build.log_bytes).sum::<u64>() <= log_bytes);
        prop_assert_eq!(choose(&stays, &retention, now), [], "a second time nothing more goes");
        let bytes = |builds: &[EndedBuild], of: &EndedBuild| -> u64 {
            builds.iter().filter(|build| build.tenant == of.tenant).map(|build| build.log_bytes).sum()
        };
        // Every one that goes is above a limit together with what stays and is newer, or all had too many bytes and its tenant
        // most of them.
        for build in builds.iter().filter(|build| gone.contains(&build.id)) {
            let newer = |other: &&EndedBuild| (other.ended, &other.id) >= (build.ended, &build.id);
            let of_tenant = stays.iter().filter(newer).filter(|other| other.tenant == build.tenant).count();
            let those: Vec<EndedBuild> = builds.iter().filter(newer).cloned().collect();
            let had_most = stays.iter().all(|other| bytes(&stays, other) <= bytes(&those, build));
            let all: u64 = builds.iter().map(|other| other.log_bytes).sum();
            prop_assert!(now.0 - build.ended.0 > age || of_tenant >= per_tenant || (all > log_bytes && had_most));
        }
    }
}

#[tokio::test]
async fn records_and_logs_go_together_and_only_those_of_builds_that_have_ended() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = DataFolder::open(temporary.path()).expect("usable");
    let records = Records::open(folder.records()).await.expect("open");
    let logs = Logs::new(folder.logs(), 1 << 20);
    let mut ids = Vec::new();
    for number in 0..3 {
        let mut new = NewBuild::new(BuildSpec::new("."));
        new.spec.target = Some(number.to_string());
        let id = records.submit(new).await.expect("submitted").id;
        let event = BuildEvent {
            version: ProtocolVersion,
            build: id.clone(),
            platform: None,
            sequence: 0,
            time: Timestamp(0),
            kind: EventKind::Started,
        };
        logs.writer(&id).await.expect("a log").append(vec![Arc::new(event)]).await.expect("written");
        ids.push(id);
    }
    let orphan = BuildId::generate();
    drop(logs.writer(&orphan).await.expect("a log"));
    std::fs::write(folder.logs().join("other.txt"), "").expect("written");
    let reason = "it was lost".to_owned();
    assert!(records.end(&ids[0], End::Lost { reason: reason.clone() }, vec![]).await.expect("ended"));
    assert!(records.end(&ids[1], End::Lost { reason }, vec![]).await.expect("ended"));
    let size = *logs.sizes().await.expect("sizes").get(&ids[0]).expect("a log");
    let one = Retention { per_tenant: 1, ..Retention::default() };
    let now = Timestamp::now();
    let forgotten = carry_out(&records, &logs, &one, now).await.expect("carried out");
    assert_eq!(forgotten, Forgotten { builds: vec![ids[0].clone()], log_bytes: size });
    let left: Vec<BuildId> = logs.sizes().await.expect("sizes").into_keys().collect();
    assert_eq!(left, ids[1..]);
    assert!(folder.logs().join("other.txt").exists(), "what is no log stays");
    let none = Retention { per_tenant: 0, ..Retention::default() };
    let forgotten = carry_out(&records, &logs, &none, now).await.expect("carried out");
    assert_eq!(forgotten.builds, ids[1..2], "the one that waits stays");
    assert_eq!(records.unfinished().await.expect("records").len(), 1);
}

#[tokio::test]
async fn a_log_that_cannot_be_removed_keeps_no_other_from_going() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = DataFolder::open(temporary.path()).expect("usable");
    let records = Records::open(folder.records()).await.expect("open");
    let logs = Logs::new(folder.logs(), 1 << 20);
    let mut ids: Vec<BuildId> = (0..3).map(|_| BuildId::generate()).collect();
    ids.sort();
    // No file can be removed that is a folder.
    let stuck = folder.logs().join(format!("{}.jsonl", ids[0]));
    std::fs::create_dir(&stuck).expect("made");
    for id in &ids[1..] {
        drop(logs.writer(id).await.expect("a log"));
    }
    let now = Timestamp::now();
    let error = carry_out(&records, &logs, &Retention::default(), now).await.expect_err("one stays");
    assert!(matches!(error, RetentionError::Log(_)), "{error}");
    let left: Vec<BuildId> = logs.sizes().await.expect("sizes").into_keys().collect();
    assert_eq!(left, ids[..1]);
}
