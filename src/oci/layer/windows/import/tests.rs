use std::io::{self, Read};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        attributes::FileAttributes,
        path::LayerPath,
        support::{Disk, Kind, Tape, archive_of, made_of},
    },
    *,
};
use crate::archive::Limits;

fn file() -> Kind {
    Kind::File(b"x".to_vec())
}

fn link(target: &str) -> Kind {
    Kind::Symlink(target.to_owned())
}

fn hard(target: &str) -> Kind {
    Kind::Hardlink(target.to_owned())
}

/// Why a layer is refused, with all causes.
fn refusal(tape: &Tape, form: Form) -> String {
    let error = made_of(tape, form).map(|_| tape).expect_err("refused");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn what_is_hostile_is_refused_in_both_forms() {
    let begun = Tape::begun;
    for (tape, words) in [
        (begun().with("../Files/x", file()), "leads out"),
        (begun().with("Files/../../x", file()), "leads out"),
        (begun().with("/etc/passwd", file()), "neither below Files"),
        (begun().with("C:\\x", file()), "stream of a file that does not come right before"),
        (begun().with("Files\\x", file()), "cannot be on Windows"),
        (begun().with("tombstones.txt", file()), "neither below Files"),
        (begun().with("Filesystem/x", file()), "neither below Files"),
        (begun().with("UtilityVM", Kind::Directory).with("UtilityVM/x.vhdx", file()), "neither below Files"),
        (Tape::default().with("Files", file()), "neither below Files"),
        (Tape::default().with("Files", link("C:\\Windows")), "neither below Files"),
        (begun().with("Files/nul.txt", file()), "the name of a device"),
        (begun().with("Files/x.", file()), "drops dots"),
        (begun().with("Files/app.$wcidirs$", file()), "say in an export what directories have"),
        (begun().with("Files/app.$WciDirs$/x", file()), "say in an export what directories have"),
        (begun().with("Files/a", file()).with("Files/A", file()), "twice"),
        (begun().with("Files/a", Kind::Directory).with("files/A", Kind::Directory), "twice"),
        (begun().with("Files/a", file()).with("Files/A", hard("Files/a")), "twice"),
        (begun().with("Files/app/x", file()), "in no directory"),
        (Tape::default().with("Files/x", file()), "in no directory"),
        (begun().with("Files/a", file()).with("Files/A/x", file()), "which is no directory"),
        (begun().with("Files/l", link("C:\\Windows")).with("Files/L/x", file()), "which is no directory"),
        (begun().with("Files/l", link("..")).with("Files/l/x", Kind::Directory), "which is no directory"),
        (begun().with("Files/l", link("..")).with("Files/x", hard("Files/l")), "no file that layers link to"),
        (begun().with("Files/x", hard("Hives/System_Delta")), "no file that layers link to"),
        (begun().with("Hives/x", hard("Files/x")), "no file that layers link to"),
        (begun().with("Files/x", hard("Files")), "no file that layers link to"),
        (begun().with("Files/x", hard("../../etc/passwd")), "neither below Files"),
        (begun().with("Files/x", hard("Files/con")), "the name of a device"),
        (begun().with("Files/p", Kind::Other(tar::EntryType::Fifo)), "named pipe"),
        (begun().with("Files/p", Kind::Other(tar::EntryType::Char)), "named pipe"),
        (begun().with("Files/x:s", file()), "does not come right before"),
        (
            begun().with("Files/x", file()).with("Files/y", file()).with("Files/x:s", file()),
            "does not come right before",
        ),
        (begun().with("Files/x", file()).with("Files/x:", file()), "has a stream"),
        (begun().with("Files/x", file()).with("Files/x:a:$DATA", file()), "has a stream"),
        (begun().with("Files/x", file()).with("Files/x:a\\b", file()), "has a stream"),
        (begun().with("Files/x", file()).with("Files/x:s", file()).with("Files/x:S", file()), "has a stream"),
        (begun().with("Files/x", file()).said("MSWINDOWS.fileattr", "16"), "attributes of one"),
        (begun().with("Files/x", file()).said("MSWINDOWS.fileattr", "4294967296"), "malformed"),
        (begun().with("Files/x", file()).said("MSWINDOWS.rawsd", "?"), "malformed MSWINDOWS.rawsd"),
        (begun().with("Files/x", file()).said("MSWINDOWS.sd", "O:BA"), "as text"),
        (begun().with("Files/x", file()).said("LIBARCHIVE.creationtime", "now"), "malformed LIBARCHIVE"),
        (begun().with("Files/x", file()).said("MSWINDOWS.xattr.", "eA=="), "no plain ASCII"),
        (
            begun()
                .with("Files/x", file())
                .said("MSWINDOWS.xattr.A", "eA==")
                .said("MSWINDOWS.xattr.a", "eA=="),
            "two extended attributes",
        ),
        (begun().with("Files/m", link("..")).said("MSWINDOWS.mountpoint", "1"), "whole path only"),
        (begun().with("Files/m", link(&"x".repeat(4096))), "longer than Windows takes"),
    ] {
        for form in [Form::Base, Form::Diff] {
            let refusal = refusal(&tape, form);
            assert!(refusal.contains(words), "{tape:?}: {refusal}");
        }
    }
}

#[test]
fn each_form_has_what_only_it_refuses() {
    let begun = Tape::begun;
    for (tape, form, words) in [
        (begun().with("Files/.wh.x", file()), Form::Base, "deleted by the lowest layer"),
        (begun().with("Files/.wh..wh..opq", file()), Form::Base, "deleted by the lowest layer"),
        (begun().with("Files/x", hard("Files/below")), Form::Base, "no file that layers link to"),
        (begun().with("UtilityVM/Files/x", file()), Form::Base, "in no directory"),
        (begun().with("Hives/.wh.System_Delta", file()), Form::Diff, "is deleted, and layers delete below"),
        (begun().with(".wh.Files", file()), Form::Diff, "is deleted, and layers delete below"),
        (begun().with("UtilityVM/.wh.Files", file()), Form::Diff, "is deleted, and layers delete below"),
        (begun().with(".wh.x", file()), Form::Diff, "neither below Files"),
        (begun().with("Files/.wh.nul", file()), Form::Diff, "the name of a device"),
        (begun().with("Files/.wh...", file()), Form::Diff, "no plain path"),
        (begun().with("Files/.wh.d", file()).with("Files/D", Kind::Directory), Form::Diff, "makes again"),
        (
            begun().with("Files/l", link("C:\\x")).with("Files/l/.wh.y", file()),
            Form::Diff,
            "which is no directory",
        ),
        (
            begun().with("Files/l", link("C:\\x")).with("Files/y", hard("Files/l/y")),
            Form::Diff,
            "which is no directory",
        ),
    ] {
        let refusal = refusal(&tape, form);
        assert!(refusal.contains(words), "{tape:?}: {refusal}");
    }
}

#[test]
fn what_replaces_a_file_needs_no_deletion() {
    let tape = Tape::begun()
        .with("Files/.wh.x", file())
        .with("Files/X", file())
        .with("Files/.wh.gone", file())
        .with("Files/.wh..wh..opq", file());
    let disk = made_of(&tape, Form::Diff).expect("imported");
    let deleted: Vec<&str> = disk.done.deletions.iter().map(LayerPath::as_str).collect();
    assert_eq!(deleted, ["Files/gone"]);
}

#[test]
fn times_of_files_are_as_exact_as_the_archive_says_them() {
    let tape = Tape::begun().with("Files/x", file()).said("mtime", "1700000000.123456789");
    let disk = made_of(&tape, Form::Diff).expect("imported");
    let times = disk.nodes.values().filter_map(|node| match node {
        super::super::support::Node::Plain { times, .. } => Some(times.written),
        _ => None,
    });
    assert!(times.into_iter().any(|written| written == 133_444_736_001_234_567));
}

#[test]
fn no_layer_holds_more_than_it_may() {
    let archive = archive_of(&Tape::begun().with("Files/x", Kind::File(vec![1; 5000])));
    for limits in [
        Limits { bytes: 4096, ..Limits::default() },
        Limits { members: 2, ..Limits::default() },
        Limits { names: 100, ..Limits::default() },
    ] {
        let done = import(&archive[..], Form::Diff, &mut Disk::default(), limits, &CancellationToken::new());
        assert!(matches!(done, Err(ImportError::Archive(_))), "{done:?}");
    }
    let cut = &archive[..archive.len() - 5000];
    let done = import(cut, Form::Diff, &mut Disk::default(), Limits::default(), &CancellationToken::new());
    assert!(matches!(done, Err(ImportError::Archive(_))), "what is cut off is the layer's fault: {done:?}");
}

/// Takes a part of each stream, or fails.
struct Careless {
    fails: bool,
}

impl ImportSink for Careless {
    fn restore(
        &mut self,
        _: Place,
        _: &LayerPath,
        _: &FileAttributes,
        stream: &mut dyn Read,
    ) -> io::Result<()> {
        stream.read_exact(&mut [0])
    }

    fn directory(&mut self, _: &LayerPath) -> io::Result<()> {
        Ok(())
    }

    fn plain(&mut self, _: &LayerPath, _: &FileAttributes, content: &mut dyn Read) -> io::Result<()> {
        content.read_exact(&mut [0; 3])?;
        if self.fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn clone_utility_vm(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_the_disk_says_is_told_and_what_it_leaves_is_skipped() {
    let tape = Tape::begun().with("Files/x", Kind::File(vec![1; 5000])).with("Files/x:s", file());
    let archive = archive_of(&tape.with("Files/y", file()));
    let run = |fails: bool, cancel: &CancellationToken| {
        import(&archive[..], Form::Diff, &mut Careless { fails }, Limits::default(), cancel)
    };
    let cancel = CancellationToken::new();
    assert_eq!(run(false, &cancel).expect("imported").bytes, 5002);
    let full = run(true, &cancel).expect_err("full").to_string();
    assert_eq!(full, "cannot make Files");
    cancel.cancel();
    assert!(matches!(run(false, &cancel), Err(ImportError::Cancelled)));
}

/// Asks to stop after a part of a file.
struct Impatient(CancellationToken);

impl ImportSink for Impatient {
    fn restore(
        &mut self,
        _: Place,
        path: &LayerPath,
        _: &FileAttributes,
        stream: &mut dyn Read,
    ) -> io::Result<()> {
        if path.as_str() == "Files/x" {
            stream.read_exact(&mut [0; 100])?;
            self.0.cancel();
        }
        io::copy(stream, &mut io::sink()).map(drop)
    }

    fn directory(&mut self, _: &LayerPath) -> io::Result<()> {
        Ok(())
    }

    fn plain(&mut self, _: &LayerPath, _: &FileAttributes, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }

    fn clone_utility_vm(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_import_stops_in_the_middle_of_a_file() {
    let archive = archive_of(&Tape::begun().with("Files/x", Kind::File(vec![1; 5000])));
    let cancel = CancellationToken::new();
    let mut sink = Impatient(cancel.clone());
    let done = import(&archive[..], Form::Base, &mut sink, Limits::default(), &cancel);
    assert!(matches!(done, Err(ImportError::Cancelled)), "{done:?}");
}
