//! Names of images, platforms and contents.

use polyarch::{Annotation, oci::Reference};
use polyarch_actors::{Digest, Platform};

/// Reads each line of the input as every kind of name.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    text.lines().take(64).for_each(check_line);
}

fn check_line(line: &str) {
    if let Ok(name) = line.parse::<Reference>() {
        assert_eq!(name.to_string().parse().as_ref(), Ok(&name), "{line:?} is written as another name");
        assert_eq!(name.familiar().parse().as_ref(), Ok(&name), "{line:?} has a short form of another name");
        assert!(name.familiar().len() <= name.to_string().len());
        assert!(!name.registry().is_empty() && !name.repository().is_empty());
        let harmless = |part: &str| !part.is_empty() && part != "." && part != "..";
        assert!(name.repository().split('/').all(harmless), "{line:?}");
        assert_eq!(name.repository(), name.repository().to_lowercase());
    }
    if let Ok(platform) = line.parse::<Platform>() {
        assert_eq!(platform.to_string().parse::<Platform>().as_ref(), Ok(&platform), "{line:?}");
        assert!(platform.is_satisfied_by(&platform) && platform.runs(&platform), "{line:?}");
    }
    if let Ok(digest) = line.parse::<Digest>() {
        assert_eq!(digest.as_str(), line, "a digest has one form");
    }
    let _ = line.parse::<Annotation>();
}
