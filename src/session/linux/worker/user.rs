//! Who a step runs as.
//!
//! Source: BuildKit's `executor/oci`, `GetUser`; `moby/sys/user`, `GetExecUser`.

use std::{fs::File, io::Read as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use super::within::within;
use crate::session::error::Failure;

/// The most that is read of `/etc/passwd` or `/etc/group`.
const MOST: u64 = 16 << 20;

/// The ids that a step runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Further groups.
    pub(super) groups: Vec<u32>,
    /// Where the user is at home.
    pub(super) home: String,
}

/// Looks a user up in a root file system.
pub(super) fn find(root: &Path, text: &str) -> Result<User, Failure> {
    let (passwd, group) = within(root, || (read("/etc/passwd"), read("/etc/group")))
        .map_err(Failure::system("enter the root file system"))?;
    resolve(text, &passwd, &group).map_err(Failure::User)
}

fn read(path: &str) -> String {
    // It may be anything in an image: a pipe would never end.
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let Ok(file) = opened.and_then(|file| file.metadata().map(|metadata| (file, metadata))) else {
        return String::new();
    };
    let (file, metadata) = file;
    let mut bytes = Vec::new();
    if metadata.is_file() && file.take(MOST).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn resolve(text: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (user, given_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok();
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let entry = passwd.lines().map(fields).find(|fields| match number {
        Some(number) => fields.get(2).and_then(|uid| uid.parse().ok()) == Some(number),
        None => fields.len() > 2 && fields[0] == user,
    });
    let id = |at: usize| entry.as_ref().and_then(|fields| fields.get(at)?.parse::<u32>().ok());
    let Some(uid) = number.or_else(|| id(2)) else {
        return Err(format!("unknown user {user}: /etc/passwd of the image has no such name"));
    };
    let home = entry.as_ref().and_then(|fields| fields.get(5)).filter(|home| !home.is_empty());
    let home = home.map_or_else(|| "/".to_owned(), Clone::clone);
    let groups = || group.lines().map(fields).filter(|fields| fields.len() > 2);
    if let Some(name) = given_group {
        let by_name = || groups().find(|fields| fields[0] == name)?.get(2)?.parse().ok();
        let gid = name.parse::<u32>().ok().or_else(by_name);
        let gid =
            gid.ok_or_else(|| format!("unknown group {name}: /etc/group of the image has no such name"))?;
        return Ok(User { uid, gid, groups: Vec::new(), home });
    }
    let name = entry.as_ref().map(|fields| fields[0].as_str());
    let is_member = |fields: &Vec<String>| {
        let members = fields.get(3).map_or("", String::as_str);
        name.is_some_and(|name| members.split(',').any(|member| member.trim() == name))
    };
    let groups = groups().filter(is_member).filter_map(|fields| fields.get(2)?.parse().ok()).collect();
    Ok(User { uid, gid: id(3).unwrap_or(0), groups, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:root\nweb:x:33:app,other\nlogs:x:44:app\napp:x:1001:\n";

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> User {
        User { uid, gid, groups: groups.to_vec(), home: home.into() }
    }

    #[test]
    fn names_and_numbers_are_looked_up_as_docker_does() {
        for (text, expected) in [
            ("", user(0, 0, &[0], "/root")),
            ("app", user(1000, 1001, &[33, 44], "/home/app")),
            ("1000", user(1000, 1001, &[33, 44], "/home/app")),
            ("app:web", user(1000, 33, &[], "/home/app")),
            ("1000:7", user(1000, 7, &[], "/home/app")),
            ("4711", user(4711, 0, &[], "/")),
            ("4711:web", user(4711, 33, &[], "/")),
        ] {
            assert_eq!(resolve(text, PASSWD, GROUP), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_named() {
        for (text, named) in [("nobody", "unknown user nobody"), ("app:staff", "unknown group staff")] {
            let error = resolve(text, PASSWD, GROUP).expect_err("unknown");
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn an_image_without_a_list_of_users_has_root() {
        assert_eq!(resolve("", "", ""), Ok(user(0, 0, &[], "/")));
    }
}
