//! The same tricks where an ordinary user builds, who may do less and has more to lose.

use std::{fs, os::unix::process::CommandExt as _, process::Command};

use polyarch::oci::Store;

use super::layers::tricks;
use crate::{
    cli::ordinary_user,
    support::{
        buildah::{left_behind, run},
        command::{Desk, Ended, is_root},
        images::{Layer, Tar, image},
        tools::require,
    },
};

#[test]
fn no_chain_of_layers_reaches_a_file_of_the_user_who_builds() {
    if !is_root() || !require("newuidmap") {
        return;
    }
    let Some((user, group)) = ordinary_user() else { return };
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\n");
    fs::copy("/bin/busybox", desk.path("app/busybox")).expect("busybox");
    let program = desk.path("polyarch");
    fs::copy(env!("CARGO_BIN_EXE_polyarch"), &program).expect("copied");
    let outside = desk.path("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("victim"), "untouched").expect("written");
    let text = outside.to_str().expect("text").to_owned();
    let layout = Store::open(desk.path("layout")).expect("a store");
    let evil: Vec<_> = tricks(&text)
        .into_iter()
        .map(|trick| {
            let layers: Vec<Layer> = trick.into_iter().map(|tar| Layer::of(&Tar::end(tar))).collect();
            image(&layout, &layers)
        })
        .collect();
    fs::write(desk.path("layout/index.json"), "{\"schemaVersion\":2,\"manifests\":[]}").expect("written");
    run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(desk.path(".")));
    let mut ran = 0;
    for (number, evil) in evil.iter().enumerate() {
        let script = format!("/busybox cat {text}/victim; echo gone > {text}/victim; echo; echo r''an");
        let dockerfile = format!(
            "FROM evil AS run\nCOPY busybox /busybox\nRUN [\"/busybox\", \"sh\", \"-c\", \"{script}\"]\n\
             FROM run AS copy\nCOPY --from=evil / /all/\nCOPY a.txt {text}/\n"
        );
        fs::write(desk.path("app/Dockerfile"), dockerfile).expect("written");
        let evil = format!("evil=oci-layout://{}@{}", layout.root().display(), evil.digest);
        for target in ["run", "copy"] {
            let build = ["build", "--progress", "plain", "--backend", "sandbox", "--target", target];
            let options = ["--build-context", &evil, &context];
            let mut command = desk.command_of(&program, build.iter().chain(&options));
            let ended = Ended::of(command.uid(user).gid(group));
            assert!(ended.code == Some(0) || number == 10, "{number} {}", ended.stderr);
            assert!(!ended.stderr.contains("untouched"), "{number} {}", ended.stderr);
            ran += usize::from(ended.stderr.contains(" ran\n"));
            let there: Vec<_> = fs::read_dir(&outside).expect("list").flatten().collect();
            assert_eq!(there.len(), 1, "{number} {there:?}");
            let victim = fs::read_to_string(outside.join("victim")).expect("there");
            assert_eq!(victim, "untouched", "{number}");
        }
    }
    assert!(ran >= tricks(&text).len() - 1, "only {ran} commands ran");
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}
