//! Files of a web server, fetched into a store.

use std::{
    fs,
    time::{Duration, UNIX_EPOCH},
};

use polyarch::{
    fetch::{FetchError, http},
    oci::{Store, digest_of},
    registry::{RegistryError, RetryLimits, TransferCx},
};
use polyarch_actors::{Fetching, SecretRef, SecretSource};
use tokio_util::sync::CancellationToken;

use crate::support::web::{LOGIN, TOKEN, Web};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    (folder, store)
}

/// Temporary files in a store, beside the lock of this process.
fn scratch(store: &Store) -> usize {
    let folders = fs::read_dir(store.root().join("tmp")).expect("list").flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).expect("list").flatten());
    files.filter(|file| file.file_name() != "lock").count()
}

#[tokio::test]
async fn what_has_not_changed_is_not_fetched_again() {
    let ((_folder, store), web, cx) = (store(), Web::start(), TransferCx::unwatched());
    let url = web.put("a.txt", "one");
    let first = http(&url, None, &[], Fetching::Own, &store, &cx).await.expect("fetched");
    assert_eq!((first.name.as_str(), first.size), ("a.txt", 3));
    assert_eq!(first.modified, Some(UNIX_EPOCH + Duration::from_secs(784_111_777)));
    assert_eq!(fs::read(store.blob_path(&first.digest)).expect("read"), b"one");
    assert_eq!(http(&url, None, &[], Fetching::Own, &store, &cx).await.expect("unchanged"), first);
    assert_eq!(web.asked(), ["200 a.txt", "304 a.txt"]);

    web.put("a.txt", "two");
    let second = http(&url, None, &[], Fetching::Own, &store, &cx).await.expect("fetched");
    assert_eq!(second.digest, digest_of(b"two"));
    // A file that is gone from the store is fetched, whatever the server calls it.
    fs::remove_file(store.blob_path(&second.digest)).expect("removed");
    assert_eq!(http(&url, None, &[], Fetching::Own, &store, &cx).await.expect("fetched"), second);
    assert_eq!(web.asked(), ["200 a.txt", "200 a.txt"]);
    assert_eq!(scratch(&store), 0);
}

#[tokio::test]
async fn another_file_than_the_checksum_says_never_enters() {
    let ((_folder, store), web, cx) = (store(), Web::start(), TransferCx::unwatched());
    let url = web.put("a", "abc");
    let wrong = format!("sha256:{}", "0".repeat(64)).parse().expect("a checksum");
    let error = http(&url, Some(&wrong), &[], Fetching::Own, &store, &cx).await.expect_err("another file");
    assert!(
        matches!(&error, FetchError::Checksum { found, .. } if found.starts_with("sha256:ba7816bf")),
        "{error}"
    );
    assert!(!store.contains(&digest_of(b"abc")));
    let sha384 = "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                  8086072ba1e7cc2358baeca134c825a7";
    http(&url, Some(&sha384.parse().expect("a checksum")), &[], Fetching::Own, &store, &cx)
        .await
        .expect("the same file");
    web.asked();
    // What is known to be the right file needs no server.
    let right = digest_of(b"abc").to_string().parse().expect("a checksum");
    fs::remove_file(web.path("a")).expect("removed");
    http(&url, Some(&right), &[], Fetching::Own, &store, &cx).await.expect("known");
    assert_eq!(web.asked(), [""; 0]);
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let ((_folder, store), web, cx) = (store(), Web::start(), TransferCx::unwatched());
    let url = web.put("busy-a", "a");
    http(&url, None, &[], Fetching::Own, &store, &cx).await.expect("fetched");
    assert_eq!(web.asked(), ["503 busy-a", "200 busy-a"]);
    let missing = http(&web.url("none?token=hidden"), None, &[], Fetching::Own, &store, &cx)
        .await
        .expect_err("missing");
    assert!(matches!(missing, FetchError::Server(RegistryError::NotFound { .. })), "{missing}");
    assert!(missing.to_string().contains("/none was not found") && !missing.to_string().contains("hidden"));
    let secret = http(&web.url("secret-a"), None, &[], Fetching::Own, &store, &cx).await.expect_err("denied");
    assert!(matches!(secret, FetchError::Server(RegistryError::Denied { .. })), "{secret}");
    assert_eq!(web.asked(), ["404 none", "401 secret-a"]);
    let login = web.put("secret-a", "a").replace("http://", &format!("http://{LOGIN}@"));
    http(&login, None, &[], Fetching::Own, &store, &cx).await.expect("its credentials");
    for url in ["file:///etc/passwd", "nonsense"] {
        assert!(
            matches!(http(url, None, &[], Fetching::Own, &store, &cx).await, Err(FetchError::Url { .. })),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_cancelled_download_leaves_nothing() {
    let ((_folder, store), web) = (store(), Web::start());
    let cancel = CancellationToken::new();
    let cx = TransferCx::new(cancel.clone(), RetryLimits::default(), |_| {});
    let url = web.put("slow-a", "x");
    let cancelling = async {
        while scratch(&store) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    };
    let (end, ()) = tokio::join!(http(&url, None, &[], Fetching::Own, &store, &cx), cancelling);
    assert!(matches!(end, Err(FetchError::Server(RegistryError::Cancelled))));
    assert_eq!(scratch(&store), 0);
    assert_eq!(fs::read_dir(store.root().join("blobs/sha256")).expect("list").count(), 0);
}

#[tokio::test]
async fn a_secret_for_the_host_tells_the_server_who_asks_and_is_never_shown() {
    let ((folder, store), web, cx) = (store(), Web::start(), TransferCx::unwatched());
    let url = web.put("secret-a", "a");
    let secret = |id: &str, text: &str| {
        let path = folder.path().join(id);
        fs::write(&path, text).expect("written");
        SecretRef { id: id.into(), source: SecretSource::File(path) }
    };
    let other = [secret("HTTP_AUTH_TOKEN_localhost", TOKEN)];
    http(&url, None, &other, Fetching::Own, &store, &cx).await.expect_err("it is for another host");
    let wrong = [secret("HTTP_AUTH_HEADER_127.0.0.1", "Bearer wr0ng")];
    let error = http(&url, None, &wrong, Fetching::Own, &store, &cx).await.expect_err("a wrong token");
    assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");
    let right = [secret("HTTP_AUTH_TOKEN_127.0.0.1", TOKEN)];
    http(&url, None, &right, Fetching::Own, &store, &cx).await.expect("who may");
    // It goes before what the address says.
    let address = url.replace("http://", "http://me:wrong@");
    http(&address, None, &right, Fetching::Own, &store, &cx).await.expect("who may");
    assert_eq!(web.asked(), ["401 secret-a", "401 secret-a", "200 secret-a", "200 secret-a"]);
}

#[tokio::test]
async fn builds_of_somebody_else_fetch_from_no_private_address() {
    let (_folder, store) = store();
    let web = Web::start();
    let cx = TransferCx::unwatched();
    let own = web.put("a.txt", "one");
    let named = own.replace("127.0.0.1", "localhost");
    let begun = std::time::Instant::now();
    for url in [&own, &named, &own.replace("http://", "https://"), "http://169.254.169.254/latest/meta-data/"]
    {
        let error = http(url, None, &[], Fetching::Public, &store, &cx).await.expect_err("refused");
        assert!(matches!(error, FetchError::NotPublic { .. }), "{url}: {error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "it is tried again");
    http(&own, None, &[], Fetching::Anywhere, &store, &cx).await.expect("fetched");
}
