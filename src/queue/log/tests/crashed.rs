//! What a crash leaves of a log.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
};

use super::*;

#[tokio::test]
async fn what_a_crash_left_of_a_last_line_goes_and_writing_goes_on() {
    let number = |number: u64| {
        format!(r#"{{"version":1,"build":"b","sequence":{number},"time":0,"event":"started"}}"#)
    };
    let torn = [
        String::new(),
        r#"{"version":1,"build":"#.to_owned(),
        // The last line has no line break yet.
        number(2),
        // Its end came to the disk, and its beginning did not.
        format!("\0\0\0\0{}\n", &number(2)[4..]),
        "\0".repeat(4096),
        "{\"seque\0\0\0}\n".to_owned(),
        // It is whole, and of another place.
        number(9) + "\n",
        // What is behind something odd is not trusted, either.
        format!("odd\n{}\n", number(2)),
    ];
    for rest in torn {
        let bench = Bench::new();
        let writer = bench.logs.writer(&bench.id).await.expect("a log");
        writer.append(vec![output("a"), output("b")]).await.expect("written");
        drop(writer);
        let whole = fs::read(bench.path()).expect("the log");
        let mut file = OpenOptions::new().append(true).open(bench.path()).expect("opened");
        file.write_all(rest.as_bytes()).expect("written");
        drop(file);
        assert_eq!(bench.events().await.len(), 2, "readers see none of {rest:?}");
        let writer = bench.logs.writer(&bench.id).await.expect("opened again");
        assert!(fs::read(bench.path()).expect("the log") == whole, "{rest:?} is gone");
        writer.append(vec![output("c"), end()]).await.expect("written");
        let texts: Vec<u64> = bench.events().await.iter().map(|event| event.sequence).collect();
        assert_eq!(texts, [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn a_last_line_that_was_cut_anywhere_costs_itself_alone() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    writer.append(vec![output("a"), output("b"), output("größe")]).await.expect("written");
    drop(writer);
    let whole = fs::read(bench.path()).expect("the log");
    let before =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).expect("two lines").0 + 1;
    for length in before..=whole.len() {
        fs::write(bench.path(), &whole[..length]).expect("written");
        let lines = if length == whole.len() { 3 } else { 2 };
        assert_eq!(bench.events().await.len(), lines, "{length}");
        drop(bench.logs.writer(&bench.id).await.expect("opened"));
        assert_eq!(fs::read(bench.path()).expect("the log").len(), if lines == 3 { length } else { before });
    }
}

#[tokio::test]
async fn events_that_could_not_be_written_are_counted_when_the_next_one_can() {
    let bench = Bench::new();
    let writer = bench.logs.writer(&bench.id).await.expect("a log");
    writer.append(vec![output("a")]).await.expect("written");
    writer.fail(true).await;
    let error = writer.append(vec![output("b"), output("c")]).await.expect_err("it cannot be written");
    assert!(error.to_string().contains(&bench.path().display().to_string()), "{error}");
    assert_eq!(bench.events().await.len(), 1);
    writer.fail(false).await;
    writer.append(vec![end()]).await.expect("written");
    let kinds: Vec<EventKind> = bench.events().await.into_iter().skip(1).map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Missed { events: 2 }, EventKind::Finished { error: None }]);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_a_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let _writer = bench.logs.writer(&bench.id).await.expect("a log");
    assert_eq!(bench.path().metadata().expect("there").permissions().mode() & 0o777, 0o600);
}
