//! What is built: contexts that have nothing in common but their base.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How many files are copied besides the one that makes the context unlike any other.
const FILES: u32 = 20;
const FILE_SIZE: usize = 4 << 10;

/// Writes this many contexts, whose Dockerfile has nine instructions. No step of one build is in the cache of another,
/// because the first thing that each copies is its own.
pub(crate) fn contexts(folder: &Path, base: &str, builds: usize) -> io::Result<Vec<PathBuf>> {
    (1..).take(builds).map(|number| context(&folder.join(number.to_string()), base, number)).collect()
}

fn context(folder: &Path, base: &str, number: u32) -> io::Result<PathBuf> {
    let source = folder.join("source");
    fs::create_dir_all(&source)?;
    fs::write(folder.join("number"), format!("{number}\n"))?;
    let mut noise = number;
    for file in 0..FILES {
        let bytes: Vec<u8> = (0..FILE_SIZE).map(|_| random(&mut noise)).collect();
        fs::write(source.join(file.to_string()), bytes)?;
    }
    let dockerfile = format!(
        "FROM {base}\n\
         COPY number /app/number\n\
         WORKDIR /app\n\
         RUN mkdir made && cat number > made/number\n\
         COPY source source\n\
         RUN cat source/* > made/all\n\
         RUN sha256sum made/all > made/sum\n\
         ENV SUM=/app/made/sum\n\
         CMD [\"cat\", \"/app/made/sum\"]\n"
    );
    fs::write(folder.join("Dockerfile"), dockerfile)?;
    Ok(folder.to_owned())
}

/// Half of the bytes are noise and the other half compress well, as with real files (Marsaglia's xorshift).
fn random(state: &mut u32) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    let [byte, which, ..] = state.to_le_bytes();
    if which % 2 == 0 { byte } else { b' ' }
}
