//! Who had how much, as the queue counts it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use polyarch::{actors::queue::Tenant, queue::BuildQueue};

/// How often is looked who has slots.
const LOOK: Duration = Duration::from_millis(10);
/// How often is written down who had how much.
const WRITE: Duration = Duration::from_millis(200);

/// Milliseconds of slots, by tenant.
pub(super) type Had = BTreeMap<Tenant, f64>;

/// Where a server writes it.
pub(super) fn file(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("shares-{seed}.jsonl"))
}

/// Writes lines of who had how much from now on, for as long as everybody has something waiting.
pub(super) async fn watch(queue: BuildQueue, path: PathBuf) {
    let mut file = fs::File::create(path).expect("a file");
    let mut had: BTreeMap<String, f64> = BTreeMap::new();
    let (mut looked, mut written) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(load) = queue.load().await else { return };
        let passed = looked.elapsed();
        looked = Instant::now();
        if load.tenants.len() < super::orders::TENANTS
            || load.tenants.values().any(|counts| counts.waiting == 0)
        {
            return;
        }
        for (tenant, counts) in load.tenants {
            let running = f64::from(u32::try_from(counts.running).expect("few"));
            *had.entry(tenant.to_string()).or_default() += running * passed.as_secs_f64() * 1000.0;
        }
        if written.elapsed() >= WRITE {
            written = Instant::now();
            writeln!(file, "{}", serde_json::json!(had)).expect("written");
        }
    }
}

/// What was written, in that order. A last line may have been torn by a kill.
pub(super) fn read(path: &Path) -> Vec<Had> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// By how much the share of each tenant differs from its weight: 0.1 is a tenth more than its due.
pub(super) fn deviations(had: &Had, weights: &BTreeMap<Tenant, u32>) -> Had {
    let all: f64 = had.values().sum();
    let weight: u32 = weights.values().sum();
    let due = |tenant: &Tenant| all * f64::from(weights[tenant]) / f64::from(weight);
    had.iter().map(|(tenant, had)| (tenant.clone(), had / due(tenant) - 1.0)).collect()
}
