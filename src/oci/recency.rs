//! When something of a store was last of use, for whoever makes room.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// A file that is used says so at most this often.
const TOUCHED: Duration = Duration::from_hours(1);

/// Says that a file is of use still, by its modification time.
pub(crate) fn touch(path: &Path) {
    let now = SystemTime::now();
    let stale = fs::metadata(path)
        .and_then(|found| found.modified())
        .is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age > TOUCHED));
    if stale {
        // A reader of a store that it may not write to does without.
        let _: io::Result<()> =
            fs::File::options().write(true).open(path).and_then(|file| file.set_modified(now));
    }
}
