//! How soon the events of a build are with all who follow it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use polyarch_actors::{queue::Tenant, testing::Act};
use tokio::sync::broadcast;

use crate::{numbers, place::Place, resident::resident, support};

pub(crate) async fn compare((readers, events, rounds): (usize, usize, usize)) {
    println!(
        "| readers | through | events a second | time of the channel's | memory |\n|---|---|---|---|---|"
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut delivered, mut grown) = (0, 0);
    for round in 0..=rounds {
        let (time, count, memory) = queue(readers, events).await;
        let channel = channel(readers, count / readers).await;
        // The first one warms up.
        if round > 0 || rounds == 1 {
            (delivered, grown) = (count, grown.max(memory));
            ours.push(time);
            theirs.push(channel);
        }
    }
    let (ours, theirs) = (support::median(&ours), support::median(&theirs));
    let a_second = |time: Duration| numbers::a_second(delivered, time);
    println!(
        "| {readers} | a tokio broadcast channel that keeps all | {:.0} | 1.00x | – |",
        a_second(theirs)
    );
    println!(
        "| {readers} | the log of the build, on the disk first | {:.0} | {:.2}x | {grown} kB more |\n",
        a_second(ours),
        support::ratio(ours, theirs)
    );
}

/// From the beginning of a build that prints until the last reader has its end; how many events all had, and by how many kB the
/// process grew.
async fn queue(readers: usize, events: usize) -> (Duration, usize, u64) {
    let place = Place::open([Act::Chatter(events)]).await;
    let (queue, tenant) = (&place.queue, Tenant::default());
    let id = queue.submit(place.build(1)).await.expect("taken").id;
    let mut following = Vec::new();
    for _ in 0..readers {
        let mut reader = queue.follow(&tenant, &id, None).await.expect("a log");
        following.push(tokio::spawn(async move {
            let mut count = 0;
            while let Some(line) = reader.next().await {
                line.expect("a line");
                count += 1;
            }
            count
        }));
    }
    let before = resident().unwrap_or_default();
    let begun = Instant::now();
    place.let_go().await;
    let counts: Vec<usize> =
        join_all(following).await.into_iter().map(|count| count.expect("a reader")).collect();
    let time = begun.elapsed();
    assert!(counts.iter().all(|count| *count == counts[0] && *count > events), "all have all");
    let grown = resident().unwrap_or_default().saturating_sub(before);
    place.queue.close(Duration::ZERO).await;
    (time, counts.iter().sum(), grown)
}

/// The same number of small messages through a channel that remembers all of them.
async fn channel(readers: usize, events: usize) -> Duration {
    let (sender, _) = broadcast::channel::<std::sync::Arc<[u8]>>(events.max(1));
    let reading: Vec<_> = (0..readers)
        .map(|_| {
            let mut receiver = sender.subscribe();
            tokio::spawn(async move {
                let mut count = 0;
                while let Ok(message) = receiver.recv().await {
                    count += usize::from(!message.is_empty());
                }
                count
            })
        })
        .collect();
    let begun = Instant::now();
    for _ in 0..events {
        let _ = sender.send([7; 200].into());
    }
    drop(sender);
    for count in join_all(reading).await {
        assert_eq!(count.expect("a reader"), events);
    }
    begun.elapsed()
}
