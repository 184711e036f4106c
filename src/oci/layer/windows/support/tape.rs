//! Archives as lists of members, written and read by the `tar` crate.

use std::{collections::BTreeMap, io::Read as _};

/// Members by their names, without a slash at the end, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Tape(pub(in super::super) Vec<Seen>);

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(in super::super) name: String,
    pub(in super::super) kind: Kind,
    pub(in super::super) modified: u64,
    pub(in super::super) records: BTreeMap<String, String>,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    Hardlink(String),
    Other(tar::EntryType),
}

impl Tape {
    /// The same with a further member.
    pub(in super::super) fn with(mut self, name: &str, kind: Kind) -> Self {
        let (name, records) = (name.to_owned(), BTreeMap::new());
        self.0.push(Seen { name, kind, modified: 1_700_000_000, records });
        self
    }

    /// The same with a record of the last member.
    pub(in super::super) fn said(mut self, name: &str, value: &str) -> Self {
        let last = self.0.last_mut().expect("a member");
        last.records.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What every layer begins with.
    pub(in super::super) fn begun() -> Self {
        Self::default().with("Files", Kind::Directory).with("Hives", Kind::Directory)
    }
}

pub(in super::super) fn archive_of(tape: &Tape) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for Seen { name, kind, modified, records } in &tape.0 {
        let mut header = tar::Header::new_ustar();
        let (kind, link, content) = match kind {
            Kind::File(content) => (tar::EntryType::Regular, "", content.as_slice()),
            Kind::Directory => (tar::EntryType::Directory, "", &[][..]),
            Kind::Symlink(target) => (tar::EntryType::Symlink, target.as_str(), &[][..]),
            Kind::Hardlink(target) => (tar::EntryType::Link, target.as_str(), &[][..]),
            Kind::Other(kind) => (*kind, "", &[][..]),
        };
        // The crate refuses names that lead out, and changes backslashes.
        let mut said: Vec<(&str, &[u8])> = vec![("path", name.as_bytes())];
        said.extend((!link.is_empty()).then_some(("linkpath", link.as_bytes())));
        said.extend(records.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
        builder.append_pax_extensions(said).expect("written");
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(*modified);
        header.set_cksum();
        builder.append(&header, content).expect("written");
    }
    builder.into_inner().expect("finished")
}

pub(in super::super) fn tape_in(archive: &[u8]) -> Tape {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("a member");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let records = entry.pax_extensions().expect("records").map_or_else(BTreeMap::new, |records| {
            let records = records.map(|record| record.expect("a record"));
            let told = records.map(|record| (text(record.key_bytes()), text(record.value_bytes())));
            told.filter(|(name, _)| !matches!(name.as_str(), "path" | "linkpath")).collect()
        });
        let name = text(&entry.path_bytes()).trim_end_matches('/').to_owned();
        let link = entry.link_name_bytes().map(|link| text(&link)).unwrap_or_default();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        let kind = match entry.header().entry_type() {
            tar::EntryType::Regular => Kind::File(content),
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink(link),
            tar::EntryType::Link => Kind::Hardlink(link),
            other => Kind::Other(other),
        };
        Seen { name, kind, modified: entry.header().mtime().expect("a time"), records }
    };
    Tape(archive.entries().expect("members").map(read).collect())
}
