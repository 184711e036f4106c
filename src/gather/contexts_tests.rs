//! Contexts of those for whom a service builds.

use super::*;
use crate::error::with_sources;

async fn gathered(store: &Store, input: ContextInput, dockerfile: Option<&Path>) -> Result<Gathered, String> {
    let mut spec = BuildSpec::of(input);
    if let Some(path) = dockerfile {
        spec.dockerfile = DockerfileInput::Path(path.into());
    }
    let gathered = gather(&spec, store, None, &TransferCx::unwatched(), &|_| {}).await;
    gathered.map_err(|error| with_sources(&error))
}

fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).expect("written");
    builder.into_inner().expect("finished")
}

#[tokio::test]
async fn an_archive_of_this_machine_is_unpacked_for_one_build() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let file = folder.path().join("context");
    fs::write(&file, archive("d/Other", b"FROM scratch\n")).expect("written");
    let input = || ContextInput::Archive(file.clone());
    // A path in an archive is one there, whatever it looks like.
    for path in ["d/Other", "/d/Other"] {
        let gathered = gathered(&store, input(), Some(Path::new(path))).await.expect("gathered");
        assert_eq!(gathered.dockerfiles[0].text, "FROM scratch\n");
        assert!(!gathered.materials.complete, "nobody can tell later what was in it");
        let unpacked = gathered.context.folder().to_owned();
        assert!(unpacked.join("d/Other").is_file());
        drop(gathered);
        assert!(!unpacked.exists(), "it goes with the build");
    }
    let error = gathered(&store, input(), None).await.expect_err("no Dockerfile");
    assert!(error.contains("there is no Dockerfile at Dockerfile"), "{error}");
    fs::write(&file, &archive("a", &[7; 9000])[..4000]).expect("written");
    for error in [
        gathered(&store, input(), None).await.expect_err("cut off"),
        gathered(&store, ContextInput::Archive(folder.path().join("none")), None)
            .await
            .expect_err("not there"),
    ] {
        assert!(error.contains("the archive of the context"), "{error}");
        assert!(!error.contains(folder.path().to_str().expect("text")), "where it lies is not told: {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_leads_out_of_a_directory_that_somebody_else_names() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let store = Store::open(root.join("store")).expect("a store");
    for name in ["app", "other"] {
        fs::create_dir(root.join(name)).expect("made");
    }
    fs::write(root.join("other/secret"), "FROM secret\n").expect("written");
    let input = || ContextInput::Enclosed(root.join("app"));
    symlink(root.join("other/secret"), root.join("app/Dockerfile")).expect("linked");
    for path in [None, Some(root.join("other/secret")), Some("../other/secret".into())] {
        let error = gathered(&store, input(), path.as_deref()).await.expect_err("outside");
        assert!(error.contains("no Dockerfile"), "{error}");
    }
    fs::remove_file(root.join("app/Dockerfile")).expect("removed");
    fs::write(root.join("app/Dockerfile"), "FROM scratch\n").expect("written");
    let found = gathered(&store, input(), None).await.expect("gathered");
    assert_eq!(found.dockerfiles[0].text, "FROM scratch\n");
    assert_eq!(found.context, ContextSource::Enclosed(root.join("app")), "so it is opened from here on");
    let build = polyarch_actors::BuildId::generate();
    let prepared = crate::prepare::prepare(&found, &build).expect("prepared");
    assert_eq!(prepared.requests[0].context, found.context);
    fs::rename(root.join("app"), root.join("moved")).expect("moved");
    symlink("moved", root.join("app")).expect("linked");
    let error = gathered(&store, input(), None).await.expect_err("a link by now");
    assert!(error.contains("does not exist"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
    use std::{
        os::unix::fs::symlink,
        sync::atomic::{AtomicBool, Ordering},
    };
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().canonicalize().expect("a path");
    let store = Store::open(root.join("store")).expect("a store");
    for (name, text) in [("mine/app", "FROM mine\n"), ("other/app", "FROM secret\n")] {
        fs::create_dir_all(root.join(name)).expect("made");
        fs::write(root.join(name).join("Dockerfile"), text).expect("written");
    }
    let (mine, away) = (root.join("mine"), root.join("away"));
    let ended = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                fs::rename(&mine, &away).expect("moved");
                symlink("other", &mine).expect("linked");
                std::thread::yield_now();
                fs::remove_file(&mine).expect("removed");
                fs::rename(&away, &mine).expect("moved back");
                std::thread::yield_now();
            }
        });
        let open = || Context::open_exact(mine.join("app"), Ignore::default());
        let found: Vec<bool> =
            (0..2000).filter_map(|_| open().ok()).map(|context| holds(&context, "FROM secret")).collect();
        ended.store(true, Ordering::Relaxed);
        found
    });
    assert!(found.len() > 10, "it was opened {} times", found.len());
    assert!(!found.contains(&true), "somebody else's directory was read");
    let input = ContextInput::Enclosed(mine.join("app"));
    assert_eq!(gathered(&store, input, None).await.expect("gathered").dockerfiles[0].text, "FROM mine\n");
}

/// Whether the Dockerfile of an open context begins like this.
#[cfg(unix)]
fn holds(context: &Context, words: &str) -> bool {
    use std::io::Read as _;
    let entries =
        context.walk(&crate::context::RelPath::clean(b"Dockerfile")).expect("walked").unwrap_or_default();
    let Some(entry) = entries.first() else { return false };
    let mut text = String::new();
    context.reader().open(entry).expect("opened").read_to_string(&mut text).expect("read");
    text.starts_with(words)
}
