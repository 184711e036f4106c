//! What was measured of the disk, told only when it was.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};

/// What is known of the disk of a store. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Known>>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// What the store takes, in bytes.
    pub(super) taken: Option<u64>,
    /// What is free, in bytes.
    pub(super) free: Option<u64>,
}

impl Disk {
    pub(super) fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = "What the folder of the store takes of the disk, as of some minutes ago";
        let free = "How much of the disk is free that the store is on";
        for (name, help, bytes) in
            [("store_bytes", taken, known.taken), ("store_free_bytes", free, known.free)]
        {
            if let Some(bytes) = bytes {
                let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        Ok(())
    }
}
