//! What is built. The same scale gives the same bytes on every machine.
//!
//! Half of the content is noise and half is text whose words are as often as Zipf's law says: one does not compress,
//! the other as source code does.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The kinds of contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ten instructions, three of them RUN, and 50 small files.
    Small,
    /// 20,000 files of 1.5 to 25 kB, 200 MB in all.
    Files,
    /// One file of 1 GiB.
    Big,
    /// A stage that compiles on this machine's CPU, and an image with what it made.
    Compile,
    /// Ten RUN steps, each of a few milliseconds.
    Runs,
    /// Several contexts of 200 files that have nothing in common.
    Many,
}

/// Where contexts are, and how large they are made.
pub(crate) struct Contexts {
    pub(crate) folder: PathBuf,
    /// The base image's name.
    pub(crate) base: String,
    /// 1 for the sizes that the kinds tell of.
    pub(crate) scale: f64,
    /// How far the compile stage counts.
    pub(crate) count: u64,
}

/// Bytes from Marsaglia's xorshift, and text of words from it.
struct Source {
    state: u64,
    /// A few MiB of text, of which each file gets another part.
    text: Vec<u8>,
}

impl Contexts {
    /// The contexts of a kind, which are made when they are first asked for.
    pub(crate) fn of(&self, kind: Kind) -> Vec<PathBuf> {
        let builds = if kind == Kind::Many { self.scaled(8, 2) } else { 1 };
        let folders = (0..builds).map(|number| (number, self.folder.join(format!("{kind:?}-{number}"))));
        folders
            .map(|(number, folder)| {
                if !folder.exists() {
                    self.fill(kind, number, &folder).expect("a context");
                }
                folder
            })
            .collect()
    }

    /// How many RUN steps the context of that kind has.
    pub(crate) fn runs(&self) -> u64 {
        self.scaled(10, 2)
    }

    /// Changes one file, to something that it never was.
    pub(crate) fn change(context: &Path, round: usize) {
        let file = context.join("source/0/1");
        fs::write(file, format!("changed {round}\n")).expect("written");
    }

    fn scaled(&self, full: u32, least: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
        let scaled = (f64::from(full) * self.scale) as u64;
        scaled.max(least)
    }

    fn fill(&self, kind: Kind, number: u64, folder: &Path) -> io::Result<()> {
        let source = folder.join("source");
        let mut content = Source::new(number + 1);
        let base = &self.base;
        let dockerfile = match kind {
            Kind::Small => {
                content.files(&source, 50, |_| 1 << 10)?;
                format!(
                    "FROM {base}\n\
                     LABEL maker=bench\n\
                     ENV LEVEL=1\n\
                     WORKDIR /app\n\
                     RUN mkdir made\n\
                     COPY source source\n\
                     RUN cat source/0/* > made/all\n\
                     RUN sha256sum made/all > made/sum\n\
                     EXPOSE 80\n\
                     CMD [\"cat\", \"/app/made/sum\"]\n"
                )
            }
            Kind::Files => {
                content.files(&source, self.scaled(20_000, 20), |random| {
                    // Of small files there are more than of large ones.
                    let share = random % 1000;
                    1500 + usize::try_from(share * share * 235 / 10_000).unwrap_or_default()
                })?;
                "FROM scratch\nCOPY source /source\n".to_owned()
            }
            Kind::Big => {
                content.file(&source.join("big"), self.scaled(1 << 14, 16))?;
                "FROM scratch\nCOPY source /source\n".to_owned()
            }
            Kind::Compile => {
                content.files(&source, 20, |_| 1 << 10)?;
                let counting = counting(self.count);
                format!(
                    "FROM --platform=$BUILDPLATFORM {base} AS compile\n\
                     COPY source source\n\
                     RUN {counting}; echo $i > made\n\
                     FROM scratch\n\
                     COPY --from=compile made /made\n\
                     COPY source /source\n"
                )
            }
            Kind::Runs => {
                fs::create_dir_all(folder)?;
                let steps: Vec<_> = (0..self.runs()).map(|step| format!("RUN echo {step}\n")).collect();
                format!("FROM {base}\n{}", steps.concat())
            }
            Kind::Many => {
                content.files(&source, self.scaled(200, 10), |_| 4 << 10)?;
                format!(
                    "FROM {base}\n\
                     COPY source /source\n\
                     RUN sha256sum source/*/* > sums\n\
                     RUN echo {number} > number\n"
                )
            }
        };
        fs::write(folder.join("Dockerfile"), dockerfile)
    }
}

/// What a shell does to look as busy as a compiler.
pub(crate) fn counting(to: u64) -> String {
    format!("i=0; while [ $i -lt {to} ]; do i=$((i+1)); done")
}

impl Source {
    fn new(seed: u64) -> Self {
        let mut source = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), text: Vec::new() };
        source.text = source.zipf(4 << 20);
        source
    }

    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn noise(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            bytes.extend(self.random().to_le_bytes());
        }
        bytes.truncate(size);
        bytes
    }

    fn part_of_text(&mut self, size: usize) -> &[u8] {
        let random = usize::try_from(self.random() >> 33).unwrap_or_default();
        let start = random % (self.text.len() - size);
        &self.text[start..start + size]
    }

    /// Words of 2 to 8 letters; the second is half as often as the first, the third a third as often.
    fn zipf(&mut self, size: usize) -> Vec<u8> {
        let mut words = Vec::new();
        let mut sums = Vec::new();
        let mut sum = 0;
        for rank in 1..=4096_u64 {
            let letters = self.random().to_le_bytes();
            let length = 2 + usize::from(letters[0] % 7);
            let word: Vec<u8> = letters.iter().take(length).map(|byte| b'a' + byte % 26).collect();
            words.push(word);
            sum += 1_000_000 / rank;
            sums.push(sum);
        }
        let mut text = Vec::with_capacity(size + 16);
        while text.len() < size {
            let at = self.random() % sum;
            let word = sums.partition_point(|end| *end <= at);
            text.extend(&words[word]);
            text.push(if at.is_multiple_of(11) { b'\n' } else { b' ' });
        }
        text
    }

    /// Writes files, a hundred in a folder.
    fn files(&mut self, folder: &Path, files: u64, size: fn(u64) -> usize) -> io::Result<()> {
        for file in 0..files {
            let folder = folder.join((file / 100).to_string());
            fs::create_dir_all(&folder)?;
            let size = size(self.random() >> 20);
            let path = folder.join((file % 100).to_string());
            if file % 2 == 0 {
                fs::write(path, self.noise(size))?;
            } else {
                fs::write(path, self.part_of_text(size))?;
            }
        }
        Ok(())
    }

    /// Writes one file of this many times 64 KiB.
    fn file(&mut self, path: &Path, runs: u64) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        let mut file = io::BufWriter::new(File::create(path)?);
        for run in 0..runs {
            if run % 2 == 0 {
                file.write_all(&self.noise(64 << 10))?;
            } else {
                file.write_all(self.part_of_text(64 << 10))?;
            }
        }
        file.flush()
    }
}
