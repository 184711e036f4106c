//! Repositories of a real git server, fetched into a store.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use polyarch::{
    fetch::{FetchError, FetchedTree, GitAccess, GitFault, GitSource, git},
    oci::Store,
    registry::TransferCx,
};
use polyarch_actors::{Fetching, SecretRef, SecretSource};

use crate::support::{
    buildah::helper,
    git::{GitServer, git as run_git},
    web::{LOGIN, Web},
};

pub(super) struct Scene {
    pub(super) server: GitServer,
    pub(super) store: Store,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(super) fn set() -> Option<Self> {
        let server = GitServer::start()?;
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        Some(Self { server, store, _folder: folder })
    }

    async fn fetch(&self, address: &str, keep: bool) -> Result<FetchedTree, FetchError> {
        let source = GitSource::parse(address).expect("an address").expect("a repository");
        let access = GitAccess { helper: Some(helper()), ..GitAccess::default() };
        git(&source, keep, &access, &self.store, &TransferCx::unwatched()).await
    }

    pub(super) async fn get(&self, rest: &str) -> FetchedTree {
        let address = self.server.url(rest);
        self.fetch(&address, false).await.unwrap_or_else(|error| panic!("{address}: {error}"))
    }
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("list").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn read(tree: &FetchedTree, name: &str) -> String {
    fs::read_to_string(tree.directory().join(name)).expect(name)
}

#[tokio::test]
async fn the_default_branch_comes_with_its_submodules_and_without_what_is_gits() {
    let Some(scene) = Scene::set() else { return };
    let tree = scene.get("app").await;
    assert_eq!(tree.commit(), scene.server.commit("main"));
    let expected = [".gitmodules", "Dockerfile", "link", "module", "outside", "run", "sub", "version"];
    assert_eq!(names(tree.directory()), expected);
    assert_eq!(names(&tree.directory().join("module")), ["inner.txt"]);
    let look = |name: &str| fs::symlink_metadata(tree.directory().join(name)).expect(name);
    assert_eq!((look("run").mode() & 0o7777, look("version").mode() & 0o7777), (0o755, 0o644));
    for name in ["version", "link", "sub", "sub/only.txt", "module/inner.txt", ""] {
        assert_eq!(look(name).mtime(), 1_000_000_000, "{name}");
    }
    let folder = tree.directory().to_owned();
    drop(tree);
    assert!(!folder.exists());
    let without = scene.get("app?submodules=false").await;
    assert_eq!(names(&without.directory().join("module")), [""; 0]);
}

#[tokio::test]
async fn branches_tags_and_commits_are_found_and_a_branch_wins() {
    let Some(scene) = Scene::set() else { return };
    let old = scene.server.commit("old");
    for (rest, version) in [
        ("app#old", "old"),
        ("app#v1", "old"),
        ("app#refs/tags/both", "old"),
        ("app#both", "new"),
        ("app?tag=both", "old"),
        ("app?branch=both", "new"),
        (&format!("app#{old}"), "old"),
        (&format!("app?ref=v1&commit={}", &old[..9]), "old"),
    ] {
        assert_eq!(read(&scene.get(rest).await, "version").trim(), version, "{rest}");
    }
    let tree = scene.get("app#main:sub").await;
    assert_eq!(names(tree.directory()), ["Dockerfile", "only.txt"]);
}

#[tokio::test]
async fn what_is_not_there_or_not_what_was_meant_is_said() {
    let Some(scene) = Scene::set() else { return };
    for (rest, words) in [
        ("app#none", "has no branch, tag or commit none"),
        ("app#deadbeef", "has no branch, tag or commit deadbeef"),
        ("app#main:none", "has no directory none"),
        ("app#main:outside", "has no directory outside"),
        ("app#main:version", "has no directory version"),
        ("app?ref=main&commit=0000000", "is not what was expected"),
        ("none", "/none: "),
        (&format!("app#{}", "0".repeat(40)), ""),
    ] {
        let error = scene.fetch(&scene.server.url(rest), false).await.expect_err(rest).to_string();
        assert!(error.contains(words), "{rest}: {error}");
    }
    let error = scene.fetch("git://127.0.0.1:1/app", false).await.expect_err("nobody there");
    assert!(matches!(error, FetchError::Git { fault: GitFault::Unreachable, .. }), "{error}");
    let tmp = fs::read_dir(scene.store.root().join("tmp")).expect("list").flatten().next().expect("a folder");
    assert_eq!(names(&tmp.path()), ["lock"], "a failed fetch leaves nothing");
}

#[tokio::test]
async fn a_repository_that_is_kept_works_and_tells_no_secret() {
    let Some(scene) = Scene::set() else { return };
    let tree = scene.fetch(&scene.server.url("app"), true).await.expect("fetched");
    assert_eq!(run_git(tree.directory(), &["rev-parse", "HEAD"]), scene.server.commit("main"));
    assert_eq!(
        run_git(tree.directory(), &["log", "--format=%s"]),
        "new",
        "no more of the history was fetched"
    );
    assert!(!tree.directory().join(".git/FETCH_HEAD").exists());
    assert!(!tree.directory().join(".git/hooks").exists());
}

#[tokio::test]
async fn a_server_that_gives_no_parts_gives_everything() {
    let Some(scene) = Scene::set() else { return };
    let web = Web::start();
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--bare"]).arg(scene.server.path("app")).arg(web.path("app.git"));
    crate::support::buildah::run(&mut clone);
    run_git(&web.path("app.git"), &["update-server-info"]);
    for (rest, version) in [("#v1", "old"), (&format!("#{}", scene.server.commit("old")), "old"), ("", "new")]
    {
        let address = web.url(&format!("app.git{rest}")).replace(".git#", ".git?submodules=0#");
        let address = if rest.is_empty() { format!("{address}?submodules=0") } else { address };
        let tree = scene.fetch(&address, false).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        assert_eq!(read(&tree, "version").trim(), version);
    }
    let error = scene.fetch(&web.url("secret-app.git"), false).await.expect_err("denied");
    assert!(matches!(error, FetchError::Git { fault: GitFault::Denied, .. }), "{error}");
}

#[tokio::test]
async fn credentials_open_a_repository_and_are_no_argument() {
    let Some(scene) = Scene::set() else { return };
    let web = Web::start();
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--bare"]).arg(scene.server.path("app")).arg(web.path("secret-app.git"));
    crate::support::buildah::run(&mut clone);
    run_git(&web.path("secret-app.git"), &["update-server-info"]);
    let address = web.url("secret-app.git?submodules=0&keep-git-dir");
    let login = address.replace("http://", &format!("http://{LOGIN}@"));
    let tree = scene.fetch(&login, false).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tree.commit(), scene.server.commit("main"));
    // What git is told by arguments it writes into its configuration.
    let config = fs::read_to_string(tree.directory().join(".git/config")).expect("read");
    assert!(config.contains("secret-app.git") && !config.contains("pass"), "{config}");

    let path = scene.store.root().join("tmp/header");
    fs::write(&path, "basic bWU6cGFzcw==\n").expect("written");
    let secret = SecretRef { id: "GIT_AUTH_HEADER".into(), source: SecretSource::File(path) };
    let source = GitSource::parse(&address).expect("an address").expect("a repository");
    let access = GitAccess { helper: Some(helper()), secrets: vec![secret], ..GitAccess::default() };
    git(&source, false, &access, &scene.store, &TransferCx::unwatched()).await.expect("fetched");
}

#[tokio::test]
async fn a_submodule_on_this_machine_is_refused() {
    let Some(scene) = Scene::set() else { return };
    let app = scene.server.path("app");
    let local = format!("file://{}", scene.server.path("module").display());
    run_git(&app, &["config", "--file", ".gitmodules", "submodule.module.url", &local]);
    run_git(&app, &["commit", "--quiet", "-am", "local"]);
    let error = scene.fetch(&scene.server.url("app"), false).await.expect_err("refused").to_string();
    assert!(error.contains("a submodule") && error.contains("not allowed"), "{error}");
}

#[tokio::test]
async fn builds_of_somebody_else_reach_no_repository_but_by_http_and_no_private_one() {
    let Some(scene) = Scene::set() else { return };
    let fetch = async |address: &str, fetching| {
        let source = GitSource::parse(address).expect("an address").expect("a repository");
        let access = GitAccess { helper: Some(helper()), fetching, ..GitAccess::default() };
        git(&source, false, &access, &scene.store, &TransferCx::unwatched()).await
    };
    for address in ["git@127.0.0.1:a.git", "ssh://git@127.0.0.1/a.git", "git://127.0.0.1/a.git"] {
        for fetching in [Fetching::Public, Fetching::Anywhere] {
            let error = fetch(address, fetching).await.expect_err("refused").to_string();
            assert!(error.contains("by https:// and http:// alone"), "{error}");
        }
    }
    let web = Web::start();
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--bare"]).arg(scene.server.path("app")).arg(web.path("app.git"));
    crate::support::buildah::run(&mut clone);
    run_git(&web.path("app.git"), &["update-server-info"]);
    let address = web.url("app.git?submodules=0");
    let (named, safe) = (address.replace("127.0.0.1", "localhost"), address.replace("http://", "https://"));
    for address in [&address, &named, &safe] {
        let error = fetch(address, Fetching::Public).await.expect_err("refused").to_string();
        assert!(error.contains("has no public address"), "{error}");
    }
    let tree = fetch(&address, Fetching::Anywhere).await.expect("fetched");
    assert_eq!(tree.commit(), scene.server.commit("main"));
}
