//! Builds targets at the same time, each after those it needs.

use std::{collections::BTreeMap, path::PathBuf};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        check, progress,
        progress::Screen,
        report::Failure,
        run::print,
        signals::Interrupts,
        timings::{self, Watched},
    },
    spec::Job,
};
use crate::{NamedInput, Orchestrator, Receipt};

/// Builds everything, and returns what each target became. The first failure ends all that is running, unless it is to
/// go on: then it is told of at the end, with all others and with what was not built because of them. What was
/// begun is in `watched` then too, by its name.
pub(super) async fn run(
    orchestrator: &Orchestrator,
    store: Option<PathBuf>,
    jobs: Vec<Job>,
    screen: &Screen,
    keeps_going: bool,
    watched: &mut Vec<Watched>,
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
        let may_start = (failure.is_none() || keeps_going) && !cancel.is_cancelled();
        let is_ready = |job: &Job| job.needs.iter().all(|need| done.contains_key(&need.target));
        let (ready, later): (Vec<Job>, Vec<Job>) =
            waiting.into_iter().partition(|job| may_start && is_ready(job));
        waiting = later;
        for mut job in ready {
            for need in job.needs.drain(..) {
                if let Some(receipt) = done.get(&need.target) {
                    need.fill(&mut job.spec, NamedInput::Stored(receipt.index.clone()));
                }
            }
            if let Some(call) = job.check {
                print(&format!("{}\n\n", job.name))?;
                let checked = check::run(store.clone(), &job.spec, call).await;
                if let Err(failed) = checked {
                    let failed = failed.about(&format!("target {}", job.name));
                    failure = Some(also(failure, failed, keeps_going));
                }
                continue;
            }
            let handle = orchestrator.build(job.spec);
            tokens.push(handle.cancel_token());
            watched.push(timings::watch(&handle, job.name.clone()));
            let shown = tokio::spawn(progress::show(handle.events(), screen.clone(), Some(job.name.clone())));
            running.push(async move {
                let result = handle.await;
                // Whoever shows progress ends with the last event; the result is said after it.
                let _ = shown.await;
                (job.name, result.map_err(|error| job.places.failure(error)))
            });
        }
        if (failure.is_some() && !keeps_going) || cancel.is_cancelled() {
            tokens.iter().for_each(CancellationToken::cancel);
        }
        tokio::select! {
            ended = running.next() => match ended {
                None => break,
                Some((name, Ok(receipt))) => drop(done.insert(name, receipt)),
                Some((_, Err(failed))) => {
                    failure = Some(also(failure, failed, keeps_going && !cancel.is_cancelled()));
                }
            },
            () = cancel.cancelled(), if tokens.iter().any(|token| !token.is_cancelled()) => {}
        }
    }
    let failure = failure.map(|failure| {
        let left = waiting.iter().filter(|_| keeps_going && !cancel.is_cancelled());
        left.fold(failure, |failure, job| {
            let missing = job.needs.iter().find(|need| !done.contains_key(&need.target));
            let why = missing.map_or_else(String::new, |need| format!(": it needs target {}", need.target));
            failure.detail(format!("target {} was not built{why}", job.name))
        })
    });
    match (failure, interrupts.code()) {
        (None, None) => Ok(done),
        (Some(failure), None) => Err(failure),
        (failure, Some(code)) => {
            let failure = failure.unwrap_or_else(|| Failure::host("cancelled; nothing is left running"));
            Err(failure.with_code(code))
        }
    }
}

/// A failure after others. Where everything goes on, it is one more to tell of; else it is a consequence of the first.
fn also(first: Option<Failure>, next: Failure, is_told: bool) -> Failure {
    match first {
        None => next,
        Some(first) if is_told => first.and(next),
        Some(first) => first,
    }
}
