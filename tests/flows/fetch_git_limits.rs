//! Repositories that hold more than anybody could want, and submodules, which are counted before they are checked out.

use std::{fs, path::Path, process::Command, time::Instant};

use polyarch::{
    fetch::{FetchError, FetchedTree, GitAccess, GitSource, git},
    registry::TransferCx,
};
use polyarch_actors::Fetching;

use super::fetch_git::{Scene, names};
use crate::support::{
    buildah::{helper, run},
    git::{Leaf, git as run_git, make_bomb},
    web::{LOGIN, Web},
};

/// Puts a repository on a web server, in one pack.
fn publish(web: &Web, repository: &Path, name: &str) {
    let at = web.path(name);
    run(Command::new("git").args(["clone", "--quiet", "--bare"]).arg(repository).arg(&at));
    run_git(&at, &["repack", "-a", "-d", "-q"]);
    run_git(&at, &["update-server-info"]);
}

async fn fetch(scene: &Scene, address: &str) -> Result<FetchedTree, FetchError> {
    let source = GitSource::parse(address).expect("an address").expect("a repository");
    let access = GitAccess { helper: Some(helper()), fetching: Fetching::Anywhere, ..GitAccess::default() };
    git(&source, false, &access, &scene.store, &TransferCx::unwatched()).await
}

/// What is left in the store of what was fetched.
fn left(scene: &Scene) -> Vec<String> {
    let tmp = fs::read_dir(scene.store.root().join("tmp")).expect("list").flatten().next().expect("a folder");
    names(&tmp.path())
}

#[tokio::test]
async fn a_repository_of_a_few_kilobytes_that_holds_billions_of_files_is_refused() {
    let Some(scene) = Scene::set() else { return };
    let web = Web::start();
    for (name, leaf) in [("secret-files.git", Leaf::File), ("secret-directories.git", Leaf::Directory)] {
        let repository = scene.server.path(name);
        make_bomb(&repository, 10, leaf);
        publish(&web, &repository, name);
        let (begun, address) = (Instant::now(), web.url(name));
        let login = address.replace("http://", &format!("http://{LOGIN}@"));
        let error = fetch(&scene, &login).await.expect_err("too much");
        assert!(matches!(error, FetchError::TooMuch { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!(
                "{address} cannot be taken: with its submodules it has more than 1000000 files and directories"
            )
        );
        assert!(begun.elapsed().as_secs() < 60, "it was looked through to the end");
        assert_eq!(left(&scene), ["lock"], "a refused repository leaves nothing");
    }
}

#[tokio::test]
async fn a_submodule_counts_with_the_repository_before_it_is_checked_out() {
    let Some(scene) = Scene::set() else { return };
    let web = Web::start();
    let bomb = scene.server.path("bomb");
    make_bomb(&bomb, 10, Leaf::File);
    publish(&web, &bomb, "bomb.git");
    let commit = run_git(&bomb, &["rev-parse", "main"]);
    let app = scene.server.path("app");
    run_git(&app, &["rm", "--quiet", "-f", "module"]);
    let text = format!("[submodule \"a.b c\"]\n\tpath = x/y z\n\turl = {}\n", web.url("bomb.git"));
    fs::write(app.join(".gitmodules"), text).expect("written");
    run_git(&app, &["add", ".gitmodules"]);
    run_git(&app, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},x/y z")]);
    run_git(&app, &["commit", "--quiet", "-m", "bomb"]);
    publish(&web, &app, "app.git");
    let error = fetch(&scene, &web.url("app.git")).await.expect_err("too much");
    assert!(matches!(error, FetchError::TooMuch { limit: 1_000_000, .. }), "{error}");
    assert!(error.to_string().starts_with(&web.url("app.git")), "{error}");
    fetch(&scene, &web.url("app.git?submodules=0")).await.expect("nothing is wrong with itself");
}

#[tokio::test]
async fn submodules_of_submodules_come_and_those_that_are_left_alone_do_not() {
    let Some(scene) = Scene::set() else { return };
    let outer = scene.server.path("outer");
    fs::create_dir(&outer).expect("made");
    run_git(&outer, &["init", "--quiet", "--initial-branch=main"]);
    run_git(&outer, &["submodule", "--quiet", "add", "../app", "deep er/app"]);
    run_git(&outer, &["submodule", "--quiet", "add", "../module", "alone"]);
    run_git(&outer, &["config", "--file", ".gitmodules", "submodule.alone.update", "none"]);
    run_git(&outer, &["config", "--file", ".gitmodules", "submodule.deep er/app.update", "rebase"]);
    run_git(&outer, &["add", "."]);
    run_git(&outer, &["commit", "--quiet", "-m", "outer"]);
    let tree = scene.get("outer").await;
    let folder = tree.directory();
    assert_eq!(names(folder), [".gitmodules", "alone", "deep er"]);
    assert_eq!(names(&folder.join("alone")), [""; 0]);
    assert_eq!(names(&folder.join("deep er/app/module")), ["inner.txt"]);
    assert_eq!(fs::read_to_string(folder.join("deep er/app/version")).expect("read"), "new\n");
}
