//! What a step cannot do, and what it finds.

use std::net::TcpListener;

use polyarch::session::{Ended, Network, Session as _, Step};

use crate::support::{
    buildah::skip,
    session::{Bench, layer, paths, riscv_program},
};

#[tokio::test]
async fn a_step_is_the_first_process_of_its_own_world() {
    let Some(bench) = Bench::new() else { return };
    let script = "echo $$; ls /proc | grep -c '^[0-9]'; readlink /proc/1/exe; hostname; cat /etc/hosts; pwd; umask; \
                  echo $HOME; ls -A /; ls /proc/self/fd | wc -l";
    let text = bench.script(&bench.base, script).await.1;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1");
    assert!(lines[1].parse::<u32>().expect("a number") <= 3, "{text}");
    assert_eq!(lines[2..4], ["/bin/busybox", "buildkitsandbox"]);
    assert!(lines[4].starts_with("127.0.0.1\tlocalhost"), "{text}");
    let rest = ["/", "0022", "/root", "bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "4"];
    assert_eq!(lines[6..], rest, "{text}");
}

#[tokio::test]
async fn dangerous_files_are_hidden_or_cannot_be_written() {
    let Some(bench) = Bench::new() else { return };
    let script = "cat /proc/kcore 2> /dev/null | wc -c; ls /sys/firmware | wc -l; \
                  for path in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/x /etc/hosts; do \
                  (echo x > $path) 2> /dev/null && echo wrote $path; done; echo end";
    assert_eq!(bench.script(&bench.base, script).await.1, "0\n0\nend\n");
}

#[tokio::test]
async fn devices_work_where_they_should_and_nowhere_else() {
    let Some(bench) = Bench::new() else { return };
    let script = "head -c 3 /dev/zero | wc -c; echo x > /dev/null; head -c 1 /dev/urandom | wc -c; echo out > /dev/stdout; \
                  test -d /dev/pts && test -d /dev/shm && test -e /dev/ptmx && echo there; \
                  mknod /zero c 1 5 2> /dev/null && head -c 1 /zero 2> /dev/null | wc -c; rm -f /zero; \
                  mknod /dev/zero2 c 1 5 2> /dev/null && head -c 1 /dev/zero2 2> /dev/null | wc -c; true";
    let text = bench.script(&bench.base, script).await.1;
    assert!(text.starts_with("3\n1\nout\nthere\n"), "{text}");
    assert!(matches!(&text["3\n1\nout\nthere\n".len()..], "" | "0\n0\n"), "{text}");
}

#[tokio::test]
async fn rights_are_those_that_docker_gives() {
    let Some(bench) = Bench::new() else { return };
    let show = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr '\\t' ' '";
    let root = bench.script(&bench.base, show).await.1;
    let expected = "CapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: 00000000a80425fb\n\
                    CapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2\n";
    assert_eq!(root, expected);
    let (outcome, text) = bench.run(Step { user: "app".into(), ..bench.step(show) }).await;
    assert_eq!(outcome.expect("an outcome").ended, Ended::Code(0));
    assert_eq!(
        text,
        expected
            .replace("Prm: 00000000a80425fb", "Prm: 0000000000000000")
            .replace("Eff: 00000000a80425fb", "Eff: 0000000000000000")
    );
    let step = Step {
        insecure: true,
        ..bench.step("mkdir /m && mount -t tmpfs none /m && echo mounted; grep Seccomp: /proc/self/status")
    };
    assert_eq!(bench.run(step).await.1, "mounted\nSeccomp:\t0\n");
}

#[tokio::test]
async fn refused_system_calls_fail_and_others_work() {
    let Some(bench) = Bench::new() else { return };
    let script = "mount -t tmpfs none /tmp 2>&1 | grep -c -i 'permitted\\|denied'; unshare -m true 2>&1 | grep -c -i permitted; echo end";
    assert_eq!(bench.script(&bench.base, script).await.1, "1\n1\nend\n");
}

#[tokio::test]
async fn users_are_those_of_the_image() {
    let Some(bench) = Bench::new() else { return };
    for (user, text) in [
        ("app", "1000 1000 1000 33 /home/app"),
        ("1000:33", "1000 33 33 /home/app"),
        ("7", "7 0 0 /"),
        ("", "0 0 0 /root"),
    ] {
        let script = "echo $(id -u) $(id -g) $(id -G) $HOME; echo again > /dev/stdout";
        let (outcome, printed) = bench.run(Step { user: user.into(), ..bench.step(script) }).await;
        assert_eq!(outcome.expect("an outcome").ended, Ended::Code(0), "{printed}");
        assert_eq!(printed, format!("{text}\nagain\n"), "{user}");
    }
    let error = bench.run(Step { user: "nobody".into(), ..bench.step("true") }).await.0.expect_err("unknown");
    assert_eq!(error.to_string(), "unknown user nobody: /etc/passwd of the image has no such name");
}

#[tokio::test]
async fn a_set_user_id_program_works_and_a_missing_working_directory_is_made() {
    let Some(bench) = Bench::new() else { return };
    // busybox keeps such rights only as a program that needs them.
    let script = "echo root::0:0::/:/bin/sh > /etc/passwd; echo app:x:1000:1000::/:/bin/sh >> /etc/passwd; mkdir /s; \
                  cat /bin/busybox > /s/su; chmod 4755 /s/su";
    let (layers, _) = bench.script(&bench.base, script).await;
    let script = "/s/su -c 'id -u'; pwd";
    let step = Step { layers, user: "app".into(), workdir: "/new/dir".into(), ..bench.step(script) };
    let (outcome, text) = bench.run(step).await;
    assert_eq!(text, "0\n/new/dir\n");
    assert_eq!(paths(&outcome.expect("an outcome")), ["new", "new/dir"]);
}

#[tokio::test]
async fn a_step_without_network_reaches_only_itself() {
    let Some(bench) = Bench::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // Whoever connects is sent away.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let script = format!(
        "timeout 5 nc 127.0.0.1 {port} < /dev/null > /dev/null 2>&1 && echo reached; ip -o link | wc -l; ip -o addr | grep -c 127.0.0.1"
    );
    let text = bench.script(&bench.base, &script).await.1;
    assert!(text.starts_with("reached\n"), "{text}");
    let (_, text) = bench.run(Step { network: Network::None, ..bench.step(&script) }).await;
    assert_eq!(text, "1\n1\n");
}

#[tokio::test]
async fn programs_of_another_cpu_run_with_an_emulator_of_the_step_alone() {
    let Some(bench) = Bench::new() else { return };
    let report = bench.session.probe().await.expect("usable");
    let riscv = "linux/riscv64".parse().expect("a platform");
    let Some(found) = report.emulated.iter().find(|emulation| emulation.platforms.contains(&riscv)) else {
        skip("riscv64 cannot be emulated here");
        return;
    };
    let program = layer(&bench.store, |layer| layer.file("program", &riscv_program(), 0o755));
    let step = Step {
        layers: vec![program],
        emulator: found.emulator.clone(),
        command: vec!["/program".into()],
        ..bench.step("")
    };
    let (outcome, text) = bench.run(step.clone()).await;
    assert_eq!(outcome.expect("an outcome").ended, Ended::Code(42), "{text}");
    if found.emulator.is_some() {
        // Nothing else on the machine can do that.
        let error = bench.run(Step { emulator: None, ..step }).await.0.expect_err("not emulated").to_string();
        assert!(error.contains("it is a program for riscv64, which is not emulated here"), "{error}");
    }
}
