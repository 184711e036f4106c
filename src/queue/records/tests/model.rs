//! Random changes, beside a model of what must come of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::{CancelRequest, End, RecordsError, Requeued},
    *,
};

/// One change. Builds are given by their number in the order of their submission.
#[derive(Clone, Debug)]
enum Step {
    Submit { tenant: usize, target: usize, pinned: bool, key: Option<usize>, policy: Option<SupersedePolicy> },
    Begin(usize),
    Succeed(usize),
    Lose(usize),
    Requeue(usize),
    Cancel(usize),
    Forget(usize),
}

#[derive(Clone, Debug)]
struct Expected {
    id: BuildId,
    tenant: usize,
    spec: (usize, bool),
    policy: Option<SupersedePolicy>,
    state: BuildState,
    cancel: bool,
    submissions: u32,
}

#[derive(Default)]
struct Model {
    builds: Vec<Expected>,
    keys: BTreeMap<(usize, usize), usize>,
    /// How often each build was told to have ended, by whatever call.
    ends: BTreeMap<BuildId, u32>,
}

const TENANTS: [&str; 2] = ["a", "b"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let policy = prop::option::of(prop::sample::select(SupersedePolicy::ALL.to_vec()));
    let submit = (0..2_usize, 0..3_usize, any::<bool>(), prop::option::of(0..5_usize), policy).prop_map(
        |(tenant, target, pinned, key, policy)| Step::Submit { tenant, target, pinned, key, policy },
    );
    let step = prop_oneof![
        6 => submit,
        4 => (0..16_usize).prop_map(Step::Begin),
        2 => (0..16_usize).prop_map(Step::Succeed),
        1 => (0..16_usize).prop_map(Step::Lose),
        2 => (0..16_usize).prop_map(Step::Requeue),
        2 => (0..16_usize).prop_map(Step::Cancel),
        1 => (0..16_usize).prop_map(Step::Forget),
    ];
    prop::collection::vec(step, 1..40)
}

impl Model {
    fn new_build(step: &Step) -> Option<NewBuild> {
        let Step::Submit { tenant: whose, target, pinned: cannot_change, key: given, policy } = step else {
            return None;
        };
        let new = if *cannot_change { pinned(&target.to_string()) } else { of(&target.to_string()) };
        Some(NewBuild {
            tenant: tenant(TENANTS[*whose]),
            idempotency_key: given.map(|given| key(&given.to_string())),
            supersede: policy.map(|policy| Supersede { key: key("main"), policy }),
            ..new
        })
    }

    /// What a submission must lead to; `None` where its key belongs to something else.
    fn submit(&mut self, step: &Step, id: &BuildId) -> Option<(How, Vec<BuildId>, Vec<BuildId>)> {
        let Step::Submit { tenant, target, pinned, key, policy } = step else { return None };
        let spec = (*target, *pinned);
        if let Some(found) = key.and_then(|key| self.keys.get(&(*tenant, key))) {
            return (self.builds[*found].spec == spec).then(|| (How::SameKey, vec![], vec![]));
        }
        let serves = |build: &Expected| {
            let state = match build.state {
                BuildState::Queued => true,
                BuildState::Running => *pinned,
                _ => false,
            };
            state && !build.cancel && build.tenant == *tenant && build.spec == spec && build.policy == *policy
        };
        let (at, how) = if let Some(at) = self.builds.iter().position(serves) {
            self.builds[at].submissions += 1;
            (at, How::Identical)
        } else {
            self.builds.push(Expected {
                id: id.clone(),
                tenant: *tenant,
                spec,
                policy: *policy,
                state: BuildState::Queued,
                cancel: false,
                submissions: 1,
            });
            (self.builds.len() - 1, How::New)
        };
        if let Some(key) = key {
            self.keys.insert((*tenant, *key), at);
        }
        let (mut superseded, mut to_cancel) = (vec![], vec![]);
        let latest = matches!(policy, Some(SupersedePolicy::LatestOnly | SupersedePolicy::CancelRunning));
        for (other_at, other) in self.builds.iter_mut().enumerate() {
            if !latest || other_at == at || other.tenant != *tenant || other.policy.is_none() {
                continue;
            }
            if other.state == BuildState::Queued {
                other.state = BuildState::Superseded;
                *self.ends.entry(other.id.clone()).or_default() += 1;
                superseded.push(other.id.clone());
            } else if other.state == BuildState::Running && *policy == Some(SupersedePolicy::CancelRunning) {
                other.cancel = true;
                to_cancel.push(other.id.clone());
            }
        }
        Some((how, superseded, to_cancel))
    }

    /// What a build becomes whose process went away.
    fn requeued(&self, at: usize) -> Requeued {
        let build = &self.builds[at];
        let takes_its_place = |newer: &Expected| {
            let latest = Some(SupersedePolicy::LatestOnly) == newer.policy
                || Some(SupersedePolicy::CancelRunning) == newer.policy;
            let counts = latest && newer.state != BuildState::Superseded;
            newer.tenant == build.tenant && counts && build.policy.is_some()
        };
        match build.state {
            BuildState::Running if build.cancel => Requeued::Ended(BuildState::Cancelled),
            BuildState::Running if self.builds[at + 1..].iter().any(takes_its_place) => {
                Requeued::Ended(BuildState::Superseded)
            }
            BuildState::Running => Requeued::Queued,
            _ => Requeued::NotRunning,
        }
    }

    fn ended(&mut self, at: usize, state: BuildState) {
        self.builds[at].state = state;
        *self.ends.entry(self.builds[at].id.clone()).or_default() += 1;
    }
}

async fn carry_out(steps: &[Step]) -> Result<(), TestCaseError> {
    let bench = Bench::new().await;
    let mut model = Model::default();
    for step in steps {
        if let Some(new) = Model::new_build(step) {
            let key = new.idempotency_key.clone();
            match bench.records.submit(new).await {
                Ok(told) => {
                    let expected = model.submit(step, &told.id);
                    prop_assert_eq!(expected, Some((told.how, told.superseded, told.to_cancel)));
                    prop_assert!(model.builds.iter().any(|build| build.id == told.id));
                }
                Err(RecordsError::KeyReused { key: told, .. }) => {
                    prop_assert_eq!(model.submit(step, &BuildId::generate()), None);
                    prop_assert_eq!(Some(told), key);
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            continue;
        }
        change(&bench, &mut model, step).await?;
    }
    for build in &model.builds {
        let tenant = tenant(TENANTS[build.tenant]);
        let record = bench.records.get(&tenant, &build.id).await.expect("a record");
        let cancel = record.cancel_requested.is_some();
        prop_assert_eq!(
            (record.state, record.submissions, cancel),
            (build.state, build.submissions, build.cancel)
        );
        let ends = model.ends.get(&build.id).copied().unwrap_or_default();
        prop_assert_eq!(ends, u32::from(build.state.is_final()));
        prop_assert_eq!(record.ended.is_some(), build.state.is_final());
    }
    Ok(())
}

async fn change(bench: &Bench, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    let at = match step {
        Step::Begin(at)
        | Step::Succeed(at)
        | Step::Lose(at)
        | Step::Requeue(at)
        | Step::Cancel(at)
        | Step::Forget(at) => *at,
        Step::Submit { .. } => return Ok(()),
    };
    let Some(build) = model.builds.get(at).cloned() else { return Ok(()) };
    let (records, id, state) = (&bench.records, &build.id, build.state);
    match step {
        Step::Submit { .. } => {}
        Step::Begin(_) => {
            let begun = records.begin(id).await.expect("asked");
            prop_assert_eq!(begun, state == BuildState::Queued);
            if begun {
                model.builds[at].state = BuildState::Running;
            }
        }
        Step::Succeed(_) => {
            let golden = include_str!("../../../../tests/golden/receipt.json");
            let receipt = serde_json::from_str(golden).expect("a receipt");
            let ended = records.end(id, End::Succeeded { receipt }, vec![]).await.expect("asked");
            prop_assert_eq!(ended, state == BuildState::Running);
            if ended {
                model.ended(at, BuildState::Succeeded);
            }
        }
        Step::Lose(_) => {
            let ended =
                records.end(id, End::Lost { reason: "it was lost".into() }, vec![]).await.expect("asked");
            prop_assert_eq!(ended, !state.is_final());
            if ended {
                model.ended(at, BuildState::Lost);
            }
        }
        Step::Requeue(_) => {
            let expected = model.requeued(at);
            prop_assert_eq!(records.requeue(id).await.expect("asked"), expected);
            match expected {
                Requeued::Queued => model.builds[at].state = BuildState::Queued,
                Requeued::Ended(state) => model.ended(at, state),
                Requeued::NotRunning => {}
            }
        }
        Step::Cancel(_) => {
            let told = records.request_cancel(&tenant(TENANTS[build.tenant]), id).await.expect("asked");
            match state {
                BuildState::Queued => {
                    prop_assert_eq!(told, CancelRequest::Cancelled);
                    model.ended(at, BuildState::Cancelled);
                }
                BuildState::Running => {
                    prop_assert_eq!(told, CancelRequest::Noted);
                    model.builds[at].cancel = true;
                }
                ended => prop_assert_eq!(told, CancelRequest::Ended(ended)),
            }
        }
        Step::Forget(_) => {
            let gone = records.forget(vec![id.clone()]).await.expect("asked");
            prop_assert_eq!(gone.len(), usize::from(state.is_final()));
            if state.is_final() {
                model.builds.remove(at);
                model.keys.retain(|_, build| *build != at);
                for build in model.keys.values_mut().filter(|build| **build > at) {
                    *build -= 1;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_build_ends_once_and_each_key_is_one_build(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(carry_out(&steps))?;
    }
}
