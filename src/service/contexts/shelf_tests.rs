//! What is kept, for how long, and how much of it.

use std::io::Write as _;

use super::*;

const KEPT: Duration = Duration::from_hours(1);

fn shelf() -> (tempfile::TempDir, Shelf, TenantName) {
    let folder = tempfile::tempdir().expect("a folder");
    let shelf = Shelf::open(folder.path(), KEPT).expect("a shelf");
    (folder, shelf, "web".parse().expect("a name"))
}

fn arrive(shelf: &Shelf, tenant: &TenantName, bytes: &[u8], most: u64) -> Option<(Digest, Kept)> {
    let mut arriving = shelf.begin(tenant).expect("a draft");
    if !arriving.reserve(bytes.len() as u64, most) {
        return None;
    }
    arriving.file().expect("a file").write_all(bytes).expect("written");
    let digest = crate::oci::digest_of(bytes);
    let kept = arriving.keep(&digest).expect("kept");
    Some((digest, kept))
}

#[tokio::test]
async fn an_archive_is_kept_once_and_only_for_its_tenant() {
    let (_folder, shelf, web) = shelf();
    let other: TenantName = "other".parse().expect("a name");
    let (digest, kept) = arrive(&shelf, &web, b"abc", 5).expect("room");
    assert!(!kept.was_there);
    let (_, again) = arrive(&shelf, &web, b"abc", 6).expect("room");
    assert!(again.was_there);
    assert!(arrive(&shelf, &web, b"def", 5).is_none(), "the room counts");
    assert!(arrive(&shelf, &web, b"de", 5).is_some(), "what was refused or known takes no room");
    assert!(arrive(&shelf, &other, b"def", 5).is_some(), "each has room of its own");
    let path = shelf.take(&web, &digest).await.expect("taken").expect("there");
    assert_eq!(fs::read(path).expect("readable"), b"abc");
    assert!(shelf.take(&other, &digest).await.expect("looked").is_none());
}

#[tokio::test]
async fn what_nobody_uses_goes_after_a_while_and_gives_its_room_back() {
    let (folder, shelf, web) = shelf();
    let (used, _) = arrive(&shelf, &web, b"used", 8).expect("room");
    let (idle, _) = arrive(&shelf, &web, b"idle", 8).expect("room");
    let in_use = BTreeSet::from([shelf.take(&web, &used).await.expect("taken").expect("there")]);
    assert_eq!(shelf.sweep(&in_use, SystemTime::now()).expect("swept"), 0, "both are new");
    let later = SystemTime::now() + KEPT + Duration::from_secs(1);
    assert_eq!(shelf.sweep(&in_use, later).expect("swept"), 1);
    assert!(shelf.take(&web, &idle).await.expect("looked").is_none());
    assert!(shelf.take(&web, &used).await.expect("looked").is_some());
    assert!(arrive(&shelf, &web, b"more", 8).is_some());
    fs::write(folder.path().join("contexts/web/.draft-x"), "half").expect("written");
    let again = Shelf::open(folder.path(), KEPT).expect("opened");
    assert!(!folder.path().join("contexts/web/.draft-x").exists(), "drafts of a process that ended go");
    assert!(arrive(&again, &web, b"x", 8).is_none(), "what is there counts after a restart");
}

#[test]
fn an_archive_that_comes_several_times_at_once_takes_room_once() {
    const SENDERS: usize = 4;
    let (_folder, shelf, web) = shelf();
    for round in 0..20_u8 {
        let bytes = [round; 1000];
        let digest = crate::oci::digest_of(&bytes);
        let together = std::sync::Barrier::new(SENDERS);
        let send = || {
            let mut arriving = shelf.begin(&web).expect("a draft");
            assert!(arriving.reserve(1000, u64::MAX));
            arriving.file().expect("a file").write_all(&bytes).expect("written");
            together.wait();
            arriving.keep(&digest).expect("kept").was_there
        };
        let there = std::thread::scope(|scope| {
            let senders = [(); SENDERS].map(|()| scope.spawn(send));
            senders.map(|sender| sender.join().expect("no panic"))
        });
        assert_eq!(there.iter().filter(|there| !**there).count(), 1, "one was the first");
        assert_eq!(shelf.used()[&web], (u64::from(round) + 1) * 1000);
    }
}

#[tokio::test]
async fn what_others_put_there_keeps_nothing_from_beginning_or_going() {
    let (folder, shelf, web) = shelf();
    let contexts = folder.path().join("contexts");
    let (digest, _) = arrive(&shelf, &web, b"abc", 5).expect("room");
    fs::write(contexts.join("readme"), "no folder").expect("written");
    for name in [".draft-folder", "a-folder", "z-folder"] {
        fs::create_dir_all(contexts.join("web").join(name).join("x")).expect("made");
    }
    let shelf = Shelf::open(folder.path(), KEPT).expect("it begins");
    assert!(arrive(&shelf, &web, b"def", 5).is_none(), "what is there counts");
    let later = SystemTime::now() + KEPT + Duration::from_secs(1);
    assert_eq!(shelf.sweep(&BTreeSet::new(), later).expect("swept"), 1);
    assert!(shelf.take(&web, &digest).await.expect("looked").is_none());
}
