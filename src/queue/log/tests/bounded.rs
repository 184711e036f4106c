//! Limits of logs and of what their readers hold.

use polyarch_actors::BuildError;

use super::*;

#[tokio::test]
async fn output_above_the_limit_is_left_out_and_counted_and_other_facts_are_not() {
    let bench = Bench::with_limit(2_000);
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let chatter = |number: usize| output(&format!("{number:05} {}", "x".repeat(90)));
    let mut events: Vec<_> = (0..100).map(chatter).collect();
    events.insert(50, event(EventKind::Warned { message: "half".into() }));
    events.push(event(EventKind::Warned { message: "last".into() }));
    writer.append(events).await.expect("written");
    writer.append((0..7).map(chatter).chain([end()]).collect()).await.expect("written");
    let found = bench.events().await;
    let kept = found.iter().filter(|event| matches!(event.kind, EventKind::StepOutput { .. })).count();
    assert!((5..50).contains(&kept), "{kept}");
    let others: Vec<&EventKind> = found[kept..].iter().map(|event| &event.kind).collect();
    let half = EventKind::Warned { message: "half".into() };
    let last = EventKind::Warned { message: "last".into() };
    let missed = |events: usize| EventKind::Missed { events: events as u64 };
    let expected =
        [missed(50 - kept), half, missed(50), last, missed(7), EventKind::Finished { error: None }];
    assert_eq!(others, expected.iter().collect::<Vec<_>>());
    assert!(found.iter().enumerate().all(|(number, event)| event.sequence == number as u64));
}

#[tokio::test]
async fn a_long_output_is_several_short_lines_and_none_is_lost() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let text: Vec<String> = (0..40_000).map(|number| number.to_string()).collect();
    let text = text.join("\n");
    writer.append(vec![output(&text), end()]).await.expect("written");
    let mut reader = bench.reader(None, Follow::UntilEnd);
    let mut found = String::new();
    while let Some(line) = reader.next().await {
        let line = line.expect("read");
        assert!(line.json.len() < 64 << 10);
        found.push_str(&text_in(&line).unwrap_or_default());
    }
    assert!(found == text);
}

#[tokio::test]
async fn a_line_longer_than_any_buffer_is_read_whole() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let message = "y".repeat(1 << 20);
    let error = Some(BuildError::invalid(message));
    writer
        .append(vec![output("a"), event(EventKind::Finished { error: error.clone() })])
        .await
        .expect("written");
    drop(writer);
    let events = bench.events().await;
    assert_eq!(events[1].kind, EventKind::Finished { error });
}

#[tokio::test]
async fn a_reader_that_stalls_holds_a_few_lines_whatever_is_written_meanwhile() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    let mut live = bench.reader(None, Follow::UntilEnd);
    writer.append(vec![output("first")]).await.expect("written");
    live.next().await.expect("an event").expect("read");
    let chunk = "z".repeat(8_000);
    for _ in 0..1_000 {
        writer.append(vec![output(&chunk)]).await.expect("written");
    }
    let mut late = bench.reader(None, Follow::UntilEnd);
    late.next().await.expect("an event").expect("read");
    for reader in [&mut live, &mut late] {
        for _ in 0..100 {
            assert!(reader.held() <= 128 << 10, "{} bytes", reader.held());
            reader.next().await.expect("an event").expect("read");
        }
    }
    writer.append(vec![end()]).await.expect("written");
    assert_eq!(live.into_stream().count().await, 901);
}
