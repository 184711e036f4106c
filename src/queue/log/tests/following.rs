//! Readers that come, stall, vanish and come again.

use std::time::Duration;

use super::{super::LogError, *};

/// How long something must not happen for it not to happen.
const A_WHILE: Duration = Duration::from_millis(100);

#[tokio::test]
async fn events_get_the_numbers_of_their_lines_and_end_with_the_build() {
    let bench = Bench::new();
    let mut reader = bench.reader(None, Follow::UntilEnd);
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    writer.append(vec![event(EventKind::Started), output("a\n")]).await.expect("written");
    for sequence in 0..2 {
        assert_eq!(reader.next().await.expect("an event").expect("read").sequence, sequence);
    }
    assert!(tokio::time::timeout(A_WHILE, reader.next()).await.is_err(), "it waits");
    writer.append(vec![output("b\n"), end(), output("too late\n")]).await.expect("written");
    let texts: Vec<_> = reader.into_stream().map(|line| text_in(&line.expect("read"))).collect().await;
    assert_eq!(texts, [Some("b\n".to_owned()), None]);
    let late = writer.append(vec![output("too late\n")]).await;
    assert!(matches!(late, Err(LogError::Ended { .. })), "{late:?}");
    assert_eq!(bench.events().await.len(), 4);
    // A log of the past, and nobody who writes it.
    drop(writer);
    let again = bench.reader(None, Follow::UntilEnd).into_stream();
    assert_eq!(again.count().await, 4);
    let error = bench.logs.writer(&bench.id).await.expect_err("it has its end");
    assert!(matches!(error, LogError::Ended { .. }), "{error}");
}

#[tokio::test]
async fn a_reader_comes_again_with_its_cursor_anywhere_and_sees_each_event_once() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let count = 2_000_u64;
    for number in 0..count - 1 {
        // More than the newest ones that are in memory, so that files are read too.
        writer.append(vec![output(&format!("{number} {}", "x".repeat(300)))]).await.expect("written");
    }
    writer.append(vec![end()]).await.expect("written");
    for after in
        [None, Some(0), Some(510), Some(511), Some(512), Some(1023), Some(1998), Some(1999), Some(9999)]
    {
        let mut expected = after.map_or(0, |after| after + 1);
        let mut reader = bench.reader(after, Follow::UntilEnd);
        while let Some(line) = reader.next().await {
            let line = line.expect("read");
            assert_eq!(line.sequence, expected, "after {after:?}");
            if let Some(text) = text_in(&line) {
                assert!(text.starts_with(&format!("{expected} ")));
            }
            expected += 1;
        }
        assert_eq!(expected, count.max(after.unwrap_or_default() + 1));
    }
}

#[tokio::test]
async fn who_asks_for_what_is_still_to_come_waits_for_it() {
    let bench = Bench::new();
    let reader = bench.reader(Some(2), Follow::UntilEnd);
    let waits =
        tokio::spawn(reader.into_stream().map(|line| line.expect("read").sequence).collect::<Vec<_>>());
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    for text in ["0", "1", "2"] {
        writer.append(vec![output(text)]).await.expect("written");
    }
    tokio::time::sleep(A_WHILE).await;
    assert!(!waits.is_finished());
    writer.append(vec![output("3"), end()]).await.expect("written");
    assert_eq!(waits.await.expect("a task"), [3, 4]);
}

#[tokio::test]
async fn who_does_not_follow_reads_what_there_is() {
    let bench = Bench::new();
    assert!(bench.reader(None, Follow::No).next().await.is_none());
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    writer.append(vec![output("a"), output("b")]).await.expect("written");
    assert_eq!(bench.events().await.len(), 2);
    assert!(bench.reader(Some(1), Follow::No).next().await.is_none());
}

#[tokio::test]
async fn readers_wait_for_whoever_writes_next() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let other = bench.logs.writer(&bench.id).await.expect_err("it is written");
    assert!(matches!(other, LogError::InUse { .. }), "{other}");
    writer.append(vec![output("a")]).await.expect("written");
    let waits = tokio::spawn(bench.reader(None, Follow::UntilEnd).into_stream().count());
    let early = bench.reader(None, Follow::UntilEnd);
    drop(writer);
    tokio::time::sleep(A_WHILE).await;
    assert!(!waits.is_finished());
    // The next one goes on behind what is there.
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    writer.append(vec![output("b"), end()]).await.expect("written");
    assert_eq!(waits.await.expect("a task"), 3);
    assert_eq!(early.into_stream().count().await, 3);
}

#[tokio::test]
async fn the_log_of_another_process_is_followed_too() {
    let bench = Bench::new();
    let others = Logs::of_another_process(bench.folder.path());
    let reader = others.reader(&bench.id, None, Follow::UntilEnd).expect("a reader");
    let waits =
        tokio::spawn(reader.into_stream().map(|line| line.expect("read").sequence).collect::<Vec<_>>());
    tokio::time::sleep(A_WHILE).await;
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    writer.append(vec![output("a")]).await.expect("written");
    tokio::time::sleep(3 * A_WHILE).await;
    assert!(!waits.is_finished());
    writer.append(vec![output("b"), end()]).await.expect("written");
    assert_eq!(waits.await.expect("a task"), [0, 1, 2]);
}

#[tokio::test]
async fn no_name_of_a_build_leads_out_of_the_folder() {
    let bench = Bench::new();
    for name in ["../../etc/passwd", "", "a", "0123456789abcdef0123456789", "0123456789abcdef012345678/"] {
        let id: BuildId = serde_json::from_str(&serde_json::to_string(name).expect("json")).expect("a name");
        let found = bench.logs.reader(&id, None, Follow::No);
        assert_eq!(found.is_ok(), name == "0123456789abcdef0123456789", "{name}");
        assert_eq!(bench.logs.remove(&id).await.is_ok(), found.is_ok());
    }
}
