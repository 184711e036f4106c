//! Opening a folder: what was not ended there goes on.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::{
    disk::{Disk, free_at},
    error::QueueError,
    options::QueueOptions,
    queue::{BuildQueue, Inner},
    recovery::recovered,
    runner::{Runner, Shared},
};
use crate::{
    Orchestrator,
    queue::{Counts, DataFolder, counts::StoreSize, log::Logs, records::Records},
    room::Room,
};

impl BuildQueue {
    pub(crate) async fn open(
        orchestrator: Orchestrator,
        data: PathBuf,
        options: QueueOptions,
    ) -> Result<Self, QueueError> {
        let opened = tokio::task::spawn_blocking(move || {
            let folder = DataFolder::open(data)?;
            let lock = folder.lock()?;
            Ok::<_, QueueError>((folder, lock))
        });
        let (folder, lock) = opened.await.map_err(|_| QueueError::Closing)??;
        let lock = Arc::new(lock);
        let records = Records::open(folder.records()).await?;
        let logs = Logs::new(folder.logs(), options.log_bytes);
        let (notes, to_runner) = mpsc::unbounded_channel();
        let (ended, watched) = watch::channel(0);
        let (room, counts) = (Room::default(), Counts::default());
        let mut runner = Runner::new(Shared {
            orchestrator: orchestrator.clone(),
            records: records.clone(),
            logs: logs.clone(),
            counts: counts.clone(),
            options: options.clone(),
            ended,
        });
        for record in recovered(&records, &logs, &counts, &options).await? {
            let seat = room.take(&record.tenant, usize::MAX);
            runner.recorded(record, seat).await;
        }
        let root = orchestrator.store().root().to_owned();
        let free = free_at(root.clone(), &counts).await;
        let is_full = free.is_some_and(|free| free < options.min_free);
        runner.waiting.set_disk_is_full(is_full);
        orchestrator
            .set_limits(options.requests.clone(), options.weights())
            .await
            .map_err(|_| QueueError::Closing)?;
        let held = Arc::clone(&lock);
        let spawned = orchestrator.spawn(async move {
            let closed = runner.run(to_runner).await;
            // Nobody else runs these builds before this one has stopped.
            drop(held);
            for done in closed {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        });
        if spawned.is_none() {
            return Err(QueueError::Closing);
        }
        let disk = Disk { root, least: options.min_free, is_full, notes: notes.downgrade() };
        orchestrator.spawn(disk.watch(counts.clone()));
        let options = std::sync::RwLock::new(options);
        let closing = watch::Sender::new(false);
        let (ended, size) = (watched, StoreSize::default());
        let inner = Inner {
            orchestrator,
            records,
            logs,
            options,
            room,
            counts,
            size,
            notes,
            ended,
            closing,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}
