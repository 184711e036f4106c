//! Goes through the members of a layer.

use std::io::Read;

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        attributes::FileAttributes,
        backup::{StreamHeader, StreamKind},
        path::{DIRECTORY_STREAMS, LayerPath},
    },
    error::ImportError,
    members::{Known, Members, Part, is_top, is_utility_vm, placed},
    records::{attributes, streams},
    sink::{Form, ImportSink, Imported, ImportedLink, Place},
    stream::MemberStream,
};
use crate::{
    archive::{Archive, Limits, Member, MemberKind},
    oci::layer::check::WHITEOUT,
};

/// How the name of a deletion of everything in a directory goes on.
const OPAQUE: &str = ".wh..opq";

/// Gives `sink` what the uncompressed layer `archive` holds, in the order in which it is there. Returns what is to be
/// done when `ImportLayer` was called, or all files of a base are there.
///
/// Nobody needs to vouch for the archive: names that mean something else on Windows, paths that lead out or through
/// links, two members for one file, and whatever is beyond `limits` are refused. Names from the root count as names in
/// the layer. Deletions of everything in a directory delete nothing, as with hcsshim: layers of Windows do not know
/// them.
pub fn import(
    archive: impl Read,
    form: Form,
    sink: &mut dyn ImportSink,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<Imported, ImportError> {
    let mut archive = Archive::within(archive, limits);
    let (members, done) = (Members::new(form), Imported::default());
    let mut import = Import { form, sink, members, done, has_clone: false };
    let mut next = archive.next_member().map_err(ImportError::Archive)?;
    while let Some(member) = next {
        if cancel.is_cancelled() {
            return Err(ImportError::Cancelled);
        }
        next = import.take(&mut archive, member, cancel)?;
    }
    import.finish()
}

struct Import<'s> {
    form: Form,
    sink: &'s mut dyn ImportSink,
    members: Members,
    done: Imported,
    has_clone: bool,
}

impl Import<'_> {
    /// Takes a member, and returns the one behind it.
    fn take<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        member: Member,
        cancel: &CancellationToken,
    ) -> Result<Option<Member>, ImportError> {
        let name = member.path.as_bytes();
        if member.leads_out {
            return Err(ImportError::LeadsOut(String::from_utf8_lossy(name).into_owned()));
        }
        let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
        if last.contains(&b':') {
            return Err(ImportError::LostStream(String::from_utf8_lossy(name).into_owned()));
        }
        if let Some(deleted) = last.strip_prefix(WHITEOUT) {
            let path = [&name[..name.len() - last.len()], deleted].concat();
            self.delete(&path)?;
            return archive.next_member().map_err(ImportError::Archive);
        }
        let (path, part) = placed(name)?;
        if part == Part::UtilityVm {
            self.begin_utility_vm(&path)?;
        }
        let known = match &member.kind {
            MemberKind::Hardlink(target) => {
                self.link(path, part, target.as_bytes())?;
                return archive.next_member().map_err(ImportError::Archive);
            }
            MemberKind::Directory => Known::Directory,
            MemberKind::Symlink(_) => Known::Reparse,
            MemberKind::File => Known::File,
            MemberKind::Fifo | MemberKind::CharDevice { .. } | MemberKind::BlockDevice { .. } => {
                return Err(ImportError::Kind(path));
            }
        };
        if is_top(&path) && known != Known::Directory {
            return Err(ImportError::Outside(path));
        }
        self.members.enter(&path, known)?;
        let attributes = attributes(&path, &member)?;
        let is_cloned = self.form == Form::Diff && is_utility_vm(&path);
        if attributes.is_directory() && !is_cloned {
            self.done.directories.push((path.clone(), attributes));
        }
        self.make(archive, &path, part, &attributes, &member, cancel)
    }

    /// Makes a file, a directory or a link with all its streams.
    fn make<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        path: &LayerPath,
        part: Part,
        attributes: &FileAttributes,
        member: &Member,
        cancel: &CancellationToken,
    ) -> Result<Option<Member>, ImportError> {
        let failed = |source| ImportError::Sink { path: path.clone(), source };
        let is_hive = part == Part::Hives && !is_top(path);
        let is_plain = self.form == Form::Diff && part != Part::UtilityVm && !is_hive;
        let mut head = Vec::new();
        if is_plain {
            head.extend(attributes.attributes.to_le_bytes());
        }
        head.extend(streams(path, member)?);
        if member.kind == MemberKind::File {
            let header = StreamHeader::new(StreamKind::Data, member.size).encode();
            head.extend(header.map_err(|source| ImportError::Backup { path: path.clone(), source })?);
        }
        let mut stream = MemberStream::new(archive, path, member, head, cancel);
        let made = if self.form == Form::Diff && is_utility_vm(path) {
            // The clone has it.
            Ok(())
        } else if is_plain {
            let times = FileAttributes { attributes: 0, ..*attributes };
            if attributes.is_directory() {
                self.sink.directory(path).map_err(failed)?;
                self.sink.plain(&path.with_suffix(DIRECTORY_STREAMS), &times, &mut stream)
            } else {
                self.sink.plain(path, &times, &mut stream)
            }
        } else if self.form == Form::Diff && is_hive {
            let times = FileAttributes { attributes: 0, ..*attributes };
            if attributes.is_directory() {
                self.sink.directory(path).map_err(failed)?;
                self.sink.restore(Place::Staging, &path.with_suffix(DIRECTORY_STREAMS), &times, &mut stream)
            } else {
                self.sink.restore(Place::Staging, path, &times, &mut stream)
            }
        } else {
            self.sink.restore(Place::Layer, path, attributes, &mut stream)
        };
        let (next, bytes) = stream.finish(made)?;
        self.done.bytes = self.done.bytes.saturating_add(bytes);
        Ok(next)
    }

    fn link(&mut self, path: LayerPath, part: Part, target: &[u8]) -> Result<(), ImportError> {
        let (target, target_part) = placed(target)?;
        let refused = |target| ImportError::LinkTarget { path: path.clone(), target };
        let is_fit = part != Part::Hives && target_part != Part::Hives && !is_top(&path) && !is_top(&target);
        let is_in_layer = match self.members.at(&target) {
            Some(Known::File | Known::Hardlink) => true,
            Some(Known::Directory | Known::Reparse) => return Err(refused(target)),
            None => false,
        };
        if !is_fit || (!is_in_layer && self.form == Form::Base) {
            return Err(refused(target));
        }
        if !is_in_layer && target_part == Part::UtilityVm {
            self.begin_utility_vm(&target)?;
        }
        self.members.check_above(&target)?;
        self.members.enter(&path, Known::Hardlink)?;
        self.done.links.push(ImportedLink { path, target, is_in_layer });
        Ok(())
    }

    fn delete(&mut self, path: &[u8]) -> Result<(), ImportError> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let (path, part) = placed(path)?;
        if self.form == Form::Base {
            return Err(ImportError::DeletedInBase(path));
        }
        if name == OPAQUE.as_bytes() {
            return Ok(());
        }
        if part == Part::Hives || is_top(&path) {
            return Err(ImportError::Deleted(path));
        }
        if part == Part::UtilityVm {
            self.begin_utility_vm(&path)?;
        }
        self.done.deletions.push(path);
        Ok(())
    }

    fn begin_utility_vm(&mut self, path: &LayerPath) -> Result<(), ImportError> {
        self.done.has_utility_vm |= self.form == Form::Diff || path.as_str() == "UtilityVM/Files";
        if self.form == Form::Diff && !self.has_clone {
            self.has_clone = true;
            let failed = |source| ImportError::Sink { path: path.clone(), source };
            self.sink.clone_utility_vm().map_err(failed)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Imported, ImportError> {
        let mut deletions = Vec::new();
        for path in std::mem::take(&mut self.done.deletions) {
            self.members.check_above(&path)?;
            match self.members.at(&path) {
                // What the layer has hides what was there anyway.
                Some(Known::File | Known::Hardlink | Known::Reparse) => {}
                Some(Known::Directory) => return Err(ImportError::MadeAgain(path)),
                None => deletions.push(path),
            }
        }
        self.done.deletions = deletions;
        self.done.directories.reverse();
        Ok(self.done)
    }
}
