//! The texts are what buildah 1.28.2 wrote, with crun 1.8.1 and under chroot isolation.

use polyarch_actors::{BuildError, Fault};

use super::*;

fn platform() -> Platform {
    "linux/arm64".parse().expect("platform")
}

fn build(code: i32, stderr: &str) -> BuildError {
    limited_build(code, stderr, None, None)
}

fn limited_build(code: i32, stderr: &str, memory: Option<u64>, of_build: Option<u64>) -> BuildError {
    classify_build(&FailedBuild {
        exit: Exit { code: Some(code), signal: None },
        stderr,
        instruction: "RUN it",
        output: &["last words".to_owned()],
        platform: &platform(),
        memory,
        of_build,
        storage: "/store",
    })
}

fn step(code: i32, more: Option<&str>) -> BuildError {
    let output = ["last words"].into_iter().chain(more).map(str::to_owned).collect();
    BuildError::StepFailed { instruction: "RUN it".into(), exit_code: code, output }
}

#[test]
fn only_a_killed_step_with_a_limit_of_memory_is_told_of_it() {
    let ended =
        |code| format!("Error: building at STEP \"RUN it\": while running runtime: exit status {code}\n");
    let reason = "was killed, as if it took more than its 4096 bytes of memory (--memory)";
    assert_eq!(limited_build(137, &ended(137), Some(4096), None), step(137, Some(reason)));
    let first = format!("container exited on killed\n{}", ended(1));
    assert_eq!(limited_build(1, &first, Some(4096), None), step(137, Some(reason)));
    assert_eq!(limited_build(1, &first, None, None), step(137, None));
    assert_eq!(limited_build(7, &ended(7), Some(4096), None), step(7, None));
    assert_eq!(limited_build(137, &ended(137), None, None), step(137, None));
    let shared = "was killed, as if the steps of the build together took more than its 1024 bytes of memory";
    for own in [None, Some(4096)] {
        assert_eq!(limited_build(137, &ended(137), own, Some(1024)), step(137, Some(shared)));
    }
    assert_eq!(limited_build(137, &ended(137), Some(4096), Some(8192)), step(137, Some(reason)));
}

#[test]
fn a_failed_command_keeps_its_exit_code() {
    for (code, stderr) in [
        (2, "Error: building at STEP \"RUN sh -c \"exit 2\"\": while running runtime: exit status 2\n"),
        (
            127,
            "/bin/sh: nosuch: not found\nError: building at STEP \"RUN nosuch\": while running runtime: exit status 127\n",
        ),
        (1, "Error: building at STEP \"RUN false\": while running runtime: exit status 1\n"),
        (
            7,
            "err\nsubprocess exited with status 7\nsubprocess exited with status 7\nError: building at STEP \"RUN exit 7\": exit status 7\n",
        ),
        (3, "no newlineError: building at STEP \"RUN x\": while running runtime: exit status 3\n"),
        (4, "Error: building at STEP \"RUN <<EOF\ncat x\nEOF\n\": while running runtime: exit status 4\n"),
        (
            1,
            "dd: error writing '/z': No space left on device\nError: building at STEP \"RUN dd\": while running runtime: exit status 1\n",
        ),
        // What a command itself writes decides nothing.
        (
            5,
            "Error: no space left on device\nError: building at STEP \"RUN x\": while running runtime: exit status 5\n",
        ),
    ] {
        assert_eq!(build(code, stderr), step(code, None), "{stderr}");
    }
}

#[test]
fn a_missing_program_is_the_users_fault_and_says_so() {
    let stderr = "error running container: from /usr/bin/crun creating container for [/nope]: executable file `/nope` \
                  not found in $PATH: No such file or directory\n: exit status 1\nError: building at STEP \"RUN /nope\": \
                  while running runtime: exit status 1\n";
    let reason = "executable file `/nope` not found in $PATH: No such file or directory";
    assert_eq!(build(1, stderr), step(127, Some(reason)));
    let stderr = "process failed to start with error: fork/exec /nope: no such file or directoryprocess exited with \
                  error: exec: not startedsubprocess exited with status 1\nError: building at STEP \"RUN /nope\": exit status 1\n";
    assert!(matches!(build(1, stderr), BuildError::StepFailed { exit_code: 127, .. }));
    let stderr = "error running container: from /usr/bin/crun creating container for [/a.txt]: open executable: \
                  Permission denied\n: exit status 1\nError: building at STEP \"RUN /a.txt\": while running runtime: exit status 1\n";
    assert_eq!(build(1, stderr), step(126, Some("open executable: Permission denied")));
}

#[test]
fn a_program_for_another_cpu_needs_an_emulator() {
    for stderr in [
        "exec container process `/bin/sh`: Exec format error\nError: building at STEP \"RUN true\": while running runtime: exit status 1\n",
        "process failed to start with error: fork/exec /bin/sh: exec format errorprocess exited with error: exec: not \
         startedsubprocess exited with status 1\nError: building at STEP \"RUN true\": exit status 1\n",
    ] {
        assert_eq!(build(1, stderr), BuildError::NoEmulator { platform: platform() });
    }
}

#[test]
fn a_runtime_that_does_not_work_is_the_hosts_fault() {
    let stderr = "error running container: from /usr/bin/crun creating container for [/bin/sh -c uname -m]: cgroups in \
                  hybrid mode not supported, drop all controllers from cgroupv2\n: exit status 1\ntime=\"2026-11-22T12:47:58Z\" \
                  level=error msg=\"did not get container create message from subprocess: EOF\"\nError: building at STEP \
                  \"RUN uname -m\": while running runtime: exit status 1\n";
    let error = build(1, stderr);
    assert_eq!((error.fault(), error.retryable()), (Fault::Host, false));
    assert!(error.to_string().contains("cgroups in hybrid mode not supported"), "{error}");
}

#[test]
fn a_full_disk_is_named() {
    let stderr = "dd: error writing '/z': No space left on device\ntime=\"2026-11-22T13:06:28Z\" level=error msg=\"error \
                  unmounting container: write /s/run/overlay-layers/.tmp-mountpoints.json33: no space left on device\"\n\
                  Error: building at STEP \"RUN dd\": while running runtime: exit status 1\n";
    assert_eq!(build(1, stderr), BuildError::NoSpace { path: "/store".into() });
    let stderr = "Error: committing container for step: write /s/overlay/l: no space left on device\n";
    assert_eq!(build(125, stderr), BuildError::NoSpace { path: "/store".into() });
}

#[test]
fn mistakes_of_the_user_are_passed_on_in_buildahs_words() {
    for stderr in [
        "Error: building at STEP \"COPY nope /x\": checking on sources under \"/ctx\": copier: stat: \"/nope\": no such file or directory\n",
        "Error: building at STEP \"FOO \": Build error: Unknown instruction: \"FOO\" &imagebuilder.Step{}\n",
        "Error: The target \"zz\" was not found in the provided Dockerfile\n",
        "Error: COPY --from=nope: no stage or image found with that name\n",
        "Error: building at STEP \"WORKDIR /etc/passwd/x\": copier: mkdir: error checking directory \"/etc/passwd/x\": mkdir /etc/passwd/x: not a directory\n",
        "Error: building at STEP \"RUN true\": determining run uid: user: unknown user error looking up user \"nosuch\"\n",
        "Error: no FROM statement found\n",
        "Error: building at STEP \"RUN x\": resolving mountpoints for container \"32\": secret required but no secret with id nope found\n",
    ] {
        let error = build(125, stderr);
        assert!(matches!(error, BuildError::Invalid { .. }), "{error:?}");
        assert_eq!(error.to_string(), stderr["Error: ".len()..].trim_end());
    }
}

#[test]
fn an_image_that_was_not_fetched_is_named() {
    let error = build(125, "Error: creating build container: nope:1: image not known\n");
    let BuildError::BaseImage { image, reason, .. } = error else { panic!("{error:?}") };
    assert_eq!((image.as_str(), reason.as_str()), ("nope:1", "image not known"));
}

#[test]
fn downloads_and_the_storage_are_told_from_mistakes() {
    let refused = "Error: building at STEP \"ADD http://127.0.0.1:1/x /x\": reading \"http://127.0.0.1:1/x\": dial tcp 127.0.0.1:1: connect: connection refused\n";
    assert!(build(125, refused).retryable());
    assert_eq!(build(125, refused).fault(), Fault::Registry);
    let storage = "Error: committing container for step {}: storing layer \"4c\" to file: io: read/write on closed pipe\n";
    assert_eq!(build(125, storage).fault(), Fault::Host);
}

#[test]
fn a_killed_buildah_may_be_tried_again() {
    let error = silent_end(Exit { code: None, signal: Some(9) }, "");
    assert_eq!((error.fault(), error.retryable()), (Fault::Host, true));
    assert!(error.to_string().contains("too little memory"));
    assert!(!silent_end(Exit { code: Some(125), signal: None }, "panic: x").retryable());
}

fn pull(stderr: &str) -> BuildError {
    classify_pull(Exit { code: Some(125), signal: None }, stderr, "busybox", &platform(), "/store")
}

#[test]
fn pulls_fail_for_whoever_can_help() {
    for (stderr, fault, retryable, words) in [
        (
            "Error: initializing source docker://r/b:latest: pinging container registry r: Get \"https://r/v2/\": http: server gave HTTP response to HTTPS client\n",
            Fault::Registry,
            false,
            "HTTPS client",
        ),
        (
            "Error: initializing source docker://r/b:nope: reading manifest nope in r/b: manifest unknown: manifest unknown\n",
            Fault::Registry,
            false,
            "base image busybox for linux/arm64: reading manifest nope in r/b",
        ),
        (
            "time=\"x\" level=warning msg=\"Failed, retrying in 2s ... (1/3). Error: initializing source docker://r/n:nope: connect: connection refused\"\nError: initializing source docker://r/n:nope: pinging container registry r: Get \"http://r/v2/\": dial tcp r: connect: connection refused\n",
            Fault::Registry,
            true,
            "busybox: pinging container registry r",
        ),
        (
            "Error: initializing source docker://n/x:y: pinging container registry n: Get \"https://n/v2/\": dial tcp: lookup n on 10.0.0.1:53: no such host\n",
            Fault::Registry,
            false,
            "no such host",
        ),
        (
            "Error: initializing source docker://r/b:l: Requesting bearer token: invalid status code from registry 429 (Too Many Requests)\n",
            Fault::Registry,
            true,
            "429",
        ),
        (
            "Error: initializing source docker://r/b:l: reading manifest l in r/b: unauthorized: authentication required\n",
            Fault::Registry,
            false,
            "busybox: reading manifest l in r/b: unauthorized",
        ),
        (
            "Error: choosing an image from manifest list docker://r/b:l: no image found in manifest list for architecture arm64, variant \"\", OS linux\n",
            Fault::Registry,
            false,
            "not for this platform",
        ),
        ("Error: invalid reference format\n", Fault::Registry, false, "invalid reference format"),
        (
            "Error: writing blob: storing blob to file \"/t/1\": write /t/1: no space left on device\n",
            Fault::Host,
            false,
            "no space left",
        ),
        (
            "Error: checking authfile: stat /nope: no such file or directory\n",
            Fault::Host,
            false,
            "checking authfile",
        ),
    ] {
        let error = pull(stderr);
        assert_eq!((error.fault(), error.retryable()), (fault, retryable), "{stderr}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
