//! The command where Windows has no containers and no Linux.

use std::{fs, path::Path};

use crate::support::layouts::{Ended, polyarch, windows_base};

/// Puts a Dockerfile that runs nothing, and what it copies, into the folder `context`.
fn context(folder: &Path) {
    let context = folder.join("context");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("a.txt"), "a\n").expect("a file");
    let dockerfile = "FROM scratch AS linux\nFROM base AS windows\nFROM ${TARGETOS}\nCOPY a.txt /app/\n";
    fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
    windows_base(&folder.join("base"));
}

fn run(folder: &Path, arguments: &[&str]) -> Ended {
    // No state: the service for containers is one that is switched off.
    polyarch(folder).args(arguments).output().expect("the program").into()
}

#[test]
fn what_is_not_there_is_said_with_what_to_enable() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = run(folder.path(), &["backends", "--store", "store"]).ok();
    assert!(said.contains("No RUN works here, because the service for containers is not there"), "{said}");
    assert!(said.contains("buildah-wsl: not usable: it finds WSL not installed"), "{said}");
    assert!(said.contains("-FeatureName Containers") && said.contains("wsl --install"), "{said}");
}

#[test]
fn paths_are_taken_as_windows_writes_them() {
    let folder = tempfile::tempdir().expect("a folder");
    context(folder.path());
    // Every path has a drive letter and backslashes, and no working directory helps.
    let path = |name: &str| {
        let path = std::path::absolute(folder.path().join(name)).expect("a path");
        path.to_str().expect("text").replace('/', r"\")
    };
    fs::create_dir(folder.path().join("elsewhere")).expect("a folder");
    let (store, file, context) = (path("store"), path(r"context\Dockerfile"), path("context"));
    assert!(store.as_bytes()[1] == b':' && !store.contains('/'), "{store}");
    let base = format!("base=oci-layout://{}", path("base"));
    for (output, made) in [
        (format!("type=oci,dest={}", path("out.tar")), "out.tar"),
        (path("files"), r"files\windows_amd64\app\a.txt"),
    ] {
        let arguments =
            ["--store", &store, "--build-context", &base, "-f", &file, "--output", &output, &context];
        let mut command = polyarch(&folder.path().join("elsewhere"));
        command.args(["build", "--platform", "linux/amd64,windows/amd64"]).args(arguments);
        Ended::from(command.output().expect("the program")).ok();
        assert!(folder.path().join(made).is_file(), "{made}");
    }
    assert_eq!(fs::read_dir(folder.path().join("elsewhere")).expect("a folder").count(), 0);
}

#[test]
fn a_mistake_in_a_dockerfile_is_shown_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\r\nCOPPY a /\r\n").expect("a Dockerfile");
    let Ended { code, said } = run(folder.path(), &["build", "--store", "store", "."]);
    assert_eq!(code, Some(3), "{said}");
    let (line, marks) = said.split_once("COPPY a /\n").expect("the line");
    assert!(line.contains("did you mean COPY") || marks.contains("COPY") || line.contains("COPY"), "{said}");
    let caret = marks.lines().next().expect("a line below");
    assert!(caret.trim_start_matches([' ', '|', '│']).starts_with("^^^^^"), "{said}");
}
