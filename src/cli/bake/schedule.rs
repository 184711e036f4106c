//! Builds targets at the same time, each after those it needs.

use std::{collections::BTreeMap, path::PathBuf};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{
    super::{check, progress, progress::Screen, report::Failure, run::print, signals::Interrupts},
    spec::Job,
};
use crate::{NamedInput, Orchestrator, Receipt};

/// Builds everything, and returns what each target became. The first failure ends all that is running.
pub(super) async fn run(
    orchestrator: &Orchestrator,
    store: Option<PathBuf>,
    jobs: Vec<Job>,
    screen: &Screen,
) -> Result<BTreeMap<String, Receipt>, Failure> {
    let cancel = CancellationToken::new();
    let interrupts = Interrupts::cancel(cancel.clone());
    // An image without a name is kept for the targets that need it.
    let _lease = orchestrator.store().lease()?;
    let mut waiting = jobs;
    let mut done: BTreeMap<String, Receipt> = BTreeMap::new();
    let mut running = FuturesUnordered::new();
    let mut tokens = Vec::new();
    let mut failure: Option<Failure> = None;
    loop {
        let may_start = failure.is_none() && !cancel.is_cancelled();
        let is_ready = |job: &Job| job.needs.iter().all(|(_, target)| done.contains_key(target));
        let (ready, later): (Vec<Job>, Vec<Job>) =
            waiting.into_iter().partition(|job| may_start && is_ready(job));
        waiting = later;
        for mut job in ready {
            for (context, target) in job.needs.drain(..) {
                let index = done.get(&target).map(|receipt| NamedInput::Stored(receipt.index.clone()));
                job.spec.build_contexts.extend(index.map(|index| (context, index)));
            }
            if let Some(call) = job.check {
                print(&format!("{}\n\n", job.name))?;
                let checked = check::run(store.clone(), &job.spec, call).await;
                failure =
                    failure.or(checked.err().map(|failed| failed.about(&format!("target {}", job.name))));
                continue;
            }
            let handle = orchestrator.build(job.spec);
            tokens.push(handle.cancel_token());
            let shown = tokio::spawn(progress::show(handle.events(), screen.clone(), Some(job.name.clone())));
            running.push(async move {
                let result = handle.await;
                // Whoever shows progress ends with the last event; the result is said after it.
                let _ = shown.await;
                (job.name, result)
            });
        }
        if failure.is_some() || cancel.is_cancelled() {
            tokens.iter().for_each(CancellationToken::cancel);
        }
        tokio::select! {
            ended = running.next() => match ended {
                None => break,
                Some((name, Ok(receipt))) => drop(done.insert(name, receipt)),
                // What comes after the first failure is its consequence.
                Some((name, Err(error))) if failure.is_none() => {
                    failure = Some(Failure::from(error).about(&format!("target {name}")));
                }
                Some(_) => {}
            },
            () = cancel.cancelled(), if tokens.iter().any(|token| !token.is_cancelled()) => {}
        }
    }
    match (failure, interrupts.code()) {
        (None, None) => Ok(done),
        (Some(failure), None) => Err(failure),
        (failure, Some(code)) => {
            let failure = failure.unwrap_or_else(|| Failure::host("cancelled; nothing is left running"));
            Err(failure.with_code(code))
        }
    }
}
