//! Files as this Windows has them: attributes and streams in one ordinary file, so that further names of it have them
//! too. What is of a directory stands beside it.

use std::{
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    backend::hcs::api::FileAttributes,
    oci::layer::windows::backup::{BackupReader, BackupWriter, StreamHeader, StreamKind},
};

/// How each begins.
const MAGIC: &[u8] = b"a file of Windows\n";
/// How a file begins that stands for one of the layers below.
const PLACE: &str = "a place of Windows: ";
/// What says of a directory what files say themselves.
const OF_DIRECTORY: &str = ".fake-directory";

/// Makes a file or directory.
pub(super) fn write(path: &Path, attributes: &FileAttributes, stream: &mut dyn Read) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(attributes.attributes.to_le_bytes());
    for time in [attributes.created, attributes.accessed, attributes.written, attributes.changed] {
        bytes.extend(time.to_le_bytes());
    }
    stream.read_to_end(&mut bytes)?;
    let is_real_directory = attributes.is_directory() && attributes.attributes & 0x400 == 0;
    if is_real_directory && !path.is_dir() {
        fs::create_dir(path)?;
    }
    let file = if path.is_dir() { beside(path) } else { path.to_owned() };
    fs::File::create(file)?.write_all(&bytes)
}

/// What [`write`] was given; what any other file would give.
pub(super) fn read(path: &Path) -> io::Result<(FileAttributes, Vec<u8>)> {
    let is_directory = fs::symlink_metadata(path)?.is_dir();
    let bytes = if is_directory { fs::read(beside(path)).unwrap_or_default() } else { fs::read(path)? };
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        let attributes =
            FileAttributes { attributes: if is_directory { 16 } else { 32 }, ..Default::default() };
        return Ok((attributes, if is_directory { Vec::new() } else { data(&bytes) }));
    };
    let (number, rest) = rest.split_first_chunk::<4>().ok_or(io::ErrorKind::InvalidData)?;
    let (times, rest) = rest.split_first_chunk::<32>().ok_or(io::ErrorKind::InvalidData)?;
    let times: Vec<i64> =
        times.chunks_exact(8).map(|time| i64::from_le_bytes(time.try_into().unwrap_or_default())).collect();
    let attributes = FileAttributes {
        attributes: u32::from_le_bytes(*number),
        created: times[0],
        accessed: times[1],
        written: times[2],
        changed: times[3],
    };
    Ok((attributes, rest.to_vec()))
}

/// Makes a file that stands for one of the layers below.
pub(super) fn hold(place: &Path, below: &Path) -> io::Result<()> {
    let held = match fs::read_to_string(below).ok().filter(|text| text.starts_with(PLACE)) {
        Some(held) => held,
        None => format!("{PLACE}{}", below.display()),
    };
    fs::write(place, held)
}

/// Whether a file was written with the rights of a backup.
pub(super) fn is_restored(path: &Path) -> bool {
    let file = if path.is_dir() { beside(path) } else { path.to_owned() };
    fs::read(file).is_ok_and(|bytes| bytes.starts_with(MAGIC))
}

/// Whether a name is one of this Windows' own.
pub(super) fn is_own(name: &str) -> bool {
    name.ends_with(OF_DIRECTORY)
}

/// The content of a file that was written with the rights of a backup, or of the one that it stands for.
pub(super) fn restored(path: &Path) -> Option<Vec<u8>> {
    let held = fs::read_to_string(path).ok().and_then(|text| Some(PathBuf::from(text.strip_prefix(PLACE)?)));
    if let Some(below) = held {
        return restored(&below);
    }
    content(&read(path).ok()?.1)
}

/// What the first stream of data in a row of streams holds.
pub(super) fn content(streams: &[u8]) -> Option<Vec<u8>> {
    let mut reader = BackupReader::new(streams);
    while let Some(header) = reader.next_stream().ok()? {
        if header.kind == StreamKind::Data {
            return reader.whole(&header, 1 << 30).ok();
        }
    }
    Some(Vec::new())
}

/// Whether something is a whole row of streams.
pub(super) fn is_streams(streams: &[u8]) -> bool {
    let mut reader = BackupReader::new(streams);
    loop {
        match reader.next_stream() {
            Ok(Some(_)) => {
                if io::copy(&mut reader, &mut io::sink()).is_err() {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// A row of streams with nothing but data.
pub(super) fn data(content: &[u8]) -> Vec<u8> {
    let mut writer = BackupWriter::new(Vec::new());
    let header = StreamHeader::new(StreamKind::Data, content.len() as u64);
    writer.stream(&header, content).expect("a stream");
    writer.finish().expect("streams")
}

fn beside(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.join(format!("{name}{OF_DIRECTORY}"))
}
