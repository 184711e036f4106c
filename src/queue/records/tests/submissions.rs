//! What becomes of a submission.

use std::time::Duration;

use polyarch_actors::Timestamp;

use super::{
    super::{CancelRequest, RecordsError, Requeued},
    *,
};
use crate::{ContextInput, TimeLimits};

#[tokio::test]
async fn a_key_is_one_build_for_as_long_as_its_record_is_kept() {
    let bench = Bench::new().await;
    let first = bench.submit(with_key("k", of("a"))).await;
    assert_eq!(first.how, How::New);
    bench.records.begin(&first.id).await.expect("begun");
    let end = crate::queue::records::End::Cancelled { reason: "it was".into() };
    assert!(bench.records.end(&first.id, end, vec![]).await.expect("ended"));
    let again = bench.submit(with_key("k", of("a"))).await;
    assert_eq!((again.id.clone(), again.how), (first.id.clone(), How::SameKey));
    let other = bench.records.submit(with_key("k", of("b"))).await.expect_err("another spec");
    assert_eq!(other, RecordsError::KeyReused { key: key("k"), id: first.id.clone() });
    let others = NewBuild { tenant: tenant("other"), ..with_key("k", of("b")) };
    assert_eq!(bench.submit(others).await.how, How::New, "each tenant has its own keys");
    assert_eq!(bench.records.forget(vec![first.id.clone()]).await.expect("forgotten"), [first.id]);
    assert_eq!(bench.submit(with_key("k", of("b"))).await.how, How::New);
}

#[tokio::test]
async fn a_request_that_is_sent_again_with_its_key_is_found_whatever_became_of_its_build() {
    let bench = Bench::new().await;
    let hash = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().expect("a digest");
    let request = |digit, key, new| NewBuild { request: Some(hash(digit)), ..with_key(key, new) };
    let first = bench.submit(request("1", "k", of("a"))).await;
    let second = bench.submit(request("2", "l", of("a"))).await;
    assert_eq!((second.id, second.how), (first.id.clone(), How::Identical));
    bench.submit(with_key("m", of("b"))).await;
    let end = crate::queue::records::End::Lost { reason: "it was lost".into() };
    assert!(bench.records.end(&first.id, end, vec![]).await.expect("ended"));
    let (mine, other) = (Tenant::default(), tenant("other"));
    for (whose, name, digit, is_found) in [
        (&mine, "k", "1", true),
        (&mine, "l", "2", true),
        (&mine, "k", "2", false),
        (&mine, "m", "1", false),
        (&mine, "n", "1", false),
        (&other, "k", "1", false),
    ] {
        let found = bench.records.replayed(whose, &key(name), &hash(digit)).await.expect("asked");
        let wanted = is_found.then_some((first.id.clone(), BuildState::Lost));
        assert_eq!(found.map(|record| (record.id, record.state)), wanted, "{name} {digit}");
    }
}

#[tokio::test]
async fn a_build_that_waits_serves_all_who_ask_for_the_same() {
    let bench = Bench::new().await;
    let deadline = |time| Some(Timestamp(time));
    let first = bench.submit(NewBuild { deadline: deadline(10), priority: priority(5), ..of("a") }).await;
    let second = NewBuild { deadline: deadline(20), priority: priority(-5), ..with_key("k", of("a")) };
    let second = bench.submit(second).await;
    assert_eq!((second.id.clone(), second.how), (first.id.clone(), How::Identical));
    let again = bench.submit(with_key("k", of("a"))).await;
    assert_eq!((again.id, again.how), (first.id.clone(), How::SameKey), "the second key is known too");
    let record = again.record;
    assert_eq!((record.submissions, record.priority, record.deadline), (2, priority(5), deadline(20)));
    let last = bench.submit(NewBuild { priority: priority(9), ..of("a") }).await;
    let record = bench.records.get(&Tenant::default(), &first.id).await.expect("a record");
    assert_eq!((record.submissions, record.priority, record.deadline), (3, priority(9), None));
    assert_eq!(last.record, record, "it is told as it was written down");
    for other in [
        of("b"),
        NewBuild { tenant: tenant("other"), ..of("a") },
        NewBuild {
            limits: TimeLimits { queue: Some(Duration::from_millis(1)), ..TimeLimits::default() },
            ..of("a")
        },
        with_policy(SupersedePolicy::Parallel, of("a")),
    ] {
        assert_eq!(bench.submit(other).await.how, How::New);
    }
}

#[tokio::test]
async fn a_build_that_runs_serves_others_only_if_its_context_cannot_change() {
    let bench = Bench::new().await;
    for (new, how) in [(of as fn(&str) -> NewBuild, How::New), (pinned, How::Identical)] {
        let first = bench.submit(new("a")).await;
        assert!(bench.records.begin(&first.id).await.expect("begun"));
        assert_eq!(bench.submit(new("a")).await.how, how);
    }
    let first = bench.submit(pinned("b")).await;
    assert!(bench.records.begin(&first.id).await.expect("begun"));
    let noted = bench.records.request_cancel(&Tenant::default(), &first.id).await.expect("noted");
    assert_eq!(noted, CancelRequest::Noted);
    assert_eq!(bench.submit(pinned("b")).await.how, How::New, "nobody gets a build that is being cancelled");
}

#[tokio::test]
async fn the_latest_supersedes_what_waits_and_cancels_what_runs_only_where_it_says_so() {
    let bench = Bench::new().await;
    let other_key = Supersede { key: key("other"), policy: SupersedePolicy::LatestOnly };
    let elsewhere = bench.submit(NewBuild { supersede: Some(other_key), ..of("elsewhere") }).await.id;
    let others =
        NewBuild { tenant: tenant("other"), ..with_policy(SupersedePolicy::LatestOnly, of("others")) };
    bench.submit(others).await;
    let mut ids = Vec::new();
    for target in ["running", "one", "two"] {
        let submitted = bench.submit(with_policy(SupersedePolicy::Parallel, of(target))).await;
        assert_eq!((submitted.superseded.len(), submitted.to_cancel.len()), (0, 0));
        ids.push(submitted.id);
    }
    assert!(bench.records.begin(&ids[0]).await.expect("begun"));
    let serial = bench.submit(with_policy(SupersedePolicy::Serial, of("serial"))).await;
    assert_eq!((serial.superseded.len(), serial.to_cancel.len()), (0, 0));
    let latest = bench.submit(with_policy(SupersedePolicy::LatestOnly, of("latest"))).await;
    assert_eq!(latest.superseded, [ids[1].clone(), ids[2].clone(), serial.id.clone()]);
    assert_eq!(latest.to_cancel, []);
    for id in &latest.superseded {
        assert_eq!(bench.state(id).await, BuildState::Superseded);
        assert!(!bench.records.begin(id).await.expect("asked"), "a superseded build does not begin");
    }
    let last = bench.submit(with_policy(SupersedePolicy::CancelRunning, of("last"))).await;
    assert_eq!((last.superseded, last.to_cancel), (vec![latest.id], vec![ids[0].clone()]));
    assert_eq!(bench.state(&ids[0]).await, BuildState::Running);
    assert_eq!(
        bench.records.requeue(&ids[0]).await.expect("asked"),
        Requeued::Ended(BuildState::Cancelled),
        "the wish to cancel outlives a crash"
    );
    assert_eq!(bench.state(&elsewhere).await, BuildState::Queued);
}

#[tokio::test]
async fn what_a_submission_is_attached_to_is_the_latest() {
    let bench = Bench::new().await;
    let first = bench.submit(with_policy(SupersedePolicy::LatestOnly, pinned("a"))).await;
    assert!(bench.records.begin(&first.id).await.expect("begun"));
    let second = bench.submit(with_policy(SupersedePolicy::LatestOnly, pinned("b"))).await;
    let third = bench.submit(with_policy(SupersedePolicy::LatestOnly, pinned("a"))).await;
    assert_eq!((third.id, third.how), (first.id.clone(), How::Identical));
    assert_eq!(third.superseded, [second.id]);
    let after_a_crash = bench.records.requeue(&first.id).await.expect("asked");
    assert_eq!(after_a_crash, Requeued::Queued, "the one that it superseded does not have its place");
}

#[tokio::test]
async fn what_cannot_be_written_down_is_refused() {
    let bench = Bench::new().await;
    let new = NewBuild::new(BuildSpec::of(ContextInput::Stdin));
    let error = bench.records.submit(new).await.expect_err("a stream");
    assert!(matches!(error, RecordsError::Spec(_)), "{error}");
    assert!(bench.records.unfinished().await.expect("records").is_empty());
}
