//! What is there of builds when a folder is opened.

use polyarch_actors::{EventKind, Fault};

use super::{
    attempt::{error_of_record, note},
    error::QueueError,
    options::QueueOptions,
};
use crate::queue::{
    BuildState, Counts,
    log::Logs,
    records::{BuildRecord, End, Records, Requeued},
};

/// The builds that wait, with those that ran when the last process ended. One whose process went away too often is lost.
pub(super) async fn recovered(
    records: &Records,
    logs: &Logs,
    counts: &Counts,
    options: &QueueOptions,
) -> Result<Vec<BuildRecord>, QueueError> {
    let mut waiting = Vec::new();
    for record in records.unfinished().await? {
        if record.state == BuildState::Queued {
            waiting.push(record);
            continue;
        }
        let id = &record.id;
        let losses = record.losses.saturating_add(1);
        if losses >= options.attempts && record.cancel_requested.is_none() {
            let often = if losses == 1 { "once".to_owned() } else { format!("{losses} times") };
            let reason = format!("the process that built it went away {often}");
            if records.end(id, End::Lost { reason }, Vec::new()).await? {
                counts.ended(BuildState::Lost, Some(Fault::Host), None);
            }
            continue;
        }
        match records.recover(id).await? {
            Requeued::Queued => {
                let message = "the process that built it went away; it is begun again".into();
                note(logs, id, EventKind::Warned { message }).await;
                waiting.push(records.get(&record.tenant, id).await?);
            }
            Requeued::Ended(state) => counts.ended(state, Some(Fault::Cancelled), None),
            Requeued::NotRunning => {}
        }
    }
    // The process may have gone between an end in a record and the end in its log.
    let mut told = Vec::new();
    for record in records.untold().await? {
        if note(logs, &record.id, EventKind::Finished { error: error_of_record(&record) }).await {
            told.push(record.id);
        }
    }
    records.told(told).await?;
    Ok(waiting)
}
