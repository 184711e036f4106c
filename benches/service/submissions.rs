//! How many submissions are taken in a second, each of which is on the disk before it is answered.

use std::{
    fs::File,
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};

use crate::{numbers, place::Place, support};

/// How many ask at once.
const AT_ONCE: [usize; 3] = [1, 16, 64];

pub(crate) async fn compare((submissions, rounds): (usize, usize)) {
    println!(
        "| submitting at once | through | submissions a second | time of the file's |\n|---|---|---|---|"
    );
    for at_once in AT_ONCE {
        let place = Place::open([]).await;
        let file = File::create(place.path("lines")).expect("a file");
        let file = Arc::new(Mutex::new(file));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let begun = Instant::now();
            let submit = |number| {
                let (queue, build) = (place.queue.clone(), place.build(round * submissions + number + 1));
                async move { queue.submit(build).await.expect("taken") }
            };
            stream::iter(0..submissions).map(submit).buffer_unordered(at_once).collect::<Vec<_>>().await;
            let queued = begun.elapsed();
            let begun = Instant::now();
            let append = |number: usize| {
                let (file, spec) = (Arc::clone(&file), place.build(number).spec);
                let append = move || {
                    let line = polyarch::queue::to_json(&spec).expect("a spec as text");
                    let mut file = file.lock().expect("the file");
                    file.write_all(line.as_bytes()).and_then(|()| file.sync_data()).expect("written");
                };
                async move { tokio::task::spawn_blocking(append).await.expect("written") }
            };
            stream::iter(0..submissions).map(append).buffer_unordered(at_once).collect::<Vec<_>>().await;
            // The first one warms up.
            if round > 0 || rounds == 1 {
                ours.push(queued);
                theirs.push(begun.elapsed());
            }
        }
        let (ours, theirs) = (support::median(&ours), support::median(&theirs));
        let a_second = |time: Duration| numbers::a_second(submissions, time);
        println!("| {at_once} | a line in a file, synced | {:.0} | 1.00x |", a_second(theirs));
        println!("| {at_once} | the queue | {:.0} | {:.2}x |", a_second(ours), support::ratio(ours, theirs));
        place.queue.close(Duration::ZERO).await;
    }
    println!();
}
