//! What is left of systems and processes when they end, and when those end who made them.

use std::{
    fs,
    time::{Duration, Instant},
};

use polyarch::backend::hcs::HcsApi as _;

use super::scene::{Scene, alone, command, document, part, run};

/// The document of a process that lives until somebody ends it, with a child that does as well.
fn endless() -> serde_json::Value {
    let program = std::env::current_exe().expect("this program");
    let sleeper = concat!(module_path!(), "::sleeper").split_once("::").expect("a name").1;
    // The state is not for it: it only sleeps.
    command(&format!("echo up& \"{}\" --exact {sleeper} --ignored", program.display()))
}

#[test]
#[ignore = "is what other tests start to have something that does not end"]
fn sleeper() {
    // Only in a container is there such a variable.
    if std::env::var_os("GIVEN").is_some() {
        std::thread::sleep(Duration::from_mins(5));
    }
}

fn is_up(stdout: &mut dyn std::io::Read) {
    let mut first = [0; 2];
    stdout.read_exact(&mut first).expect("a first word");
    assert_eq!(&first, b"up");
}

#[test]
fn terminating_a_system_ends_its_processes_and_their_pipes() {
    alone(concat!(module_path!(), "::terminating_a_system_ends_its_processes_and_their_pipes"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let system = scene.running("one", &volume, &below);
        let mut started = system.create_process(&endless().to_string()).expect("a process");
        is_up(&mut started.stdout);
        assert!(scene.left().iter().any(|line| line.starts_with("process ")), "{:?}", scene.left());
        system.terminate().expect("an end");
        // Both return, because everything that had the pipe is gone.
        let rest = std::io::read_to_string(&mut started.stdout).expect("the rest");
        assert_eq!(rest, "\r\n");
        let status = started.process.wait().expect("a status");
        assert!(status.contains(r#""Exited":true"#), "{status}");
        assert_eq!(scene.left(), ["scratch scratch", "active scratch", "prepared scratch"]);
        // Both are no error the second time.
        assert_eq!(system.terminate(), Ok(()));
        assert_eq!(started.process.terminate(), Ok(()));
        drop(system);
        scene.destroy(&layer);
    });
}

#[test]
fn a_system_that_is_shut_down_has_ended() {
    alone(concat!(module_path!(), "::a_system_that_is_shut_down_has_ended"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let system = scene.running("one", &volume, &below);
        system.shut_down().expect("an end");
        assert_eq!(scene.api.systems("polyarch"), Ok(Vec::new()));
        assert_eq!(system.shut_down(), Ok(()));
        drop(system);
        scene.destroy(&layer);
    });
}

#[test]
fn a_process_is_killed_without_its_system() {
    alone(concat!(module_path!(), "::a_process_is_killed_without_its_system"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let system = scene.running("one", &volume, &below);
        let mut started = system.create_process(&endless().to_string()).expect("a process");
        is_up(&mut started.stdout);
        let process = started.process;
        let begun = Instant::now();
        std::thread::scope(|threads| {
            let waiter = threads.spawn(|| process.wait());
            process.terminate().expect("an end");
            let status = waiter.join().expect("a waiter").expect("a status");
            assert!(status.contains(r#""ExitCode":1"#), "{status}");
        });
        // Sooner than who is told nothing looks again.
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        // The child of the process goes with the system.
        let ended = run(&*system, &command("echo alive")).expect("a process");
        assert_eq!(ended.stdout, "alive\r\n");
        drop(system);
        scene.destroy(&layer);
    });
}

#[test]
fn a_system_ends_with_its_last_handle() {
    alone(concat!(module_path!(), "::a_system_ends_with_its_last_handle"), |scene| {
        let below = [scene.base("base")];
        let (layer, volume) = scene.prepared("scratch", &below);
        let system = scene.running("one", &volume, &below);
        let second = scene.api.open_system("one").expect("a handle");
        drop(system);
        assert_eq!(scene.api.systems("polyarch"), Ok(vec!["one".to_owned()]));
        let mut started = second.create_process(&endless().to_string()).expect("a process");
        is_up(&mut started.stdout);
        drop(second);
        assert_eq!(scene.api.systems("polyarch"), Ok(Vec::new()));
        std::io::read_to_string(&mut started.stdout).expect("the rest");
        assert_eq!(scene.api.open_system("one").map(drop).map_err(|error| error.code), Err(0x8037_010E));
        scene.destroy(&layer);
    });
}

#[test]
#[ignore = "is what another test starts to have something that dies"]
fn dies_with_a_running_system() {
    part(|scene| {
        let below = [scene.base("base")];
        let (_, volume) = scene.prepared("scratch", &below);
        let system = scene.running("one", &volume, &below);
        let mut kept = document(&volume, &below);
        kept["ShouldTerminateOnLastHandleClosed"] = false.into();
        let (_, other) = scene.prepared("other", &below);
        kept["Container"]["Storage"]["Path"] = other.into();
        let second = scene.api.create_system("two", &kept.to_string()).expect("a system");
        second.start().expect("a start");
        let mut started = system.create_process(&endless().to_string()).expect("a process");
        is_up(&mut started.stdout);
        std::process::abort();
    });
}

#[test]
fn what_a_process_leaves_that_dies_can_be_found_and_ended() {
    alone(
        concat!(module_path!(), "::what_a_process_leaves_that_dies_can_be_found_and_ended"),
        |scene: &Scene| {
            let died = scene.again(concat!(module_path!(), "::dies_with_a_running_system")).output();
            let died = died.expect("this program");
            assert!(!died.status.success(), "it died");
            assert!(
                fs::read_to_string(scene.state.join("left.txt"))
                    .is_ok_and(|left| left.contains("system one"))
            );

            // The one that ends with its last handle has ended with who had it; the other one has to be ended.
            assert_eq!(scene.api.systems("polyarch"), Ok(vec!["two".to_owned()]));
            let error = scene.api.unprepare_layer(&scene.folder.join("other")).expect_err("it is used");
            assert_eq!(error.code, 0x8007_0020);
            scene.api.open_system("two").expect("a handle").terminate().expect("an end");
            for layer in ["scratch", "other"] {
                scene.destroy(&scene.folder.join(layer));
            }
            assert_eq!(scene.left(), Vec::<String>::new());
        },
    );
}
