//! Many readers of a log that is being written.

use std::{task::Poll, time::Duration};

use polyarch_actors::EventSink;

use super::*;

const READERS: u64 = 200;
const EVENTS: usize = 1_500;

/// Reads to the end with one manner of reading; vanishes and comes again where that is its manner.
async fn read(logs: Logs, id: BuildId, manner: u64) -> u64 {
    let mut expected = 0;
    let mut reader = logs.reader(&id, None, Follow::UntilEnd).expect("a reader");
    loop {
        if manner % 4 == 2
            && let Poll::Ready(line) = futures::poll!(std::pin::pin!(reader.next()))
        {
            // Where it is not ready the call was dropped, which must lose nothing.
            let Some(line) = line else { return expected };
            assert_eq!(event_in(&line.expect("read")).sequence, expected);
            expected += 1;
        }
        let Some(line) = reader.next().await else { return expected };
        assert_eq!(event_in(&line.expect("read")).sequence, expected);
        expected += 1;
        if manner.is_multiple_of(4) && expected % 500 == manner {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if manner % 4 == 1 && expected % 97 == manner % 97 {
            reader = logs.reader(&id, Some(expected - 1), Follow::UntilEnd).expect("a reader");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_readers_see_every_event_once_in_order() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let readers: Vec<_> =
        (0..READERS).map(|manner| tokio::spawn(read(bench.logs.clone(), bench.id.clone(), manner))).collect();
    let sink = EventSink::new(bench.id.clone());
    let recorded = tokio::spawn({
        let mut events = sink.subscribe().ready_chunks(256);
        async move {
            while let Some(some) = events.next().await {
                writer.append(some).await.expect("written");
            }
        }
    });
    for number in 0..EVENTS {
        sink.emit(EventKind::StepOutput { step: 1, data: LogBytes(format!("{number}\n").into_bytes()) });
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    sink.emit(EventKind::Finished { error: None });
    recorded.await.expect("a task");
    for reader in readers {
        assert_eq!(reader.await.expect("a task"), EVENTS as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_in_the_file_before_a_reader_sees_it() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let mut reader = bench.reader(None, Follow::UntilEnd);
    let path = bench.path();
    let mut checked = 0;
    let reads = async {
        let mut length = 0;
        while let Some(line) = reader.next().await {
            length += line.expect("read").json.len() as u64 + 1;
            assert!(path.metadata().expect("there").len() >= length);
            checked += 1;
        }
    };
    let writes = async {
        for number in 0..500 {
            writer.append(vec![output(&number.to_string())]).await.expect("written");
        }
        writer.append(vec![end()]).await.expect("written");
    };
    futures::join!(reads, writes);
    assert_eq!(checked, 501);
}
