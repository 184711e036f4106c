//! Manifests, configs and blobs that are not what they say.

use std::time::{Duration, Instant};

use polyarch::oci::digest_of;
use serde_json::json;

use super::Yard;
use crate::support::images::{Layer, Tar, gzip, image, image_with};

const COPY: &str = "FROM scratch\nCOPY --from=evil /file /f\n";

fn archive() -> Vec<u8> {
    Tar::new().file("file", "text").end()
}

#[tokio::test]
async fn an_image_that_contradicts_itself_is_refused_in_one_sentence() {
    let yard = Yard::new();
    let begun = Instant::now();
    let honest = || Layer::of(&archive());
    let many = |manifest: &mut serde_json::Value| {
        manifest["layers"] = json!(vec![manifest["layers"][0].clone(); 40_000]);
    };
    let huge = |manifest: &mut serde_json::Value| manifest["config"]["size"] = json!(100 << 20);
    let one_more = |config: &mut serde_json::Value| {
        let first = config["rootfs"]["diff_ids"][0].clone();
        config["rootfs"]["diff_ids"].as_array_mut().expect("a list").push(first);
    };
    for (evil, words) in [
        (image_with(&yard.store, &[honest()], |_| {}, many), "it has 40000 layers, more than the 512"),
        (image_with(&yard.store, &[honest()], |_| {}, huge), "its config has 104857600 bytes, more than"),
        (
            image_with(&yard.store, &[honest()], one_more, |_| {}),
            "its manifest has 1 layers and its config 2",
        ),
        (
            image_with(&yard.store, &[honest()], |config| config["architecture"] = json!("s390x"), |_| {}),
            "it is there for linux/s390x only",
        ),
        (
            image_with(
                &yard.store,
                &[honest()],
                |config| config["config"]["Env"] = json!(["x".repeat(9 << 20)]),
                |manifest| manifest["config"]["size"] = json!(2),
            ),
            "more than the 8388608 that a manifest or config may have",
        ),
    ] {
        for dockerfile in [COPY, "FROM evil\nCOPY a.txt /\n"] {
            let error = yard.with(&evil, dockerfile).await.expect_err(words).to_string();
            assert!(error.contains(words) && !error.contains('\n') && error.len() < 400, "{error}");
        }
    }
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn blobs_that_are_not_what_their_image_says_are_refused() {
    let yard = Yard::new();
    let plain = archive();
    let whole = gzip(&plain);
    let layer = |blob: Vec<u8>| Layer { blob, diff_id: digest_of(&plain) };
    for (layer, words) in [
        (layer(whole[..whole.len() - 9].to_vec()), "it is cut off"),
        (layer([whole.as_slice(), b"garbage behind the end"].concat()), "gzip"),
        (layer(gzip(&Tar::new().file("file", "else").end())), "its content has digest"),
        (layer(gzip(&plain[..700])), "its content has digest"),
        (layer(Vec::new()), "its content has digest"),
        (layer(b"no archive at all ".repeat(99)), "a header has a wrong checksum"),
        (layer(gzip(&b"no archive at all ".repeat(99))), "a header has a wrong checksum"),
    ] {
        let evil = image(&yard.store, &[layer]);
        let error = yard.with(&evil, COPY).await.expect_err(words).to_string();
        assert!(error.contains("Dockerfile:2: layer sha256:") && error.contains(words), "{error}");
    }
    // Several members are one stream, as gzip has it; and a history may say what it likes.
    let (first, second) = plain.split_at(600);
    let several = layer([gzip(first), gzip(second)].concat());
    let evil = image_with(
        &yard.store,
        &[several],
        |config| config["history"] = json!(vec![json!({"created_by": "x"}); 1000]),
        |_| {},
    );
    yard.with(&evil, COPY).await.expect("odd but right");
}

#[tokio::test]
async fn users_are_not_looked_for_outside_nor_waited_for() {
    use crate::support::images::{CHAR_DEVICE, FIFO, FILE};
    let yard = Yard::new();
    let begun = Instant::now();
    let long = vec![b'\n'; 20 << 20];
    for (passwd, words) in [
        (
            Tar::new().link("etc/passwd", "../../../../../../etc/passwd"),
            "the user root is not in /etc/passwd",
        ),
        (Tar::new().link("etc/passwd", "/proc/self/root/etc/passwd"), "the user root is not in /etc/passwd"),
        (Tar::new().link("etc/passwd", "passwd"), "the user root is not in /etc/passwd"),
        (Tar::new().member(FIFO, "etc/passwd", "", b""), "the user root is not in /etc/passwd"),
        (Tar::new().member(CHAR_DEVICE, "etc/passwd", "", b""), "the user root is not in /etc/passwd"),
        (Tar::new().member(FILE, "etc/passwd", "", &long), "has 20971520 bytes, more than 8388608"),
    ] {
        let evil = image(&yard.store, &[Layer::of(&passwd.end())]);
        let error = yard.with(&evil, "FROM evil\nCOPY --chown=root a.txt /\n").await.expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    let inside = Tar::new().link("etc/passwd", "/../../users").file("users", "root:x:7:8::/:/bin/sh\n").end();
    let evil = image(&yard.store, &[Layer::of(&inside)]);
    let made = yard.with(&evil, "FROM evil\nCOPY --chown=root a.txt /\n").await.expect("a link inside");
    assert_eq!(yard.top(&made).last().map(|member| (member.uid, member.gid)), Some((7, 8)));
}
