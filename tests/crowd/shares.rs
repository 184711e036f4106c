//! Who had how much, as the queue counts it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use polyarch::{actors::queue::Tenant, queue::BuildQueue};

/// How often is written down who had how much.
const LOOK: Duration = Duration::from_millis(200);

/// Milliseconds of slots, by tenant.
pub(super) type Had = BTreeMap<Tenant, f64>;

/// Where a server writes it.
pub(super) fn file(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("shares-{seed}.jsonl"))
}

/// Writes lines of who had how much from now on, for as long as everybody has something waiting.
pub(super) async fn watch(queue: BuildQueue, path: PathBuf) {
    let mut file = fs::File::create(path).expect("a file");
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(load) = queue.load().await else { return };
        let tenants = load.tenants;
        if tenants.len() < super::orders::TENANTS || tenants.values().any(|counts| counts.waiting == 0) {
            return;
        }
        let had: BTreeMap<_, _> = tenants.iter().map(|(tenant, counts)| (tenant, counts.ran_ms)).collect();
        writeln!(file, "{}", serde_json::json!(had)).expect("written");
    }
}

/// What was written, in that order. A last line may have been torn by a kill.
pub(super) fn read(path: &Path) -> Vec<Had> {
    let text = fs::read_to_string(path).expect("a file");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// By how much the share of each tenant differs from its weight, in the middle of many moments: 0.1 is a tenth more than its
/// due.
pub(super) fn usual(moments: &[Had], weights: &BTreeMap<Tenant, u32>) -> Had {
    let moments: Vec<Had> = moments.iter().map(|had| deviations(had, weights)).collect();
    let of = |tenant: &Tenant| {
        let mut shares: Vec<f64> = moments.iter().map(|shares| shares[tenant]).collect();
        shares.sort_by(f64::total_cmp);
        shares[shares.len() / 2]
    };
    weights.keys().map(|tenant| (tenant.clone(), of(tenant))).collect()
}

fn deviations(had: &Had, weights: &BTreeMap<Tenant, u32>) -> Had {
    let all: f64 = had.values().sum();
    let weight: u32 = weights.values().sum();
    let due = |tenant: &Tenant| all * f64::from(weights[tenant]) / f64::from(weight);
    had.iter().map(|(tenant, had)| (tenant.clone(), had / due(tenant) - 1.0)).collect()
}
