//! The folder that the copies of the library share, and its lock.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use windows_sys::core::GUID;

use crate::{
    failure::{Failure, INVALID_DATA, Outcome, SERVICE_NOT_AVAILABLE},
    fault, owner,
    state::State,
};

/// The state, while its lock is held.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) root: PathBuf,
    pub(crate) state: State,
    _lock: File,
}

/// Does a call: counts it, lets it fail if a test wants that, and keeps what it changes. A call that fails has changed
/// nothing in the state.
pub(crate) fn call<T>(
    name: &str,
    about: impl AsRef<str>,
    body: impl FnOnce(&mut World) -> Outcome<T>,
) -> Outcome<T> {
    let mut world = World::open()?;
    let number = world.state.calls.entry(name.to_owned()).or_default();
    *number += 1;
    let number = *number;
    let mut log = OpenOptions::new().create(true).append(true).open(world.root.join("calls.txt"))?;
    writeln!(log, "{name} {}", about.as_ref())?;
    drop(log);
    world.save()?;
    let fault = fault::of_call(&world.root, name, number)?;
    let done = body(&mut world)?;
    world.save()?;
    fault.after();
    Ok(done)
}

impl World {
    /// Waits for the lock.
    pub(crate) fn open() -> Outcome<Self> {
        let Some(root) = env::var_os("POLYARCH_HCS_SIMULATOR").filter(|root| !root.is_empty()) else {
            return Err(Failure::at_once(SERVICE_NOT_AVAILABLE, "the service is not running"));
        };
        // Whatever the working directory is later, the folder stays the same.
        let root = std::path::absolute(root)?;
        fs::create_dir_all(&root)?;
        let lock = OpenOptions::new().create(true).append(true).open(root.join("lock"))?;
        lock.lock()?;
        let mut state: State = match fs::read(root.join("state.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Failure::at_once(INVALID_DATA, format!("the state: {error}")))?,
            Err(_) => State::default(),
        };
        state.reap(|name| owner::is_alive(&root, name));
        Ok(Self { root, state, _lock: lock })
    }

    /// Keeps the state.
    pub(crate) fn save(&self) -> Outcome<()> {
        let bytes = serde_json::to_vec_pretty(&self.state).map_err(std::io::Error::other)?;
        let new = self.root.join("state.new");
        fs::write(&new, bytes)?;
        fs::rename(&new, self.root.join("state.json"))?;
        fs::write(self.root.join("left.txt"), self.state.left())?;
        Ok(())
    }

    /// What is in the volume of this id.
    pub(crate) fn volume(&self, id: &str) -> PathBuf {
        self.root.join("volumes").join(id)
    }

    /// What a volume held when it was made.
    pub(crate) fn origin(&self, id: &str) -> PathBuf {
        self.root.join("volumes").join(format!("{id}.json"))
    }
}

/// The id of a layer with this name: the same for the same name.
pub(crate) fn id_of(name: &str) -> u128 {
    // FNV-1a, which is enough to tell a few layers apart.
    name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013B)
    })
}

/// `01234567-89ab-cdef-0123-456789abcdef`.
pub(crate) fn spelled(id: u128) -> String {
    let digits = format!("{id:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// The number of an id of Windows.
pub(crate) fn guid(id: &GUID) -> u128 {
    let GUID { data1, data2, data3, data4 } = *id;
    let first = u128::from(data1) << 96 | u128::from(data2) << 80 | u128::from(data3) << 64;
    first | u128::from(u64::from_be_bytes(data4))
}

/// The last component of a path, of which the id of a layer is made.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
