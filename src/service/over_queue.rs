//! The service in front of a queue of builds.

use std::{collections::BTreeSet, num::NonZeroU32, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, join_all},
};
use polyarch_actors::{
    BuildError, BuildId, Digest,
    queue::{Counts as TenantCounts, Priority, Refusal, Resource},
};

use super::{
    backends::{BackendDocument, BackendLoad},
    builds::{
        BuildDocument, FailureDocument, LaneDocument, ListFilter, ListPage, Submission, WaitingDocument,
    },
    desk::{Answer, Desk, DeskError, EventLines, How, Load, Order, Taken, TextPieces},
    queue::{QueueDocument, QueuedBuild, TenantLoad},
    tenants::{Tenant, TenantName},
};
use crate::{
    Receipt, TimeLimits,
    error::with_sources,
    queue::{
        self, BuildQueue, BuildState, BuildsLoad, Counts, QueueError, QueueOptions, Supersede, TenantOptions,
        log::LogError,
        records::{self, BuildRecord, List, NewBuild, RecordsError},
    },
};

/// How many waiting builds are told at once.
const MOST_WAITING: usize = 1000;
/// When to ask again where a tenant has too much waiting, in seconds.
const LATER: u32 = 5;

/// The options of a queue whose builds are those of `tenants`.
pub fn queue_options(base: QueueOptions, tenants: &[Arc<Tenant>]) -> QueueOptions {
    let of = |tenant: &Arc<Tenant>| {
        let options = TenantOptions {
            weight: NonZeroU32::new(tenant.weight),
            max_running: tenant.max_running.map(|most| u64::try_from(most).unwrap_or(u64::MAX)),
            max_waiting: tenant.max_waiting,
        };
        (tenant.name.clone(), options)
    };
    QueueOptions { tenants: tenants.iter().map(of).collect(), ..base }
}

impl Desk for BuildQueue {
    fn submit(&self, order: Order) -> BoxFuture<'_, Result<Taken, DeskError>> {
        async move {
            let submitted = self.submit(new_build(order)?).await?;
            let build = self.document(submitted.record).await;
            let how = match submitted.how {
                records::How::New => How::New,
                records::How::Identical => How::Identical,
                records::How::SameKey => How::SameKey,
            };
            Ok(Taken { build, how })
        }
        .boxed()
    }

    fn replayed<'a>(
        &'a self,
        tenant: &'a TenantName,
        key: &'a str,
        request: &'a Digest,
    ) -> Answer<'a, Option<BuildDocument>> {
        async move {
            // What is no key came with no build.
            let Ok(key) = key.parse() else { return Ok(None) };
            match self.replayed(tenant, &key, request).await? {
                Some(record) => Ok(Some(self.document(record).await)),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn get<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument> {
        async move { Ok(self.document(self.get(tenant, build).await?).await) }.boxed()
    }

    fn list<'a>(&'a self, tenant: &'a TenantName, filter: ListFilter) -> Answer<'a, ListPage> {
        async move {
            let list = List {
                tenant: Some(tenant.clone()),
                states: filter.state.into_iter().collect(),
                before: filter.before,
                most: u32::try_from(filter.limit).unwrap_or(u32::MAX),
            };
            let page = self.list(list).await?;
            let builds = page.records.into_iter().map(|record| self.document(record));
            Ok(ListPage { builds: join_all(builds).await, next: page.next })
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument> {
        async move {
            self.cancel(tenant, build).await?;
            Ok(self.document(self.get(tenant, build).await?).await)
        }
        .boxed()
    }

    fn ended<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument> {
        async move { Ok(self.document(self.ended(tenant, build).await?).await) }.boxed()
    }

    fn follow<'a>(
        &'a self,
        tenant: &'a TenantName,
        build: &'a BuildId,
        after: Option<u64>,
    ) -> Answer<'a, EventLines> {
        async move {
            let lines = self.follow(tenant, build, after).await?.into_stream();
            Ok(lines.map(|line| line.map(|line| (line.sequence, line.json)).map_err(log_failed)).boxed())
        }
        .boxed()
    }

    fn text<'a>(
        &'a self,
        tenant: &'a TenantName,
        build: &'a BuildId,
        follow: bool,
    ) -> Answer<'a, TextPieces> {
        async move {
            let pieces = self.text(tenant, build, follow).await?;
            Ok(pieces.map(|piece: Result<Bytes, LogError>| piece.map_err(log_failed)).boxed())
        }
        .boxed()
    }

    fn receipt<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, Option<Receipt>> {
        async move { Ok(self.receipt(tenant, build).await?) }.boxed()
    }

    fn queue<'a>(&'a self, tenant: &'a TenantName) -> Answer<'a, QueueDocument> {
        async move {
            let report = self.report(Some(tenant)).await?;
            let sum = |of: fn(&TenantCounts) -> usize| report.tenants.values().map(of).sum();
            let (running, waiting) = (sum(|counts| counts.running), sum(|counts| counts.waiting));
            let own = report.tenants.get(tenant).map(|counts| TenantLoad {
                tenant: tenant.to_string(),
                weight: counts.weight.get(),
                running: counts.running,
                waiting: counts.waiting,
            });
            let idle = || TenantLoad { tenant: tenant.to_string(), weight: 1, running: 0, waiting: 0 };
            let builds = report.waiting.into_iter().take(MOST_WAITING).map(|build| QueuedBuild {
                id: build.id,
                ahead: build.place.as_ref().map(|place| place.ahead),
                reason: build.place.map(|place| place.reason.to_string()),
            });
            Ok(QueueDocument {
                running,
                waiting,
                builds: builds.collect(),
                tenants: vec![own.unwrap_or_else(idle)],
            })
        }
        .boxed()
    }

    fn backends(&self) -> Answer<'_, Vec<BackendDocument>> {
        async move {
            let failed = |error: crate::Error| DeskError::Host { reason: with_sources(&error) };
            let reports = self.orchestrator().backends().await.map_err(failed)?;
            let taken = self.orchestrator().requests().await.map_err(failed)?.resources;
            let running = |backend| {
                let resource = Resource::Backend(backend);
                let found = taken.iter().find(|report| report.resource == resource);
                found.map_or(0, |report| usize::try_from(report.taken).unwrap_or(usize::MAX))
            };
            let document = |report: polyarch_actors::BackendReport| BackendDocument {
                load: BackendLoad { running: running(report.id.clone()), slots: report.capabilities.slots },
                report,
            };
            Ok(reports.into_iter().map(document).collect())
        }
        .boxed()
    }

    fn load(&self) -> Answer<'_, Load> {
        async move {
            let BuildsLoad { tenants, oldest } = self.load().await?;
            // Of the store, whoever asks is told what was measured before.
            self.measure_store();
            let sum = |of: fn(&TenantCounts) -> usize| tenants.values().map(of).sum();
            Ok(Load { running: sum(|counts| counts.running), waiting: sum(|counts| counts.waiting), oldest })
        }
        .boxed()
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.counts())
    }

    fn archives(&self) -> Answer<'_, BTreeSet<PathBuf>> {
        async move {
            let unfinished = self.unfinished().await?;
            Ok(unfinished.into_iter().filter_map(|record| record.about.archive).collect())
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), String>> {
        let ready = if self.is_closing() { Err("the queue is closing".into()) } else { Ok(()) };
        async move { ready }.boxed()
    }
}

impl BuildQueue {
    async fn document(&self, record: BuildRecord) -> BuildDocument {
        let waiting = match record.state {
            BuildState::Queued => self
                .place(&record.id)
                .await
                .map(|place| WaitingDocument { ahead: place.ahead, reason: place.reason.to_string() }),
            _ => None,
        };
        let lanes = self.lanes(&record).await.into_iter().map(|lane| LaneDocument {
            platform: lane.platform,
            state: lane.state,
            backend: lane.backend,
        });
        let lanes: Vec<LaneDocument> = lanes.collect();
        let known = lanes.iter().map(|lane| lane.platform.clone());
        BuildDocument {
            platforms: if record.about.platforms.is_empty() {
                known.collect()
            } else {
                record.about.platforms.clone()
            },
            error: failure(&record),
            state: record.state,
            cancelling: record.cancel_requested.is_some() && !record.state.is_final(),
            attached: record.submissions.saturating_sub(1),
            id: record.id,
            tenant: record.tenant,
            name: record.about.name,
            context: record.about.context,
            priority: record.priority.get(),
            submitted: record.submitted,
            started: record.started,
            ended: record.ended,
            attempt: record.attempt,
            waiting,
            lanes,
            index: record.index,
        }
    }
}

fn new_build(order: Order) -> Result<NewBuild, DeskError> {
    let Order { tenant, spec, context, pinned, submission, request, trace } = order;
    let Submission { priority, idempotency_key, supersede, deadline, timeouts } = submission;
    let refused = |pointer: &str, detail: String| DeskError::Refused { pointer: pointer.into(), detail };
    let key = |pointer: &str, text: String| {
        text.parse::<queue::Key>().map_err(|error| refused(pointer, error.to_string()))
    };
    let supersede = supersede.map(|supersede| {
        Ok::<_, DeskError>(Supersede {
            key: key("/submission/supersede/key", supersede.key)?,
            policy: supersede.policy,
        })
    });
    Ok(NewBuild {
        tenant: tenant.name.clone(),
        spec,
        priority: Priority::try_from(i64::from(priority))
            .map_err(|error| refused("/submission/priority", error.to_string()))?,
        idempotency_key: idempotency_key.map(|text| key("/submission/idempotency_key", text)).transpose()?,
        request: Some(request),
        supersede: supersede.transpose()?,
        deadline,
        limits: TimeLimits {
            queue: timeouts.queue,
            step: timeouts.step,
            push: timeouts.push,
            total: timeouts.total,
        },
        context: Some(context),
        pinned,
        trace,
    })
}

fn failure(record: &BuildRecord) -> Option<FailureDocument> {
    if !record.state.is_final() || record.state == BuildState::Succeeded {
        return None;
    }
    let told = record.reason.clone().or_else(|| record.error.as_ref().map(ToString::to_string));
    let fault = match record.state {
        BuildState::Cancelled | BuildState::Superseded => Some(BuildError::Cancelled.fault()),
        _ => record.error.as_ref().map(BuildError::fault),
    };
    Some(FailureDocument { message: told.unwrap_or_else(|| "it did not succeed".into()), fault })
}

fn log_failed(error: LogError) -> DeskError {
    let reason = with_sources(&error);
    tracing::error!("a log cannot be read: {reason}");
    DeskError::Host { reason }
}

impl From<QueueError> for DeskError {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Records(RecordsError::NotFound { .. }) => Self::NotFound,
            QueueError::Records(RecordsError::KeyReused { .. }) => Self::KeyReused,
            QueueError::Records(RecordsError::Spec(error)) => {
                Self::Refused { pointer: String::new(), detail: error.to_string() }
            }
            QueueError::Refused(refusal) => {
                let is_memory = matches!(&refusal, Refusal::TooLarge { resource: Resource::Memory, .. });
                let pointer = if is_memory { "/memory" } else { "" };
                Self::Refused { pointer: pointer.into(), detail: refusal.to_string() }
            }
            QueueError::Full { .. } => Self::Full { detail: error.to_string(), retry_after: LATER },
            QueueError::Ended(_) => Self::Ended,
            QueueError::Closing => Self::Closed { detail: error.to_string() },
            error => Self::Host { reason: with_sources(&error) },
        }
    }
}
