//! What apk has installed.
//!
//! Source: Alpine wiki, "Apk spec", "Installed database V2".

use super::{
    found::{Found, Package},
    kind::lines,
};

/// Reads paragraphs whose fields have one letter.
pub(super) fn read(path: &str, bytes: &[u8], found: &mut Found) {
    let begin = || Package { kind: "apk", path: path.to_owned(), ..Package::default() };
    let mut package = begin();
    for line in lines(bytes).chain([""]) {
        match line.split_once(':') {
            None if line.is_empty() => found.add(std::mem::replace(&mut package, begin())),
            Some(("P", name)) => name.clone_into(&mut package.name),
            Some(("V", version)) => version.clone_into(&mut package.version),
            Some(("A", architecture)) => architecture.clone_into(&mut package.architecture),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_paragraph_is_a_package() {
        let text = "C:Q1x=\nP:musl\nV:1.2.3-r4\nA:x86_64\nF:lib\nR:ld.so\n\nP:zlib\nV:1.2.13-r0\nA:x86_64\n";
        let mut found = Found::default();
        read("installed", text.as_bytes(), &mut found);
        let names: Vec<_> = found.packages.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect();
        assert_eq!(names, [("musl", "1.2.3-r4"), ("zlib", "1.2.13-r0")]);
    }
}
