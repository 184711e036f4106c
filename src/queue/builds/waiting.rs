//! The builds that wait for their turn.

use std::collections::{BTreeMap, HashMap};

use polyarch_actors::{
    BuildId, TimedPart, Timestamp,
    queue::{Claims, Counts, Entry, FairQueue, Limits, Place, Refusal, Resource, Tenant},
};

use super::{options::QueueOptions, report::WaitingBuild};
use crate::{
    queue::{SupersedePolicy, records::BuildRecord},
    room::Seat,
};

/// The order of builds: of two that are equal in all else the older goes first.
type Ticket = (Timestamp, BuildId);

/// What waits and what has its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: FairQueue<Ticket>,
    builds: HashMap<BuildId, Build>,
    options: QueueOptions,
    /// Whether places are others than when they were last looked at.
    changed: bool,
    /// Whether there are places that were not told.
    behind: bool,
}

#[derive(Debug)]
struct Build {
    record: BuildRecord,
    seat: Option<Seat<Tenant>>,
    /// As of the last time that places were looked at.
    place: Option<Place>,
    /// How many of all would go first then.
    order: usize,
    told: Option<Place>,
}

impl Waiting {
    pub(super) fn new(options: &QueueOptions) -> Self {
        let mut waiting = Self {
            queue: FairQueue::new(options.fairness, Limits::default()),
            builds: HashMap::new(),
            options: options.clone(),
            changed: false,
            behind: false,
        };
        waiting.set_limits(options);
        waiting
    }

    /// Other options count from now on. The builds that could not run with them any more do not wait any more.
    pub(super) fn set_options(&mut self, options: &QueueOptions, now: Timestamp) -> Vec<(BuildId, Refusal)> {
        let before = std::mem::replace(&mut self.options, options.clone());
        self.set_limits(options);
        let is_other = |record: &BuildRecord| {
            let memory = record.about.memory;
            let asked = options.memory_of(memory);
            asked != before.memory_of(memory) || options.refusal(asked).is_some()
        };
        let all = self.builds.values().map(|build| &build.record);
        let others: Vec<BuildRecord> = all.filter(|record| is_other(record)).cloned().collect();
        let refusal = |record: BuildRecord| Some((record.id.clone(), self.push(record, None, now).err()?));
        others.into_iter().filter_map(refusal).collect()
    }

    fn set_limits(&mut self, options: &QueueOptions) {
        let mut limits = Limits::default().with(Resource::Slots, options.max_running);
        limits.set(Resource::Memory, options.memory);
        if let Some(most) = options.max_running_each {
            limits = limits.each_tenant(most);
        }
        self.queue.clear_weights();
        for (tenant, of_tenant) in &options.tenants {
            if let Some(most) = of_tenant.max_running {
                limits.set(Resource::Tenant(tenant.clone()), Some(most));
            }
            if let Some(weight) = of_tenant.weight {
                self.queue.set_weight(tenant, weight);
            }
        }
        if let Some(full) = self.queue.limits().of(&Resource::Disk) {
            limits.set(Resource::Disk, Some(full));
        }
        self.queue.set_limits(limits);
        self.changed = true;
    }

    /// How builds are run at the moment.
    pub(super) fn options(&self) -> &QueueOptions {
        &self.options
    }

    /// Takes a build in, or what has changed of it. One that is refused does not wait any more.
    pub(super) fn push(
        &mut self,
        mut record: BuildRecord,
        seat: Option<Seat<Tenant>>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let ticket = ticket(&record);
        let known = self.queue.remove(&ticket).then(|| self.builds.remove(&record.id)).flatten();
        let (seat, place, order, told) = match known {
            Some(known) => {
                record.serve_as_well(&known.record);
                (known.seat, known.place, known.order, known.told)
            }
            None => (seat, None, usize::MAX, None),
        };
        let entry = Entry {
            tenant: record.tenant.clone(),
            priority: record.priority,
            arrived: record.submitted,
            claims: claims(&record, self.options.memory_of(record.about.memory)),
        };
        // The queue would wait for a limit that is as high again as it once was.
        if let Some(refusal) = self.options.refusal(entry.claims.of(&Resource::Memory)) {
            return Err(refusal);
        }
        self.queue.push(ticket, entry, now)?;
        self.builds.insert(record.id.clone(), Build { record, seat, place, order, told });
        self.changed = true;
        Ok(())
    }

    /// The build whose turn it is, which has its turn until it is [released](Self::release).
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<BuildRecord> {
        let (_, id) = self.queue.pop(now)?;
        self.changed = true;
        let build = self.builds.remove(&id)?;
        Some(build.record)
    }

    /// Ends the turn of a build.
    pub(super) fn release(&mut self, record: &BuildRecord, now: Timestamp) {
        self.changed |= self.queue.release(&ticket(record), now);
    }

    /// Takes a build out. Nothing where it does not wait.
    pub(super) fn remove(&mut self, id: &BuildId) -> Option<BuildRecord> {
        let build = self.builds.remove(id)?;
        self.queue.remove(&ticket(&build.record));
        self.changed = true;
        Some(build.record)
    }

    /// The builds that have waited for too long by now, and why.
    pub(super) fn overdue(&self, now: Timestamp) -> Vec<(BuildId, TimedPart)> {
        let late = |build: &Build| overdue(&build.record, now).map(|part| (build.record.id.clone(), part));
        self.builds.values().filter_map(late).collect()
    }

    /// The places that are others than were told, the next to go first, at most `most`; all of them in time.
    pub(super) fn news(&mut self, most: usize, now: Timestamp) -> Vec<(BuildId, Place)> {
        if std::mem::take(&mut self.changed) {
            for (order, ((_, id), place)) in self.queue.places(now).into_iter().enumerate() {
                if let Some(build) = self.builds.get_mut(&id) {
                    (build.place, build.order) = (Some(place), order);
                }
            }
        } else if !self.behind {
            return Vec::new();
        }
        let untold = self.builds.iter_mut().filter(|(_, build)| build.place != build.told);
        let mut untold: Vec<_> =
            untold.filter_map(|(id, build)| Some((id, build.place.clone()?, build))).collect();
        // Whoever was told nothing yet comes first, then who goes first.
        untold.sort_by_key(|(_, place, build)| (build.told.is_some(), place.ahead));
        self.behind = untold.len() > most;
        let told = untold.into_iter().take(most).map(|(id, place, build)| {
            build.told = Some(place.clone());
            (id.clone(), place)
        });
        told.collect()
    }

    /// The place of a build that waits, as of about a second ago; nothing where it came later.
    pub(super) fn place(&self, id: &BuildId) -> Option<Place> {
        self.builds.get(id)?.place.clone()
    }

    /// All that waits of a tenant, or of all, the next to go first, as of about a second ago.
    pub(super) fn report(&self, tenant: Option<&Tenant>) -> Vec<WaitingBuild> {
        let one = |Build { record, place, .. }: &Build| WaitingBuild {
            id: record.id.clone(),
            tenant: record.tenant.clone(),
            priority: record.priority,
            submitted: record.submitted,
            place: place.clone(),
        };
        let wanted = |build: &&Build| tenant.is_none_or(|tenant| build.record.tenant == *tenant);
        let mut waiting: Vec<&Build> = self.builds.values().filter(wanted).collect();
        waiting.sort_by_key(|build| (build.order, build.record.submitted, &build.record.id));
        waiting.into_iter().map(one).collect()
    }

    /// When the build was submitted that waits for longest.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.builds.values().map(|build| build.record.submitted).min()
    }

    /// Begins nothing while there is too little disk.
    pub(super) fn set_disk_is_full(&mut self, is_full: bool) {
        self.queue.set_limit(Resource::Disk, is_full.then_some(0));
        self.changed = true;
    }

    pub(super) fn counts(&self) -> BTreeMap<Tenant, Counts> {
        self.queue.counts()
    }
}

/// Which part takes too long, if one does by now.
pub(super) fn overdue(record: &BuildRecord, now: Timestamp) -> Option<TimedPart> {
    if record.deadline.is_some_and(|deadline| deadline <= now) {
        return Some(TimedPart::Deadline);
    }
    // What was begun before has had its turn in time.
    let limit = record.limits.queue.filter(|_| record.attempt == 0)?;
    let waited = u128::from(now.0.saturating_sub(record.submitted.0));
    (limit.as_millis() <= waited).then_some(TimedPart::Queue)
}

fn ticket(record: &BuildRecord) -> Ticket {
    (record.submitted, record.id.clone())
}

fn claims(record: &BuildRecord, memory: u64) -> Claims {
    let tenant = Resource::Tenant(record.tenant.clone());
    // Of the disk it is only known whether there is any left.
    let claims = Claims::default().with(Resource::Slots, 1).with(tenant, 1).with(Resource::Disk, 1);
    let claims = claims.with(Resource::Memory, memory);
    match &record.supersede {
        Some(supersede) if supersede.policy != SupersedePolicy::Parallel => {
            // A key is of one tenant: another may have the same.
            claims.with(Resource::Key(format!("{}/{}", record.tenant, supersede.key)), 1)
        }
        _ => claims,
    }
}
