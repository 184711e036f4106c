//! What caches elsewhere say that steps led to.

use polyarch::cache::fuzzing;

/// Reads the input as a document of steps, and as a manifest that may carry one.
pub fn check(data: &[u8]) {
    let read = fuzzing::steps(data);
    assert_eq!(read, fuzzing::steps(data), "the same bytes are the same document");
    if let Some(inline) = fuzzing::manifest(data) {
        let _ = fuzzing::steps(inline.as_bytes());
    }
}
