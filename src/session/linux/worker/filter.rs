//! The filter of system calls: everything that the kernel offers, less what Docker refuses to containers.
//!
//! Docker's profile lists what is allowed. Here it is the other way round, on top of a table of all calls that are
//! known: what is in no table is answered as an old kernel would, so that programs fall back to something older.
//! `seccompiler` would not do: it knows one architecture a filter, not 32-bit x86, and sets `no_new_privs`, with which
//! `su` and `sudo` do not work in a step.
//!
//! Source: moby's `seccomp/default_linux.go`; Linux, `Documentation/userspace-api/seccomp_filter.rst`.

use libc::sock_filter;

/// What a step may not call with the capabilities that it has, sorted.
#[rustfmt::skip]
const REFUSED: [&str; 78] = [
    "_sysctl", "acct", "add_key", "afs_syscall", "bdflush", "bpf", "clock_adjtime", "clock_adjtime64",
    "clock_settime", "clock_settime64", "create_module", "delete_module", "fanotify_init", "finit_module",
    "fsconfig", "fsmount", "fsopen", "fspick", "ftime", "get_kernel_syms", "get_mempolicy", "getpmsg", "gtty",
    "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lock", "lookup_dcookie", "lsm_get_self_attr",
    "lsm_list_modules", "lsm_set_self_attr", "mbind", "migrate_pages", "mount", "mount_setattr", "move_mount",
    "move_pages", "nfsservctl", "open_by_handle_at", "open_tree", "open_tree_attr", "perf_event_open",
    "pidfd_getfd", "pivot_root", "process_madvise", "putpmsg", "query_module", "quotactl", "quotactl_fd",
    "reboot", "request_key", "set_mempolicy", "set_mempolicy_home_node", "setdomainname", "sethostname",
    "setns", "settimeofday", "stime", "swapoff", "swapon", "sysfs", "syslog", "umount", "umount2", "unshare",
    "uselib", "userfaultfd", "ustat", "vhangup", "vm86", "vm86old",
];
/// The personalities that a program may take: Linux's own, and those that are asked for.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Families of sockets that reach past namespaces, or into the kernel's own cryptography: `AF_ALG` and `AF_VSOCK`.
const REFUSED_SOCKETS: [u32; 2] = [38, 40];
/// The flags of `clone` that make namespaces: mount, cgroup, UTS, IPC, user, pid and network.
const NAMESPACES: u32 = 0x7E02_0000;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
/// A refusal is `EPERM`, and a call that is not known `ENOSYS`.
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | 0x01;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | 0x26;

/// Where `struct seccomp_data` has the number, the architecture, and the low half of the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST: u32 = 16;

/// Instructions of the classic packet filter: load a word, jump, jump if equal, if greater, if a bit is set, return.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// The calls of one architecture: their numbers and names.
struct Table {
    /// As the audit subsystem numbers it.
    architecture: u32,
    calls: Vec<(u32, &'static str)>,
}

macro_rules! table {
    ($architecture:expr, $module:ident) => {
        Table {
            architecture: $architecture,
            calls: syscalls::$module::Sysno::iter()
                .filter_map(|call| Some((u32::try_from(call.id()).ok()?, call.name())))
                .collect(),
        }
    };
}

/// The filter for this CPU, with the programs of its 32-bit sibling; empty where the tables lack it. An emulator's
/// programs make this CPU's calls as well.
pub(super) fn program() -> Vec<sock_filter> {
    let tables = tables();
    if tables.is_empty() { Vec::new() } else { assemble(&tables) }
}

#[cfg(target_arch = "x86_64")]
fn tables() -> Vec<Table> {
    vec![table!(0xC000_003E, x86_64), table!(0x4000_0003, x86)]
}

#[cfg(target_arch = "aarch64")]
fn tables() -> Vec<Table> {
    vec![table!(0xC000_00B7, aarch64), table!(0x4000_0028, arm)]
}

#[cfg(target_arch = "riscv64")]
fn tables() -> Vec<Table> {
    vec![table!(0xC000_00F3, riscv64)]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn tables() -> Vec<Table> {
    Vec::new()
}

fn assemble(tables: &[Table]) -> Vec<sock_filter> {
    let blocks: Vec<Vec<sock_filter>> = tables.iter().map(block).collect();
    let mut program = vec![instruction(LOAD, ARCHITECTURE)];
    let mut distance = 0;
    for (number, (table, block)) in tables.iter().zip(&blocks).enumerate() {
        // Behind this jump come those of the other architectures, a return, and the blocks before its own.
        let others = 2 * (tables.len() - number - 1) + 1;
        program.push(test(IF_EQUAL, table.architecture, 0, 1));
        program.push(instruction(JUMP, u32::try_from(others + distance).unwrap_or(u32::MAX)));
        distance += block.len();
    }
    program.push(instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS));
    program.extend(blocks.into_iter().flatten());
    program
}

/// What decides about the calls of one architecture.
fn block(table: &Table) -> Vec<sock_filter> {
    let mut block = vec![instruction(LOAD, NUMBER)];
    for (number, name) in &table.calls {
        let special = match *name {
            "clone" => vec![
                instruction(LOAD, FIRST),
                test(IF_SET, NAMESPACES, 0, 1),
                instruction(RETURN, REFUSE),
                instruction(RETURN, ALLOW),
            ],
            // Its flags are behind a pointer, so the older call must do.
            "clone3" => vec![instruction(RETURN, UNKNOWN)],
            "personality" => either(&PERSONALITIES, ALLOW, REFUSE),
            "socket" => either(&REFUSED_SOCKETS, REFUSE, ALLOW),
            _ => continue,
        };
        let length = u8::try_from(special.len()).unwrap_or(u8::MAX);
        block.push(test(IF_EQUAL, *number, 0, length));
        block.extend(special);
    }
    let mut calls = table.calls.clone();
    calls.sort_unstable();
    let mut segments: Vec<(u32, u32)> = Vec::new();
    let mut add = |last: u32, action: u32| match segments.last_mut() {
        Some((end, same)) if *same == action => *end = last,
        _ => segments.push((last, action)),
    };
    let mut next = 0;
    for (number, name) in calls {
        if number > next {
            add(number - 1, UNKNOWN);
        }
        add(number, if REFUSED.binary_search(&name).is_ok() { REFUSE } else { ALLOW });
        next = number + 1;
    }
    for (last, action) in segments {
        block.extend([test(IF_GREATER, last, 1, 0), instruction(RETURN, action)]);
    }
    block.push(instruction(RETURN, UNKNOWN));
    block
}

/// Compares the first argument with some values.
fn either(values: &[u32], found: u32, otherwise: u32) -> Vec<sock_filter> {
    let mut program = vec![instruction(LOAD, FIRST)];
    for value in values {
        program.extend([test(IF_EQUAL, *value, 0, 1), instruction(RETURN, found)]);
    }
    program.push(instruction(RETURN, otherwise));
    program
}

fn instruction(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

/// A comparison that skips so many instructions when it holds, and so many when it does not.
fn test(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel does.
    fn answer(program: &[sock_filter], architecture: u32, number: u32, first: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let holds = match code {
                LOAD => {
                    value = match k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        _ => first,
                    };
                    continue;
                }
                JUMP => {
                    at += k as usize;
                    continue;
                }
                RETURN => return k,
                IF_EQUAL => value == k,
                IF_GREATER => value > k,
                _ => value & k != 0,
            };
            at += usize::from(if holds { jt } else { jf });
        }
    }

    #[test]
    fn every_call_of_every_table_is_answered_by_its_name() {
        let tables = tables();
        let program = assemble(&tables);
        for table in &tables {
            for (number, name) in &table.calls {
                let expected = match *name {
                    "clone3" => UNKNOWN,
                    name if REFUSED.contains(&name) => REFUSE,
                    _ => ALLOW,
                };
                assert_eq!(answer(&program, table.architecture, *number, 0), expected, "{name}");
            }
            assert_eq!(answer(&program, table.architecture, 0x4000_0000, 0), UNKNOWN);
        }
        assert_eq!(answer(&program, 1, 0, 0), libc::SECCOMP_RET_KILL_PROCESS);
        assert!(program.len() < 4096, "{}", program.len());
    }

    #[test]
    fn some_calls_depend_on_what_they_are_given() {
        let tables = tables();
        let program = assemble(&tables);
        for table in &tables {
            let number =
                |wanted: &str| table.calls.iter().find(|(_, name)| *name == wanted).map(|call| call.0);
            for (name, first, expected) in [
                ("clone", 0x11, ALLOW),
                ("clone", 0x1000_0011, REFUSE),
                ("clone", 0x0002_0000, REFUSE),
                ("personality", 0x2_0008, ALLOW),
                ("personality", 0x4_0000, REFUSE),
                ("socket", 2, ALLOW),
                ("socket", 40, REFUSE),
            ] {
                let Some(number) = number(name) else { continue };
                assert_eq!(
                    answer(&program, table.architecture, number, first),
                    expected,
                    "{name} {first:#x}"
                );
            }
        }
    }

    #[test]
    fn what_is_refused_exists() {
        let known = |name: &&str| tables().iter().any(|table| table.calls.iter().any(|call| call.1 == *name));
        let unknown: Vec<&str> = REFUSED.into_iter().filter(|name| !known(name)).collect();
        assert_eq!(unknown, Vec::<&str>::new());
        assert!(REFUSED.is_sorted());
    }
}
