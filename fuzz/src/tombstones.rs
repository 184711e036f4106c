//! What a layer of Windows deletes.

use polyarch::oci::layer::windows::tombstones::{read_tombstones, write_tombstones};

/// Reads the input as a list of deletions, and writes it again.
pub fn check(data: &[u8]) {
    for bytes in [data.to_vec(), [b"\xEF\xBB\xBFVersion 1.0\n\\".as_slice(), data].concat()] {
        let Ok(paths) = read_tombstones(&bytes[..], &[b"$Recycle.Bin"]) else { continue };
        for path in &paths {
            let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\\', ':', '\0']);
            assert!(path.components().all(is_name), "{path}");
        }
        let mut again = Vec::new();
        write_tombstones(&paths, &mut again).expect("written");
        assert_eq!(read_tombstones(&again[..], &[]).expect("read again"), paths);
    }
}
