//! How long records and logs of builds that have ended are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use polyarch_actors::{BuildId, Timestamp, queue::Tenant};

use super::{
    log::{LogError, Logs},
    records::{Records, RecordsError},
};

/// The most records that go in one change, so that submissions need not wait long in between.
const GROUP: usize = 500;

/// What is kept of builds that have ended. Whatever is above one of the limits goes, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long after the end; 30 days by default.
    pub age: Duration,
    /// How many builds of each tenant; 10,000 by default.
    pub per_tenant: usize,
    /// How many bytes of logs, of all tenants; 10 GiB by default. Those of the tenant go first that has most of them.
    pub log_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_hours(30 * 24), per_tenant: 10_000, log_bytes: 10 << 30 }
    }
}

/// A build that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedBuild {
    /// The build.
    pub id: BuildId,
    /// Whose it is.
    pub tenant: Tenant,
    /// When it ended.
    pub ended: Timestamp,
    /// How large its log is.
    pub log_bytes: u64,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The builds without records and logs now.
    pub builds: Vec<BuildId>,
    /// How many bytes of logs went.
    pub log_bytes: u64,
}

/// Why not all went that should.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// Records could not be read or changed.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A log could not be removed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Which builds go, the oldest first.
pub fn choose(ended: &[EndedBuild], retention: &Retention, now: Timestamp) -> Vec<BuildId> {
    let mut newest_first: Vec<&EndedBuild> = ended.iter().collect();
    newest_first.sort_by(|one, other| (other.ended, &other.id).cmp(&(one.ended, &one.id)));
    let age = u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX);
    let mut kept: BTreeMap<&Tenant, Kept<'_>> = BTreeMap::new();
    let mut gone = Vec::new();
    for build in newest_first {
        let of_tenant = kept.entry(&build.tenant).or_default();
        let too_old = now.0.saturating_sub(build.ended.0) > age;
        if too_old || of_tenant.builds.len() >= retention.per_tenant {
            gone.push(build);
        } else {
            of_tenant.builds.push(build);
            of_tenant.log_bytes += u128::from(build.log_bytes);
        }
    }
    // Nobody's logs push those of others out who have fewer.
    while kept.values().map(|kept| kept.log_bytes).sum::<u128>() > retention.log_bytes.into() {
        let Some(most) = kept.values_mut().max_by_key(|kept| kept.log_bytes) else { break };
        let Some(oldest) = most.builds.pop() else { break };
        most.log_bytes -= u128::from(oldest.log_bytes);
        gone.push(oldest);
    }
    gone.sort_by(|one, other| (one.ended, &one.id).cmp(&(other.ended, &other.id)));
    gone.into_iter().map(|build| build.id.clone()).collect()
}

/// What stays of a tenant.
#[derive(Default)]
struct Kept<'b> {
    /// The newest first.
    builds: Vec<&'b EndedBuild>,
    log_bytes: u128,
}

/// Removes what is above the limits, and logs that no record is about.
///
/// Records go before their logs: a log without a record is found again, a record without a log would be a lie.
///
/// # Errors
/// [`RetentionError`]; what went until then is gone, and the next call goes on. Of logs that cannot be removed, the first:
/// the others go all the same.
pub async fn carry_out(
    records: &Records,
    logs: &Logs,
    retention: &Retention,
    now: Timestamp,
) -> Result<Forgotten, RetentionError> {
    // Logs before records: a build has a record before it has a log.
    let sizes = logs.sizes().await?;
    let mut ended = records.ended().await?;
    for build in &mut ended {
        build.log_bytes = sizes.get(&build.id).copied().unwrap_or_default();
    }
    let mut forgotten = Forgotten::default();
    for group in choose(&ended, retention, now).chunks(GROUP) {
        forgotten.builds.extend(records.forget(group.to_vec()).await?);
    }
    let without_record = records.unknown(sizes.keys().cloned().collect()).await?;
    let all: BTreeSet<BuildId> = without_record.into_iter().collect();
    let mut failed = None;
    for id in &all {
        match logs.remove(id).await {
            Ok(()) => forgotten.log_bytes += sizes.get(id).copied().unwrap_or_default(),
            // One that stays keeps no other from going.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(forgotten), |error| Err(error.into()))
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
