//! What the kernel of a real Mac makes of profiles.

use super::{
    super::super::evaluator::{Evaluator, Target},
    *,
};

/// How a program ends in the sandbox of the system.
async fn confined(scene: &Scene, script: &str, network: bool) -> Ended {
    let confined = Confined { network, ..scene.shell(script) };
    let mut output = |_: Stream, bytes: &[u8]| print(bytes);
    let ended = Seatbelt::default().run(&confined, &mut output, &CancellationToken::new()).await;
    ended.expect("it ended")
}

fn print(bytes: &[u8]) {
    let _ = io::Write::write_all(&mut io::stderr(), bytes);
}

#[tokio::test]
#[ignore = "needs macOS"]
async fn the_kernel_takes_the_profile_and_keeps_to_it() {
    for (script, is_allowed) in [
        ("echo a > a && cat a && echo b > \"$TMPDIR/b\"", true),
        ("cat /etc/hosts > /dev/null", true),
        ("ls ../home", false),
        ("ls /Users", false),
        ("echo a > /private/tmp/polyarch-denied", false),
        ("/usr/bin/nc -z -w 5 1.1.1.1 443", false),
        ("kill -0 1", false),
    ] {
        let ended = confined(&Scene::new(), script, false).await;
        assert_eq!(ended == Ended::Code(0), is_allowed, "{script}: {ended:?}");
    }
}

#[tokio::test]
#[ignore = "needs macOS"]
async fn the_kernel_judges_paths_as_the_reader_of_profiles_does() {
    let scene = Scene::new();
    let place = |name: &str| fs::canonicalize(scene.folder.path().join(name)).expect("a path");
    let (root, home) = (place("root"), place("home"));
    for folder in [&root, &home] {
        fs::write(folder.join("file"), "x").expect("written");
    }
    // A folder of its own stands for the temporary one, which is new for each program.
    let profile = Profile::new(&root, &root, &home, false).expect("a profile");
    let parameters: Vec<String> =
        profile.parameters().iter().map(|text| text.to_string_lossy().into_owned()).collect();
    let evaluator = Evaluator::new(&profile.text(), &parameters);
    let in_place = |folder: &Path, name: &str| folder.join(name).to_str().expect("text").to_owned();
    for path in [
        in_place(&root, "file"),
        in_place(&home, "file"),
        "/private/etc/hosts".into(),
        "/bin/sh".into(),
        "/usr/lib/dyld".into(),
        "/Library/Keychains/System.keychain".into(),
    ] {
        for (operation, test) in [
            ("file-read-data", format!("head -c 1 '{path}' > /dev/null")),
            ("file-read-metadata", format!("stat -f %i '{path}' > /dev/null")),
        ] {
            // What nobody may read says nothing about profiles.
            let open = std::process::Command::new("/bin/sh").args(["-c", &test]).status().expect("a shell");
            if !open.success() {
                continue;
            }
            let ended = confined(&scene, &test, false).await;
            let is_allowed = evaluator.allows(operation, Target::Path(&path));
            assert_eq!(ended == Ended::Code(0), is_allowed, "{operation} {path}: {ended:?}");
        }
    }
    for path in [in_place(&root, "new"), in_place(&home, "new"), "/private/tmp/polyarch-new".into()] {
        let ended = confined(&scene, &format!("echo x > '{path}'"), false).await;
        let is_allowed = evaluator.allows("file-write-create", Target::Path(&path));
        assert_eq!(ended == Ended::Code(0), is_allowed, "{path}: {ended:?}");
        assert_eq!(Path::new(&path).exists(), is_allowed, "{path}");
    }
}

#[tokio::test]
#[ignore = "needs macOS"]
async fn a_program_that_is_cancelled_in_the_sandbox_leaves_no_process() {
    let scene = Scene::new();
    let (confined, cancel) = (scene.shell(&format!("{LEAVES} wait")), CancellationToken::new());
    let mut output = |_: Stream, bytes: &[u8]| print(bytes);
    let (sandbox, cancelled) = (Seatbelt::default(), async {
        let numbers = numbers(&scene).await;
        assert!(numbers.iter().all(|number| runs(*number)));
        cancel.cancel();
        numbers
    });
    let (ended, numbers) = tokio::join!(sandbox.run(&confined, &mut output, &cancel), cancelled);
    assert!(matches!(ended, Err(SeatbeltError::Cancelled)), "{ended:?}");
    assert!(numbers.into_iter().all(|number| !runs(number)));
    assert!(!Path::new(scene.read("root/place").trim()).exists());
}

#[tokio::test]
#[ignore = "needs macOS and a network"]
async fn names_are_resolved_where_the_network_was_asked_for() {
    let script = "/usr/bin/curl -sSo /dev/null https://www.apple.com";
    assert_eq!(confined(&Scene::new(), script, true).await, Ended::Code(0));
    assert_ne!(confined(&Scene::new(), script, false).await, Ended::Code(0));
}
