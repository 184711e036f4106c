//! Images that no careful program would make, written byte by byte into a store.

use std::{collections::BTreeMap, io::Write as _};

use polyarch::{
    actors::{Descriptor, Digest},
    oci::{Store, digest_of},
};
use serde_json::{Value, json};

/// An archive that is being written.
pub(crate) struct Tar(Vec<u8>);

/// What a member is, as archives number it.
pub(crate) const FILE: u8 = b'0';
pub(crate) const HARD_LINK: u8 = b'1';
pub(crate) const SYMLINK: u8 = b'2';
pub(crate) const CHAR_DEVICE: u8 = b'3';
pub(crate) const DIRECTORY: u8 = b'5';
pub(crate) const FIFO: u8 = b'6';

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a member whose name and link are as they are given, whatever they are.
    pub(crate) fn member(mut self, kind: u8, name: impl AsRef<[u8]>, link: &str, body: &[u8]) -> Self {
        let name = name.as_ref();
        if name.len() > 100 {
            self = self.header(b'L', b"././@LongLink", "", name.len()).body(name);
        }
        self.header(kind, &name[..name.len().min(100)], link, body.len()).body(body)
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, text: &str) -> Self {
        self.member(FILE, name, "", text.as_bytes())
    }

    pub(crate) fn link(self, name: impl AsRef<[u8]>, target: &str) -> Self {
        self.member(SYMLINK, name, target, b"")
    }

    /// Says more of the next member, in PAX records.
    pub(crate) fn with(self, records: &[(&str, &str)]) -> Self {
        let record = |(key, value): &(&str, &str)| {
            let rest = key.len() + value.len() + 3;
            // The length counts its own digits, of which there are at most four.
            let length = (rest + 1..=rest + 4).find(|length| *length == rest + length.to_string().len());
            format!("{} {key}={value}\n", length.expect("a length"))
        };
        let body: String = records.iter().map(record).collect();
        self.member(b'x', "PaxHeaders", "", body.as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    fn header(mut self, kind: u8, name: &[u8], link: &str, size: usize) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..107].copy_from_slice(b"0000755");
        block[108..115].copy_from_slice(b"0000000");
        block[116..123].copy_from_slice(b"0000000");
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[136..147].copy_from_slice(b"00000000007");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..263].copy_from_slice(b"ustar\0");
        block[329..336].copy_from_slice(b"0000001");
        block[337..344].copy_from_slice(b"0000005");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend(block);
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.0.extend(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }
}

/// Compresses with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

/// Compresses with zstd.
pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).expect("compressed")
}

/// How many bytes a MiB is.
pub(crate) const MEBIBYTE: usize = 1 << 20;

/// An archive with the file `file` of so many MiB of one byte: what compressed one MiB, again and again.
pub(crate) fn bomb(byte: u8, mebibytes: usize, compress: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let header = Tar::new().header(FILE, b"file", "", MEBIBYTE * mebibytes).0;
    let body = compress(&vec![byte; MEBIBYTE]).repeat(mebibytes);
    [compress(&header), body, compress(&[0; 1024])].concat()
}

/// A layer: a blob, and the digest that its image gives to what is in it.
pub(crate) struct Layer {
    pub(crate) blob: Vec<u8>,
    pub(crate) diff_id: Digest,
}

impl Layer {
    /// An honest one, compressed.
    pub(crate) fn of(archive: &[u8]) -> Self {
        Self { blob: gzip(archive), diff_id: digest_of(archive) }
    }

    /// One with the file `file` of so many MiB of one byte, in as few bytes as gzip can.
    pub(crate) fn of_one_byte(byte: u8, mebibytes: usize) -> Self {
        let whole = bomb(byte, mebibytes, <[u8]>::to_vec);
        Self { blob: bomb(byte, mebibytes, gzip), diff_id: digest_of(&whole) }
    }
}

/// Puts an image for this machine into the store.
pub(crate) fn image(store: &Store, layers: &[Layer]) -> Descriptor {
    image_with(store, layers, |_| {}, |_| {})
}

/// Puts an image into the store whose config and manifest are changed before.
pub(crate) fn image_with(
    store: &Store,
    layers: &[Layer],
    config: impl FnOnce(&mut Value),
    manifest: impl FnOnce(&mut Value),
) -> Descriptor {
    let blob = |bytes: &[u8], kind: &str| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": store.put(bytes).expect("stored"),
            "size": bytes.len(),
        })
    };
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
    let mut written = json!({
        "os": "linux", "architecture": "amd64",
        "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config(&mut written);
    let blobs: Vec<Value> = layers.iter().map(|layer| blob(&layer.blob, "layer.v1.tar+gzip")).collect();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let mut described = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": blob(written.to_string().as_bytes(), "config.v1+json"),
        "layers": blobs,
    });
    manifest(&mut described);
    let bytes = described.to_string().into_bytes();
    Descriptor {
        media_type: media_type.into(),
        digest: store.put(&bytes).expect("stored"),
        size: bytes.len() as u64,
        annotations: BTreeMap::new(),
    }
}
