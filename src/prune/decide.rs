//! What goes: a decision without a clock, a disk or a lock.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use polyarch_actors::Digest;

use super::entry::{Found, Kind};

/// What is to go. Without anything set, only what nothing refers to does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// The whole cache may go.
    pub all: bool,
    /// Only what was not used for this long goes.
    pub unused_for: Option<Duration>,
    /// The most bytes that the cache may have; what was not used for longest goes first.
    pub max_used_space: Option<u64>,
    /// How many bytes the cache may have whatever the other sizes say.
    pub reserved_space: Option<u64>,
    /// How many bytes are to be free on the disk.
    pub min_free_space: Option<u64>,
    /// Nothing goes; it is only told what would.
    pub dry_run: bool,
}

/// What goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// The entries by their place among those that were found.
    pub(super) entries: Vec<usize>,
    pub(super) blobs: Vec<Digest>,
}

/// Chooses what goes. `free` is how many bytes are free on the disk.
pub(super) fn decide(found: &Found, options: &PruneOptions, free: u64, now: SystemTime) -> Decision {
    let stale = |used: SystemTime| {
        options.unused_for.is_none_or(|age| now.duration_since(used).is_ok_and(|unused| unused >= age))
    };
    let may_go = |digest: &Digest| !found.needed.contains(digest) && !found.in_use.contains(digest);
    let mut users: HashMap<&Digest, usize> = HashMap::new();
    for digest in found.entries.iter().flat_map(|entry| &entry.blobs) {
        *users.entry(digest).or_default() += 1;
    }
    let mut left = cache_bytes(found);
    let mut decision = Decision::default();
    for (digest, blob) in &found.blobs {
        if may_go(digest) && !users.contains_key(digest) && stale(blob.written) {
            left = left.saturating_sub(blob.bytes);
            decision.blobs.push(digest.clone());
        }
    }
    let limit = limit(options, left, free);
    let is_asked_for = options.all || options.unused_for.is_some() || limit.is_some();
    let mut order: Vec<usize> = (0..found.entries.len()).collect();
    // What was not used for longest goes first, and garbage before everything else. Of what was used at the same time,
    // what was found first does: layers of Windows stand before those that they rest on.
    order.sort_by_key(|at| (found.entries[*at].kind != Kind::Leftover, found.entries[*at].used));
    for at in order {
        let entry = &found.entries[at];
        let wanted = is_asked_for && limit.is_none_or(|limit| left > limit);
        if !(wanted || entry.kind == Kind::Leftover) || !stale(entry.used) {
            continue;
        }
        decision.entries.push(at);
        left = left.saturating_sub(entry.bytes);
        for digest in &entry.blobs {
            let Some(count) = users.get_mut(digest) else { continue };
            *count -= 1;
            let Some(blob) = found.blobs.get(digest).filter(|_| *count == 0 && may_go(digest)) else {
                continue;
            };
            left = left.saturating_sub(blob.bytes);
            decision.blobs.push(digest.clone());
        }
    }
    decision
}

/// How many bytes are in a store that no name needs.
pub(super) fn cache_bytes(found: &Found) -> u64 {
    let entries = found.entries.iter().map(|entry| entry.bytes).sum::<u64>();
    let blobs = found.blobs.iter().filter(|(digest, _)| !found.needed.contains(*digest));
    entries + blobs.map(|(_, blob)| blob.bytes).sum::<u64>()
}

/// How many bytes may stay; `None` where no size is asked for.
///
/// Source: BuildKit, `cache/manager.go` (`calculateKeepBytes`), but for a disk that is free enough, where nothing
/// goes here.
fn limit(options: &PruneOptions, total: u64, free: u64) -> Option<u64> {
    let by_free = options
        .min_free_space
        .map(|wanted| wanted.checked_sub(free).map_or(u64::MAX, |lacking| total.saturating_sub(lacking)));
    let limit = options.max_used_space.into_iter().chain(by_free).min();
    limit.map(|limit| limit.max(options.reserved_space.unwrap_or(0))).or(options.reserved_space)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::digest_of,
        prune::entry::{Blob, Entry, Removal},
    };

    const HOUR: Duration = Duration::from_hours(1);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR * 1000
    }

    fn blob(name: &str) -> Digest {
        digest_of(name.as_bytes())
    }

    /// Four steps that were used 1 to 4 hours ago, 10 bytes each with a blob of 100: the last two have one together, and
    /// that of the second has a name. And garbage of 50 bytes, 5 hours old.
    fn found() -> Found {
        let mut found = Found::default();
        for (hours, name) in [(1, "one"), (2, "shared"), (3, "three"), (4, "three")] {
            found.entries.push(Entry {
                kind: Kind::Step,
                path: format!("{hours}").into(),
                bytes: 10,
                used: now() - HOUR * hours,
                removal: Removal::File,
                blobs: [blob(name)].into(),
            });
        }
        for (name, bytes) in [("one", 100), ("shared", 100), ("three", 100), ("garbage", 50)] {
            found.blobs.insert(blob(name), Blob { bytes, written: now() - HOUR * 5 });
        }
        found.needed.insert(blob("shared"));
        found
    }

    fn decided(options: &PruneOptions, found: &Found, free: u64) -> (Vec<usize>, Vec<Digest>) {
        let Decision { entries, blobs } = decide(found, options, free, now());
        (entries, blobs)
    }

    #[test]
    fn without_a_wish_only_garbage_goes() {
        let options = PruneOptions::default();
        assert_eq!(decided(&options, &found(), 0), (vec![], vec![blob("garbage")]));
    }

    #[test]
    fn everything_goes_but_what_names_need_and_builds_use() {
        let options = PruneOptions { all: true, ..PruneOptions::default() };
        let mut found = found();
        let all = (vec![3, 2, 1, 0], vec![blob("garbage"), blob("three"), blob("one")]);
        assert_eq!(decided(&options, &found, 0), all);
        found.in_use = [blob("garbage"), blob("one")].into();
        assert_eq!(decided(&options, &found, 0), (vec![3, 2, 1, 0], vec![blob("three")]));
    }

    #[test]
    fn a_blob_goes_with_the_last_that_uses_it() {
        let options = PruneOptions { unused_for: Some(HOUR * 4), ..PruneOptions::default() };
        assert_eq!(decided(&options, &found(), 0), (vec![3], vec![blob("garbage")]));
        let options = PruneOptions { unused_for: Some(HOUR * 3), ..PruneOptions::default() };
        assert_eq!(decided(&options, &found(), 0), (vec![3, 2], vec![blob("garbage"), blob("three")]));
        let options = PruneOptions { all: true, unused_for: Some(HOUR * 6), ..PruneOptions::default() };
        assert_eq!(decided(&options, &found(), 0), (vec![], vec![]));
    }

    #[test]
    fn sizes_take_what_was_not_used_for_longest_until_they_are_met() {
        // 40 bytes of steps, 200 of blobs that no name needs, and the garbage.
        assert_eq!(cache_bytes(&found()), 290);
        let go = |max: Option<u64>, reserved: Option<u64>, min_free: Option<u64>| {
            let options = PruneOptions {
                max_used_space: max,
                reserved_space: reserved,
                min_free_space: min_free,
                ..PruneOptions::default()
            };
            decided(&options, &found(), 1000).0
        };
        assert_eq!(go(Some(240), None, None), [0; 0]);
        assert_eq!(go(Some(239), None, None), [3]);
        assert_eq!(go(Some(229), None, None), [3, 2]);
        assert_eq!(go(Some(0), None, None), [3, 2, 1, 0]);
        assert_eq!(go(Some(0), Some(230), None), [3]);
        assert_eq!(go(None, Some(230), None), [3]);
        assert_eq!(go(None, None, Some(1000)), [0; 0]);
        assert_eq!(go(None, None, Some(1020)), [3, 2]);
        assert_eq!(go(Some(1000), None, Some(1010)), [3]);
    }
}
