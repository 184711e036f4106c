//! The calls of the kernel that no safe wrapper offers.
//!
//! JUSTIFICATION: `mount_setattr`, `seccomp` without `no_new_privs`, and the flags of a network interface have no safe
//! wrapper in `rustix` or `nix`; and only code that runs between fork and exec can make a process the first one of
//! its namespaces.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::process::CommandExt as _,
    },
    process::Command,
};

/// Sets `attributes` (`MOUNT_ATTR_…`) of a mount that is attached nowhere yet, and of those below it.
pub(super) fn restrict_mount(tree: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: The path is a C string, and the kernel reads as many bytes of the structure as it is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes everything but the standard streams when this process executes another program.
pub(super) fn close_on_exec() -> io::Result<()> {
    // SAFETY: The call takes numbers only, and closes nothing now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Filters the system calls of this process and of what it executes.
pub(super) fn filter_system_calls(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: The kernel copies as many instructions as it is told, and writes to none.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switches the loopback interface of this process's network namespace on.
pub(super) fn raise_loopback() -> io::Result<()> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: The call takes numbers only.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Nobody else has this new descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: libc::c_short::try_from(libc::IFF_UP).unwrap_or(1),
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::try_from(*from).unwrap_or_default();
    }
    // SAFETY: The request is what this call reads, with a name that ends within its field.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the process that `command` starts call `begin` before it executes the program.
///
/// Other threads of this process must neither hold a lock then that `begin` needs nor be within the allocator.
pub(super) fn begin_with(
    command: &mut Command,
    begin: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: What starts a step has one other thread, which waits for this one, so no lock is held by a thread that
    // the new process lacks; and the C library keeps its allocator usable after a fork.
    unsafe {
        command.pre_exec(begin);
    }
}
