//! What a build takes that waits.

use std::{fs, time::Duration};

use futures::{StreamExt as _, stream};

use crate::{numbers, place::Place, resident::resident};

pub(crate) async fn measure(builds: usize) {
    let place = Place::open([]).await;
    let before = resident();
    let submit = |number| {
        let (queue, build) = (place.queue.clone(), place.build(number + 1));
        async move { queue.submit(build).await.expect("taken") }
    };
    stream::iter(0..builds).map(submit).buffer_unordered(64).collect::<Vec<_>>().await;
    // Until all have been told their places once, which costs memory too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let report = place.queue.report(None).await.expect("a report");
    assert_eq!(report.waiting.len(), builds);
    let Some((now, before)) = resident().zip(before) else {
        return println!("SKIPPED: this system has no /proc/self/status to read VmRSS from\n");
    };
    let database = ["data/queue.db", "data/queue.db-wal"]
        .map(|file| fs::metadata(place.path(file)).map_or(0, |file| file.len()));
    let each = |all: u64| numbers::share(all, builds);
    println!("| waiting builds | kB of memory each | kB of the database each |\n|---|---|---|");
    println!(
        "| {builds} | {:.1} | {:.1} |\n",
        each(now.saturating_sub(before)),
        each(database.iter().sum::<u64>() / 1024)
    );
    place.queue.close(Duration::ZERO).await;
}
