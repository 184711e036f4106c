//! Commands that try to get out, to stay, or to take everything.

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use polyarch::session::{Ended, Limits, Session as _, Step};

use crate::{
    cli::ordinary_user,
    support::{
        buildah::{left_behind, run},
        command::{Desk, Ended as Exit, is_root},
        session::{Bench, layer},
        tools::require,
    },
};

/// Makes the calls that lead out of containers, and prints the name of each that is not refused.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
static void call(const char *name, long number, long a, long b, long c, long d, long e) {
    errno = 0;
    long got = syscall(number, a, b, c, d, e);
    if (got >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES)) printf("%s %ld %s\n", name, got, strerror(errno));
}
int main(int count, char **arguments) {
    char buffer[64] = {0};
    if (count > 1) {
        /* Folders within folders, deeper than any path. */
        for (int depth = 0; depth < 6000; depth++) if (mkdir("d", 0777) || chdir("d")) return 99;
        return arguments[1][0] - '0';
    }
    call("kexec_load", SYS_kexec_load, 0, 0, 0, 0, 0);
    call("kexec_file_load", SYS_kexec_file_load, -1, -1, 0, 0, 0);
    call("init_module", SYS_init_module, (long)buffer, 8, (long)"", 0, 0);
    call("finit_module", SYS_finit_module, 0, (long)"", 0, 0, 0);
    call("delete_module", SYS_delete_module, (long)"ext4", O_NONBLOCK, 0, 0, 0);
    call("open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, (long)buffer, 0, 0, 0);
    call("keyctl", SYS_keyctl, 0, -3, 1, 0, 0);
    call("add_key", SYS_add_key, (long)"user", (long)"x", (long)"y", 1, -3);
    call("request_key", SYS_request_key, (long)"user", (long)"x", 0, -3, 0);
    call("bpf", SYS_bpf, 0, (long)buffer, sizeof buffer, 0, 0);
    call("userfaultfd", SYS_userfaultfd, 1, 0, 0, 0, 0);
    call("perf_event_open", SYS_perf_event_open, (long)buffer, 0, -1, -1, 0);
    call("unshare user", SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0);
    call("unshare mount", SYS_unshare, CLONE_NEWNS, 0, 0, 0, 0);
    call("clone user", SYS_clone, CLONE_NEWUSER | 17, 0, 0, 0, 0);
    call("clone3", 435, (long)buffer, sizeof buffer, 0, 0, 0);
    call("setns", SYS_setns, 0, 0, 0, 0, 0);
    call("mount", SYS_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0);
    call("umount2", SYS_umount2, (long)"/proc/kcore", 2, 0, 0, 0);
    call("move_mount", 429, -1, (long)"", -1, (long)"/", 0);
    call("open_tree", 428, AT_FDCWD, (long)"/", 1, 0, 0);
    call("fsopen", 430, (long)"tmpfs", 0, 0, 0, 0);
    call("mount_setattr", 442, AT_FDCWD, (long)"/proc", 0, (long)buffer, 32);
    call("pivot_root", SYS_pivot_root, (long)"/", (long)"/", 0, 0, 0);
    call("io_uring_setup", 425, 1, (long)buffer, 0, 0, 0);
    call("reboot", SYS_reboot, 0xfee1dead, 672274793, 0, 0, 0);
    call("swapon", SYS_swapon, (long)"/etc", 0, 0, 0, 0);
    call("sethostname", SYS_sethostname, (long)"x", 1, 0, 0, 0);
    call("settimeofday", SYS_settimeofday, (long)buffer, 0, 0, 0, 0);
    call("iopl", SYS_iopl, 3, 0, 0, 0, 0);
    call("acct", SYS_acct, 0, 0, 0, 0, 0);
    call("syslog", SYS_syslog, 3, (long)buffer, 8, 0, 0);
    call("quotactl", SYS_quotactl, 0, 0, 0, 0, 0);
    /* The number that the same kernel takes for 32-bit pointers. */
    call("x32 mount", 0x40000000 + SYS_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0);
    for (int pid = 2; pid < 70000; pid++)
        if (pid != getpid() && ptrace(PTRACE_ATTACH, pid, 0, 0) == 0 && getppid() != pid) printf("ptrace %d\n", pid);
    printf("end\n");
    return 0;
}
"#;

/// What shells can try. Each line that is printed is a way out, but for the last.
const SCRIPT: &str = "for path in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/overcommit_memory \
    /proc/sys/kernel/modprobe /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/power/state \
    /proc/bus/pci/00/00.0; do (echo x > $path) 2>/dev/null && echo wrote $path; done; \
    test \"$(head -c 1 /proc/kcore 2>/dev/null | wc -c)\" = 0 || echo kcore; \
    test \"$(head -c 1 /dev/core 2>/dev/null | wc -c)\" = 0 || echo core; \
    cat /proc/1/root/OUTSIDE 2>/dev/null; cat /proc/self/root/OUTSIDE /proc/self/cwd/../../../OUTSIDE 2>/dev/null; \
    for fd in /proc/self/fd/* /proc/1/fd/*; do cat $fd/OUTSIDE $fd/../OUTSIDE 2>/dev/null; done; \
    (echo x > /proc/1/exe) 2>/dev/null && echo exe; \
    mknod /tmp/disk b 254 0 2>/dev/null && head -c 1 /tmp/disk 2>/dev/null | grep -q . && echo disk; \
    ls /proc | grep -c '^[0-9]' | grep -qx '[1-9]' || echo processes; rm -f /tmp/disk; echo end";

/// The program, compiled; `None` where that cannot be done.
fn program(folder: &Path) -> Option<PathBuf> {
    if !cfg!(target_arch = "x86_64") || !require("gcc") {
        return None;
    }
    let (source, program) = (folder.join("escape.c"), folder.join("escape"));
    fs::write(&source, PROGRAM).expect("written");
    run(Command::new("gcc").args(["-static", "-w", "-o"]).arg(&program).arg(&source));
    Some(program)
}

#[tokio::test]
async fn no_call_and_no_file_of_the_kernel_leads_out() {
    let Some(bench) = Bench::new() else { return };
    let Some(program) = program(bench.path()) else { return };
    let outside = bench.path().join("victim");
    fs::write(&outside, "the secret of this machine\n").expect("written");
    let script = SCRIPT.replace("/OUTSIDE", outside.to_str().expect("text"));
    let bytes = fs::read(program).expect("read");
    let escape = layer(&bench.store, |layer| layer.file("bin/escape", &bytes, 0o755));
    let layers = [bench.base.clone(), vec![escape]].concat();
    for user in ["", "app"] {
        for script in ["escape", &script] {
            let step = Step { layers: layers.clone(), user: user.into(), ..bench.step(script) };
            let (outcome, text) = bench.run(step).await;
            assert_eq!(text, "end\n", "as {user:?}");
            assert_eq!(outcome.expect("an outcome").ended, Ended::Code(0));
        }
    }
}

#[test]
fn an_ordinary_user_s_commands_lead_out_as_little() {
    if !is_root() || !require("newuidmap") || !require("setpriv") {
        return;
    }
    let Some((user, group)) = ordinary_user() else { return };
    let desk = Desk::new();
    let Some(escape) = program(&desk.path(".")) else { return };
    let script = SCRIPT.replace("/OUTSIDE", "/etc/shadow");
    let dockerfile =
        "FROM scratch\nCOPY bin /bin/\nENV PATH=/bin\nRUN mkdir /tmp; escape\nRUN sh /bin/script\n";
    let context = desk.context("app", dockerfile);
    fs::create_dir(desk.path("app/bin")).expect("a folder");
    fs::write(desk.path("app/bin/script"), script).expect("written");
    fs::copy("/bin/busybox", desk.path("app/bin/busybox")).expect("busybox");
    fs::copy(escape, desk.path("app/bin/escape")).expect("copied");
    for name in ["sh", "cat", "head", "wc", "grep", "ls", "mknod", "rm", "test", "mkdir"] {
        symlink("busybox", desk.path("app/bin").join(name)).expect("linked");
    }
    let program = desk.path("polyarch");
    fs::copy(env!("CARGO_BIN_EXE_polyarch"), &program).expect("copied");
    run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(desk.path(".")));
    let mut command =
        desk.command_of(&program, ["build", "--progress", "plain", "--backend", "sandbox", &context]);
    let ended = Exit::of(command.uid(user).gid(group));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // What is printed stands behind the number of its step.
    let said = ended.stderr.lines().filter(|line| line.trim_end().ends_with(" end")).count();
    assert_eq!(said, 2, "{}", ended.stderr);
    for way_out in ["ptrace ", "wrote ", "kcore", "root:", "Invalid argument", "Bad address", "Success"] {
        let printed = ended.stderr.lines().filter(|line| !line.contains("RUN "));
        assert!(printed.clone().all(|line| !line.contains(way_out)), "{way_out}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn whatever_a_command_starts_ends_with_it() {
    let Some(bench) = Bench::new() else { return };
    let mark = format!("71{}", std::process::id());
    let script = format!(
        "(setsid sh -c '(setsid sleep {mark} > /dev/null 2>&1 < /dev/null &)' &); \
         sh -c \"trap '' TERM HUP INT; sleep {mark} & sleep {mark} &\" > /dev/null 2>&1 & true"
    );
    let begun = Instant::now();
    bench.script(&bench.base, &script).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(left_behind(bench.store.root(), Some(&mark)), Vec::<String>::new());
}

/// As many processes as a session of these tests lets a step have.
const FEW: u64 = 40;

#[tokio::test]
async fn a_command_gets_no_more_processes_than_it_may_have() {
    let Some(bench) = Bench::new() else { return };
    let report = bench.session.probe().await.expect("usable");
    if report.advice.iter().any(|advice| advice.contains("pids cannot be limited")) {
        crate::support::buildah::skip("processes cannot be limited here");
        return;
    }
    let limits = Limits { pids: Some(FEW), ..Limits::default() };
    let script = format!("i=0; while test $i -lt {}; do i=$((i + 1)); sleep 3 & done; echo all", 2 * FEW);
    let (outcome, text) = bench.run(Step { limits, ..bench.step(&script) }).await;
    assert_ne!(outcome.expect("an outcome").ended, Ended::Code(0), "{text}");
    assert!(text.contains("can't fork") && !text.contains("all"), "{text}");
}

#[tokio::test]
async fn a_fork_bomb_meets_the_limit_and_goes() {
    let Some(bench) = Bench::new() else { return };
    let report = bench.session.probe().await.expect("usable");
    if report.advice.iter().any(|advice| advice.contains("pids cannot be limited")) {
        crate::support::buildah::skip("processes cannot be limited here");
        return;
    }
    let limits = Limits { pids: Some(200), ..Limits::default() };
    let bomb = "b() { b | b & }; b; for i in 1 2 3 4 5; do sleep 1; done";
    let step = Step { limits, timeout: Some(Duration::from_secs(4)), ..bench.step(bomb) };
    let begun = Instant::now();
    let (outcome, _) = bench.run(step).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(bench.script(&bench.base, "echo on").await.1, "on\n");
}

#[tokio::test]
async fn folders_deeper_than_any_path_are_removed_with_their_step() {
    let Some(bench) = Bench::new() else { return };
    let Some(program) = program(bench.path()) else { return };
    let bytes = fs::read(program).expect("read");
    let digging = layer(&bench.store, |layer| layer.file("bin/dig", &bytes, 0o755));
    let layers = [bench.base.clone(), vec![digging]].concat();
    let step = |code: u8| Step { layers: layers.clone(), ..bench.step(&format!("dig {code}")) };
    let outcome = bench.run(step(3)).await.0.expect("an outcome");
    assert_eq!(outcome.ended, Ended::Code(3));
    // Who keeps them is told that no archive can name them.
    let error = bench.run(step(0)).await.0.expect_err("no such layer").to_string();
    assert!(error.contains("more than 512 levels deep"), "{error}");
    // The next step needs the same place, empty.
    assert_eq!(bench.script(&bench.base, "ls -d /d 2>/dev/null; echo on").await.1, "on\n");
    bench.session.close().await;
    let slots = fs::read_dir(bench.store.root().join("backends/sandbox/slots")).expect("slots").flatten();
    for slot in slots {
        assert_eq!(fs::read_dir(slot.path().join("work")).expect("list").count(), 0);
    }
}
