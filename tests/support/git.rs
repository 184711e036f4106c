//! Real git repositories, and a real git server on a loopback port.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{buildah::run, tools::require};

/// Repositories below one folder, served by `git daemon` until this is dropped.
///
/// `app` has the branches `main` (a Dockerfile, a script, a symbolic link, the folder `sub` and the submodule
/// `module`) and `old`, the annotated tag `v1` on `old`, and the tag `both` beside a branch of that name.
pub(crate) struct GitServer {
    folder: tempfile::TempDir,
    address: String,
    daemon: Child,
}

impl Drop for GitServer {
    fn drop(&mut self) {
        // The daemon proper is a child of the `git` that was started, and ends with its group.
        let _ = Command::new("kill").args(["--", &format!("-{}", self.daemon.id())]).status();
        let _ = self.daemon.wait();
    }
}

impl GitServer {
    /// A server, or nothing where git is not here.
    pub(crate) fn start() -> Option<Self> {
        if !require("git") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        make_repositories(folder.path());
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let mut command = Command::new("git");
        command.args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", folder.path().display()));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let daemon = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("git daemon");
        let address = format!("127.0.0.1:{port}");
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "git daemon does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { folder, address, daemon })
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("git://{}/{rest}", self.address)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The digest of the commit that `name` is in `app`.
    pub(crate) fn commit(&self, name: &str) -> String {
        git(&self.path("app"), &["rev-parse", &format!("{name}^{{commit}}")])
    }
}

/// Makes a repository of a few KB that holds `levels` levels of ten directories, and in each of the last ones ten times
/// what `leaf` says: a file, or an empty directory.
pub(crate) fn make_bomb(repository: &Path, levels: usize, leaf: Leaf) {
    fs::create_dir(repository).expect("made");
    git(repository, &["init", "--quiet", "--initial-branch=main"]);
    let mut inner = match leaf {
        Leaf::File => {
            fs::write(repository.join("file"), "x\n").expect("written");
            format!("100644 blob {}", git(repository, &["hash-object", "-w", "file"]))
        }
        Leaf::Directory => format!("040000 tree {}", make_tree(repository, "")),
    };
    for _ in 0..levels {
        let entries: Vec<String> = (0..10).map(|number| format!("{inner}\t{number}\n")).collect();
        inner = format!("040000 tree {}", make_tree(repository, &entries.concat()));
    }
    let tree = inner.rsplit(' ').next().expect("its digest");
    let commit = git(repository, &["commit-tree", "-m", "bomb", tree]);
    git(repository, &["update-ref", "refs/heads/main", &commit]);
}

/// What is at the bottom of a repository that holds itself again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf {
    File,
    Directory,
}

/// The digest of a directory with these entries, as `git ls-tree` lists them.
fn make_tree(repository: &Path, entries: &str) -> String {
    let list = repository.join(".git/entries");
    fs::write(&list, entries).expect("written");
    let mut command = Command::new("git");
    command.current_dir(repository).arg("mktree").stdin(fs::File::open(list).expect("opened"));
    run(&mut command).trim().to_owned()
}

/// Runs git in a repository, as nobody in particular and always at the same time.
pub(crate) fn git(repository: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(repository).args(["-c", "protocol.file.allow=always"]).args(arguments);
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ("GIT_AUTHOR_DATE", "1000000000 +0000"),
        ("GIT_COMMITTER_DATE", "1000000000 +0000"),
    ] {
        command.env(name, value);
    }
    run(&mut command).trim().to_owned()
}

fn make_repositories(folder: &Path) {
    let [app, module] = ["app", "module"].map(|name| folder.join(name));
    for repository in [&app, &module] {
        fs::create_dir(repository).expect("made");
        git(repository, &["init", "--quiet", "--initial-branch=main"]);
    }
    fs::write(module.join("inner.txt"), "inner\n").expect("written");
    git(&module, &["add", "."]);
    git(&module, &["commit", "--quiet", "-m", "one"]);

    fs::write(app.join("Dockerfile"), "FROM scratch\nCOPY . /\n").expect("written");
    fs::write(app.join("version"), "old\n").expect("written");
    git(&app, &["add", "."]);
    git(&app, &["commit", "--quiet", "-m", "old"]);
    git(&app, &["branch", "old"]);
    git(&app, &["tag", "-a", "-m", "one", "v1"]);
    git(&app, &["tag", "both"]);

    fs::write(app.join("version"), "new\n").expect("written");
    fs::write(app.join("run"), "#!/bin/sh\n").expect("written");
    fs::set_permissions(app.join("run"), fs::Permissions::from_mode(0o700)).expect("changed");
    symlink("version", app.join("link")).expect("linked");
    symlink("/etc", app.join("outside")).expect("linked");
    fs::create_dir(app.join("sub")).expect("made");
    fs::write(app.join("sub/Dockerfile"), "FROM scratch\nCOPY only.txt /\n").expect("written");
    fs::write(app.join("sub/only.txt"), "only\n").expect("written");
    git(&app, &["submodule", "--quiet", "add", "../module", "module"]);
    git(&app, &["add", "."]);
    git(&app, &["commit", "--quiet", "-m", "new"]);
    git(&app, &["branch", "both"]);
}
