//! Contexts that are sent: what is kept, and what is refused before it is.

use std::{fs, io::Write as _, path::PathBuf, slice, time::Duration};

use futures::StreamExt as _;
use polyarch::{archive::Limits, oci::digest_of};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::scene::{Scene, answered};

/// An archive of one file.
fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    // Names that lead out are not written by the usual way.
    header.as_gnu_mut().expect("a header").name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    builder.append(&header, content).expect("written");
    builder.into_inner().expect("finished")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("written");
    packed.finish().expect("finished")
}

/// What is kept of the tenant `web`.
fn kept(scene: &Scene) -> Vec<PathBuf> {
    let folder = scene.data.path().join("contexts/web");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[tokio::test]
async fn a_context_is_kept_once_and_builds_name_it() {
    let scene = Scene::set().await;
    let plain = archive("Dockerfile", b"FROM scratch\n");
    let zstd = zstd::bulk::compress(&plain, 1).expect("compressed");
    for bytes in [gzip(&plain), zstd, plain.clone()] {
        let answer = scene.send(bytes.clone()).await;
        let told = answer.json();
        assert_eq!((answer.status.as_u16(), &told["context"]), (201, &json!(digest_of(&bytes).as_str())));
        assert_eq!(told["size"], bytes.len());
        let again = scene.send(bytes.clone()).await;
        assert_eq!((again.status.as_u16(), &again.json()["context"]), (200, &told["context"]));
    }
    assert_eq!(kept(&scene).len(), 3, "nothing else is left");
    let digest = digest_of(&plain);
    let document = json!({"context": {"upload": digest.as_str()}});
    assert_eq!(scene.post("/v1/builds", &document).await.status, 201);
    let theirs = scene.client.post(format!("http://{}/v1/builds", scene.address)).bearer_auth(&scene.other);
    let theirs = theirs.header("Content-Type", "application/json").body(document.to_string());
    assert_eq!(answered(theirs).await.fields(), ["/context/upload"], "what another has sent is not there");
    #[cfg(unix)]
    for path in kept(&scene) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else reads it");
    }
}

#[tokio::test]
async fn what_is_no_context_is_refused_and_leaves_nothing() {
    let archive_limits =
        Limits { members: 100, bytes: 4 << 20, allowance: 1 << 20, ratio: 10, names: 1 << 20 };
    let scene = Scene::with(|limits| limits.archive = archive_limits).await;
    let good = archive("a", &[7; 10_000]);
    let mut many = tar::Builder::new(Vec::new());
    for number in 0..200 {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        many.append_data(&mut header, format!("f{number}"), &b""[..]).expect("written");
    }
    let mut wrong_sum = good.clone();
    wrong_sum[148] ^= 1;
    for (bytes, words) in [
        (b"FROM scratch\n".to_vec(), "it is no tar archive"),
        (vec![0xff; 2000], "it is no tar archive"),
        (wrong_sum, "it is no tar archive"),
        (good[..5000].to_vec(), "it is cut off"),
        (gzip(&good)[..60].to_vec(), "it cannot be unpacked"),
        (gzip(b"no archive at all"), "it cannot be unpacked"),
        (b"\x1f\x8b".to_vec(), "it cannot be unpacked"),
        (archive("../x", b"x"), "leads out of the context"),
        (archive("a/../../x", b"x"), "leads out of the context"),
        (gzip(&archive("a", &vec![0; 5 << 20])), "more than 4194304 bytes"),
        (gzip(&archive("a", &vec![7; 3 << 20])), "more than 10 times its own size"),
        (many.into_inner().expect("finished"), "more than 100 members"),
    ] {
        let detail = scene.send(bytes).await.problem(422);
        assert!(detail.contains(words), "{words}: {detail}");
        assert!(!detail.contains(scene.data.path().to_str().expect("text")), "{detail}");
    }
    let nothing = reqwest::Body::wrap_stream(futures::stream::empty::<Result<Vec<u8>, std::io::Error>>());
    let nothing = answered(scene.ask(Method::POST, "/v1/contexts").body(nothing)).await;
    assert_eq!(nothing.problem(422), "the archive is empty");
    assert_eq!(kept(&scene), Vec::<PathBuf>::new());
    assert_eq!(scene.send(good).await.status, 201);
}

#[tokio::test]
async fn what_is_too_large_or_of_another_kind_is_refused_early() {
    let scene = Scene::with(|limits| (limits.context, limits.contexts) = (20_000, 25_000)).await;
    let large = archive("a", &vec![7; 30_000]);
    scene.send(large.clone()).await.problem(413);
    let pieces = futures::stream::iter(large.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>());
    let body = reqwest::Body::wrap_stream(pieces.map(Ok::<_, std::io::Error>));
    answered(scene.ask(Method::POST, "/v1/contexts").body(body)).await.problem(413);
    for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let request = scene.ask(Method::POST, "/v1/contexts").header("Content-Type", kind);
        answered(request.body(archive("a", b"x"))).await.problem(415);
    }
    let no_kind = scene.ask(Method::POST, "/v1/contexts").body(archive("a", &[1; 10_000]));
    assert_eq!(answered(no_kind).await.status, 201, "the first bytes tell");
    let answer = scene.send(archive("a", &[2; 15_000])).await;
    assert!(answer.problem(429).contains("more than 25000 bytes"));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(kept(&scene).len(), 1);
    // No client sends such a request by itself.
    let mut stream = tokio::net::TcpStream::connect(&scene.address).await.expect("connected");
    let head = format!(
        "POST /v1/contexts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        scene.web
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
}

#[tokio::test]
async fn an_archive_that_stops_coming_ends_and_frees_its_place() {
    let scene = Scene::with(|limits| (limits.uploads, limits.pause) = (1, Duration::from_millis(300))).await;
    let (first, rest) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    first.unbounded_send(Ok(archive("a", &[7; 9000])[..4000].to_vec())).expect("sent");
    let slow = scene.ask(Method::POST, "/v1/contexts").body(reqwest::Body::wrap_stream(rest));
    let slow = tokio::spawn(answered(slow));
    let second = async {
        loop {
            let answer = scene.send(archive("b", b"x")).await;
            if answer.status == 429 {
                break answer;
            }
            assert!(answer.status.is_success(), "{answer:?}");
        }
    };
    second.await.problem(429);
    slow.await.expect("no panic").problem(408);
    drop(first);
    assert!(scene.send(archive("b", b"x")).await.status.is_success());
    assert_eq!(kept(&scene).len(), 1);
}

#[tokio::test]
async fn a_context_goes_when_nobody_has_used_it_for_a_while_and_no_build_needs_it() {
    let scene = Scene::with(|limits| limits.kept = Duration::ZERO).await;
    let (idle, used) = (archive("idle", b"x"), archive("used", b"x"));
    for bytes in [&idle, &used] {
        assert_eq!(scene.send(bytes.clone()).await.status, 201);
    }
    let document = json!({"context": {"upload": digest_of(&used).as_str()}});
    let answer = scene.post("/v1/builds", &document).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(scene.service.sweep().await.expect("swept"), 1);
    assert!(kept(&scene)[0].ends_with(digest_of(&used).hex()));
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    scene.desk.tell(&id, polyarch::actors::EventKind::Finished { error: None });
    assert_eq!(scene.service.sweep().await.expect("swept"), 1);
    assert_eq!(kept(&scene), Vec::<PathBuf>::new());
    assert_eq!(scene.post("/v1/builds", &document).await.fields(), ["/context/upload"]);
}

/// An archive that takes long to read, but not to send: of a file that is empty, many times.
fn long_archive(name: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).expect("a name");
    header.set_size(0);
    header.set_mode(0o644);
    header.set_cksum();
    let mut archive = header.as_bytes().repeat(300_000);
    archive.extend([0; 1024]);
    zstd::encode_all(archive.as_slice(), 1).expect("packed")
}

/// How many bytes of contexts have come.
async fn uploaded(scene: &Scene) -> usize {
    let metrics = String::from_utf8(scene.get("/metrics").await.body).expect("text");
    let mut lines = metrics.lines();
    let number = lines.find_map(|line| line.strip_prefix("polyarch_context_uploaded_bytes_total "));
    number.map_or(0, |number| number.parse().expect("a number"))
}

/// Waits until so many bytes of contexts have come, or one of those that send them has its answer.
async fn came<T>(scene: &Scene, bytes: usize, sending: &[JoinHandle<T>]) {
    while uploaded(scene).await < bytes && !sending.iter().any(JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_context_whose_sender_hung_up_counts_until_it_is_read() {
    let scene = Scene::with(|limits| limits.uploads = 1).await;
    // Who hangs up too early has sent nothing.
    for attempt in 0..10 {
        let long = long_archive(&attempt.to_string());
        let all = uploaded(&scene).await + long.len();
        let sending = tokio::spawn(answered(scene.ask(Method::POST, "/v1/contexts").body(long.clone())));
        came(&scene, all, slice::from_ref(&sending)).await;
        sending.abort();
        // The server notices.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let is_draft = |path: &PathBuf| path.to_string_lossy().contains("/.draft-");
        if !kept(&scene).iter().any(is_draft) {
            continue;
        }
        let refused = scene.send(archive("b", b"x")).await;
        while scene.send(archive("b", b"x")).await.status == 429 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if scene.send(long).await.status == 200 {
            refused.problem(429);
            return;
        }
    }
    panic!("no context was kept whose sender hung up");
}

#[tokio::test]
async fn a_tenant_with_contexts_that_take_long_keeps_no_other_from_sending_one() {
    let scene = Scene::set().await;
    let long = ["a", "b", "c"].map(long_archive);
    let all: usize = long.iter().map(Vec::len).sum();
    let sending = long.map(|long| tokio::spawn(answered(scene.ask(Method::POST, "/v1/contexts").body(long))));
    came(&scene, all, &sending).await;
    let theirs = scene.client.post(format!("http://{}/v1/contexts", scene.address)).bearer_auth(&scene.other);
    assert_eq!(answered(theirs.body(archive("d", b"x"))).await.status, 201);
    assert!(sending.iter().all(|sending| !sending.is_finished()), "it waited for none of them");
    for sending in sending {
        sending.abort();
    }
}

#[tokio::test]
async fn a_context_that_takes_too_long_to_read_is_refused() {
    let scene = Scene::with(|limits| limits.check = Duration::ZERO).await;
    let detail = scene.send(archive("a", b"x")).await.problem(422);
    assert_eq!(detail, "the archive is no context: reading it takes longer than 0 seconds");
    assert_eq!(kept(&scene), Vec::<PathBuf>::new());
}
