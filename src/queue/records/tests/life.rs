//! What happens to a build after its submission.

use polyarch_actors::{BuildError, BuildId};

use super::{
    super::{CancelRequest, End, List, RecordsError, Requeued},
    *,
};

fn failed() -> End {
    End::Failed { error: BuildError::invalid("wrong"), reason: "the Dockerfile is wrong".into() }
}

fn lost() -> End {
    End::Lost { reason: "it was lost".into() }
}

#[tokio::test]
async fn a_build_begins_ends_once_and_keeps_how() {
    let bench = Bench::new().await;
    let id = bench.submit(of("a")).await.id;
    assert!(bench.records.begin(&id).await.expect("begun"));
    assert!(!bench.records.begin(&id).await.expect("asked"), "it runs already");
    let mut ends = Vec::new();
    for number in 0..20 {
        let (records, id) = (bench.records.clone(), id.clone());
        let end = if number % 2 == 0 { failed() } else { lost() };
        ends.push(tokio::spawn(async move { records.end(&id, end, vec![]).await.expect("asked") }));
    }
    let mut told = Vec::new();
    for end in ends {
        told.push(end.await.expect("a task"));
    }
    assert_eq!(told.iter().filter(|first| **first).count(), 1);
    let record = bench.records.get(&Tenant::default(), &id).await.expect("a record");
    let (state, error) = if told.iter().position(|first| *first).is_some_and(|at| at % 2 == 0) {
        (BuildState::Failed, Some(BuildError::invalid("wrong")))
    } else {
        (BuildState::Lost, None)
    };
    assert_eq!((record.state, record.error, record.attempt), (state, error, 1));
    assert!(record.started.is_some() && record.ended >= record.started && record.reason.is_some());
    assert_eq!(bench.records.requeue(&id).await.expect("asked"), Requeued::NotRunning);
    assert_eq!(bench.records.spec(&Tenant::default(), &id).await.expect("a spec"), of("a").spec);
    assert_eq!(bench.records.receipt(&Tenant::default(), &id).await.expect("a record"), None);
}

#[tokio::test]
async fn a_receipt_reads_back_and_only_what_ran_has_one() {
    let bench = Bench::new().await;
    let id = bench.submit(of("a")).await.id;
    let golden = include_str!("../../../../tests/golden/receipt.json");
    let receipt: Box<crate::Receipt> = serde_json::from_str(golden).expect("a receipt");
    let end = End::Succeeded { receipt: receipt.clone() };
    assert!(!bench.records.end(&id, end.clone(), vec![]).await.expect("asked"), "it has not begun");
    assert!(bench.records.begin(&id).await.expect("begun"));
    assert!(bench.records.end(&id, end, vec![]).await.expect("ended"));
    assert_eq!(bench.records.receipt(&Tenant::default(), &id).await.expect("a record"), Some(*receipt));
}

#[tokio::test]
async fn after_a_crash_a_build_waits_again_unless_a_newer_one_has_its_place() {
    let bench = Bench::new().await;
    let plain = bench.submit(of("plain")).await.id;
    let old = bench.submit(with_policy(SupersedePolicy::Parallel, of("old"))).await.id;
    for id in [&plain, &old] {
        assert!(bench.records.begin(id).await.expect("begun"));
    }
    bench.submit(with_policy(SupersedePolicy::LatestOnly, of("new"))).await;
    assert_eq!(bench.records.recover(&plain).await.expect("asked"), Requeued::Queued);
    assert_eq!(bench.records.recover(&old).await.expect("asked"), Requeued::Ended(BuildState::Superseded));
    assert!(bench.records.begin(&plain).await.expect("begun"));
    let record = bench.records.get(&Tenant::default(), &plain).await.expect("a record");
    assert_eq!((record.attempt, record.losses, record.state), (2, 1, BuildState::Running));
    assert_eq!(bench.records.requeue(&plain).await.expect("asked"), Requeued::Queued);
    let record = bench.records.get(&Tenant::default(), &plain).await.expect("a record");
    assert_eq!((record.attempt, record.losses), (2, 1), "nothing went away");
    let record = bench.records.get(&Tenant::default(), &old).await.expect("a record");
    assert!(record.ended.is_some() && record.reason.is_some());
}

#[tokio::test]
async fn a_wish_to_cancel_is_carried_out_or_kept() {
    let bench = Bench::new().await;
    let (mine, id) = (Tenant::default(), bench.submit(of("a")).await.id);
    let cancel = || bench.records.request_cancel(&mine, &id);
    assert!(bench.records.begin(&id).await.expect("begun"));
    assert_eq!(cancel().await, Ok(CancelRequest::Noted));
    let asked = bench.records.get(&mine, &id).await.expect("a record").cancel_requested;
    assert!(asked.is_some());
    assert_eq!(cancel().await, Ok(CancelRequest::Noted));
    assert_eq!(bench.records.get(&mine, &id).await.expect("a record").cancel_requested, asked);
    assert!(bench.records.end(&id, lost(), vec![]).await.expect("ended"));
    assert_eq!(cancel().await, Ok(CancelRequest::Ended(BuildState::Lost)));
    let waits = bench.submit(of("b")).await.id;
    assert_eq!(bench.records.request_cancel(&mine, &waits).await, Ok(CancelRequest::Cancelled));
    let record = bench.records.get(&mine, &waits).await.expect("a record");
    assert_eq!(record.state, BuildState::Cancelled);
    assert!(record.ended.is_some() && record.reason.is_some());
}

#[tokio::test]
async fn a_build_that_ends_by_itself_while_it_is_to_be_cancelled_has_its_own_reason() {
    let bench = Bench::new().await;
    let golden = include_str!("../../../../tests/golden/receipt.json");
    let succeeded = End::Succeeded { receipt: serde_json::from_str(golden).expect("a receipt") };
    let cancelled = End::Cancelled { reason: "it was cancelled".into() };
    let of_the_build = |reason: &str| Some(reason.to_owned());
    let mut newer = None;
    for (end, reason) in [
        (succeeded, None),
        (failed(), of_the_build("the Dockerfile is wrong")),
        (lost(), of_the_build("it was lost")),
        (cancelled, None),
    ] {
        let state = end.state();
        let id = match newer.take() {
            Some(id) => id,
            None => bench.submit(with_policy(SupersedePolicy::Parallel, of("first"))).await.id,
        };
        assert!(bench.records.begin(&id).await.expect("begun"));
        let next = with_policy(SupersedePolicy::CancelRunning, of(state.as_str()));
        let next = bench.submit(next).await;
        assert_eq!(next.to_cancel, std::slice::from_ref(&id));
        assert!(bench.records.end(&id, end, vec![]).await.expect("ended"));
        let told = bench.records.get(&Tenant::default(), &id).await.expect("a record").reason;
        let took_its_place = format!("build {} took its place", next.id);
        let wanted = if state == BuildState::Cancelled { Some(took_its_place) } else { reason };
        assert_eq!(told, wanted, "{state:?}");
        newer = Some(next.id);
    }
}

#[tokio::test]
async fn the_build_of_another_tenant_is_not_found() {
    let bench = Bench::new().await;
    let id = bench.submit(of("a")).await.id;
    let other = tenant("other");
    let not_found = RecordsError::NotFound { id: id.clone() };
    assert_eq!(bench.records.get(&other, &id).await, Err(not_found.clone()));
    assert_eq!(bench.records.spec(&other, &id).await, Err(not_found.clone()));
    assert_eq!(bench.records.receipt(&other, &id).await, Err(not_found.clone()));
    assert_eq!(bench.records.request_cancel(&other, &id).await, Err(not_found));
    assert_eq!(bench.state(&id).await, BuildState::Queued);
    let list = List { tenant: Some(other), ..List::default() };
    assert_eq!(bench.records.list(list).await.expect("a page").records, []);
}

#[tokio::test]
async fn pages_show_each_build_once_whatever_comes_and_goes_meanwhile() {
    let bench = Bench::new().await;
    let mut ids: Vec<BuildId> = Vec::new();
    for number in 0..25 {
        let new =
            NewBuild { tenant: tenant(if number % 5 == 0 { "b" } else { "a" }), ..of(&number.to_string()) };
        ids.push(bench.submit(new).await.id);
        if number % 2 == 0 {
            assert!(bench.records.end(&ids[number], lost(), vec![]).await.expect("ended"));
        }
    }
    let mut list = List { tenant: Some(tenant("a")), states: vec![BuildState::Lost], before: None, most: 3 };
    let mut seen = Vec::new();
    loop {
        let page = bench.records.list(list.clone()).await.expect("a page");
        assert!(page.records.len() <= 3);
        seen.extend(page.records.into_iter().map(|record| record.id));
        // The last of the page goes, and a new build comes.
        bench.records.forget(vec![seen.last().expect("a record").clone()]).await.expect("forgotten");
        bench.submit(of(&format!("new {}", seen.len()))).await;
        let Some(next) = page.next else { break };
        list.before = Some(next);
    }
    let expected: Vec<BuildId> =
        (0..25).rev().filter(|number| number % 5 != 0 && number % 2 == 0).map(|at| ids[at].clone()).collect();
    assert_eq!(seen, expected);
    let unfinished: Vec<BuildId> =
        bench.records.unfinished().await.expect("records").into_iter().map(|record| record.id).collect();
    let waiting: Vec<BuildId> = (0..25).filter(|at| at % 2 == 1).map(|at| ids[at].clone()).collect();
    assert_eq!(unfinished[..waiting.len()], waiting, "in the order of their submission");
}

#[tokio::test]
async fn only_builds_that_have_ended_are_forgotten() {
    let bench = Bench::new().await;
    let (waits, runs, ended) =
        (bench.submit(of("a")).await.id, bench.submit(of("b")).await.id, bench.submit(of("c")).await.id);
    assert!(bench.records.begin(&runs).await.expect("begun"));
    assert!(bench.records.end(&ended, lost(), vec![]).await.expect("ended"));
    let all = vec![waits, runs, ended.clone(), BuildId::generate()];
    assert_eq!(bench.records.forget(all).await.expect("forgotten"), [ended]);
    assert_eq!(bench.records.unfinished().await.expect("records").len(), 2);
}
