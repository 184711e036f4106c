//! Forwards the socket of an SSH agent, so that its owner and permissions can be those that a step needs.

use std::{
    fs::{self, Permissions},
    io,
    net::Shutdown,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    thread,
};

/// Opens a socket in `folder` that leads to the agent's own one, with these permissions, owner and group. It serves
/// until this process ends.
pub(super) fn forward(
    folder: &Path,
    number: usize,
    agent: &Path,
    (mode, uid, gid): (u32, u32, u32),
) -> io::Result<PathBuf> {
    // A mistake is easier to understand now than when the step connects.
    UnixStream::connect(agent)?;
    // The name of a socket must be short, and that of the folder need not be.
    nix::unistd::chdir(folder)?;
    let name = format!("agent-{number}");
    let listener = UnixListener::bind(&name)?;
    chown(&name, Some(uid), Some(gid))?;
    fs::set_permissions(&name, Permissions::from_mode(mode))?;
    let agent = agent.to_owned();
    thread::Builder::new().spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that finds the agent gone sees its connection end.
            let _ = UnixStream::connect(&agent).and_then(|agent| join(client, agent));
        }
    })?;
    Ok(folder.join(name))
}

fn join(client: UnixStream, agent: UnixStream) -> io::Result<()> {
    let copies = [(client.try_clone()?, agent.try_clone()?), (agent, client)];
    for (mut from, mut to) in copies {
        thread::Builder::new().spawn(move || {
            // Either end may go first.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })?;
    }
    Ok(())
}
