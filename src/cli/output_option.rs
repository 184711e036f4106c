//! `--output`, as buildx reads it.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    str::FromStr,
};

use super::{
    image_form,
    options::{fields, switch},
    report::Failure,
};
use crate::{
    dockerfile::nearest,
    output::{Destination, ImageOptions, Output, Push},
};

/// The types, and the fields that each has.
const TYPES: [(&str, &[&str]); 7] = [
    ("local", &["dest", "platform-split"]),
    ("tar", &["dest", "platform-split"]),
    ("oci", &["dest", "tar", "name"]),
    ("docker", &["dest", "name"]),
    ("image", &["push", "push-by-digest", "name", "name-canonical"]),
    ("registry", &["push-by-digest", "name", "name-canonical"]),
    ("cacheonly", &[]),
];

/// The types whose images may have a form of their own.
const IMAGES: [&str; 4] = ["oci", "docker", "image", "registry"];

/// An output; absent where nothing is to be kept but what later builds use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutputOption(pub(super) Option<Output>);

impl FromStr for OutputOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("nothing is given (use a folder, or type=TYPE)".into()),
            "-" => Ok(Self(Some(Output::Tar { to: Destination::Stdout, split: None }))),
            folder if !folder.contains('=') => {
                Ok(Self(Some(Output::Local { folder: folder.into(), split: None })))
            }
            text => Self::of_fields(fields(text)?),
        }
    }
}

impl OutputOption {
    /// Reads the fields of an output.
    pub(super) fn of_fields(mut fields: BTreeMap<String, String>) -> Result<Self, String> {
        let kinds = || TYPES.iter().map(|(kind, _)| *kind);
        let listed = || kinds().collect::<Vec<_>>().join(", ");
        let kind = fields.remove("type").ok_or_else(|| format!("no type is given ({})", listed()))?;
        let Some((kind, known)) = TYPES.iter().find(|(known, _)| *known == kind) else {
            return Err(match nearest(&kind, kinds()) {
                Some(meant) => format!("there is no output of type {kind:?}; did you mean {meant}?"),
                None => format!("there is no output of type {kind:?} ({})", listed()),
            });
        };
        let is_of_images = IMAGES.contains(kind);
        let of_images = if is_of_images { &image_form::FIELDS[..] } else { &[] };
        let known: Vec<&str> = known.iter().chain(of_images).copied().collect();
        let is_known = |key: &str| known.contains(&key) || (is_of_images && image_form::is_annotation(key));
        if let Some(unknown) = fields.keys().find(|key| !is_known(key)) {
            let what = format!("{unknown:?} is no field of an output of type {kind}");
            return Err(match nearest(unknown, known.iter().copied()) {
                Some(meant) => format!("{what}; did you mean {meant}?"),
                None if known.is_empty() => what,
                None => format!("{what} ({})", known.join(", ")),
            });
        }
        let split = fields.get("platform-split").map(|value| switch(Some(value), true)).transpose()?;
        let dest = fields.get("dest").map(String::as_str).filter(|dest| !dest.is_empty());
        let to = match dest {
            None | Some("-") => Destination::Stdout,
            Some(file) => Destination::File(file.into()),
        };
        let is = |key: &str, default: bool| switch(fields.get(key).map(String::as_str), default);
        let (push, archive) = (is("push", *kind == "registry")?, is("tar", true)?);
        // What is in a registry is always found by its digest.
        is("name-canonical", false)?;
        let push = match (push, is("push-by-digest", false)?) {
            (false, _) => Push::No,
            (true, false) => Push::Tags,
            (true, true) => Push::ByDigest,
        };
        Ok(Self(Some(match *kind {
            "local" => match to {
                Destination::File(folder) => Output::Local { folder, split },
                Destination::Stdout => return Err("files in a folder need a dest=FOLDER".into()),
            },
            "tar" => Output::Tar { to, split },
            "oci" if archive => Output::OciArchive { to, image: image(&fields)? },
            "oci" => match to {
                Destination::File(folder) => Output::OciDirectory { folder, image: image(&fields)? },
                Destination::Stdout => return Err("a layout that is no archive needs a dest".into()),
            },
            "docker" if dest.is_none() => Output::Load { image: image(&fields)? },
            "docker" => Output::Docker { to, image: image(&fields)? },
            "image" | "registry" => Output::Image { push, image: image(&fields)? },
            _ => return Ok(Self(None)),
        })))
    }
}

fn image(fields: &BTreeMap<String, String>) -> Result<ImageOptions, String> {
    let names = fields.get("name").into_iter().flat_map(|names| names.split(','));
    let names = names.map(str::trim).filter(|name| !name.is_empty()).map(str::parse);
    let names =
        names.collect::<Result<_, _>>().map_err(|error: crate::oci::ReferenceError| error.to_string())?;
    Ok(ImageOptions { names, form: image_form::read(fields)? })
}

/// Makes every image among the outputs go to its registries; there is one afterwards.
pub(super) fn push(outputs: &mut Vec<Output>) {
    let mut found = false;
    for output in outputs.iter_mut() {
        if let Output::Image { push, .. } = output {
            if *push == Push::No {
                *push = Push::Tags;
            }
            found = true;
        }
    }
    if !found {
        outputs.push(Output::registry());
    }
}

/// Makes the image go into a local store too.
pub(super) fn load(outputs: &mut Vec<Output>) {
    if !outputs.iter().any(|output| matches!(output, Output::Load { .. })) {
        outputs.push(Output::Load { image: ImageOptions::default() });
    }
}

/// Refuses what would make standard output unreadable.
pub(super) fn check_streams<'o>(outputs: impl IntoIterator<Item = &'o Output>) -> Result<(), Failure> {
    match outputs.into_iter().filter(|output| output.is_stream()).count() {
        1 if io::stdout().is_terminal() => Err(Failure::usage("an archive is not written to a terminal")
            .hint("name a file with dest=FILE, or send standard output elsewhere")),
        0 | 1 => Ok(()),
        _ => Err(Failure::usage("several archives cannot be written to standard output")
            .hint("name a file for each with dest=FILE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Output>, String> {
        text.parse::<OutputOption>().map(|option| option.0)
    }

    fn file(name: &str) -> Destination {
        Destination::File(name.into())
    }

    #[test]
    fn outputs_are_read_as_buildx_writes_them() {
        let image = ImageOptions::default;
        let pushed = |push| Output::Image { push, image: image() };
        for (text, output) in [
            ("out", Output::Local { folder: "out".into(), split: None }),
            ("-", Output::Tar { to: Destination::Stdout, split: None }),
            ("type=local,dest=out", Output::Local { folder: "out".into(), split: None }),
            (
                "type=local,dest=out,platform-split=false",
                Output::Local { folder: "out".into(), split: Some(false) },
            ),
            ("type=tar,dest=a.tar", Output::Tar { to: file("a.tar"), split: None }),
            ("type=oci,dest=a.tar", Output::oci_archive("a.tar")),
            ("type=oci", Output::OciArchive { to: Destination::Stdout, image: image() }),
            ("type=oci,dest=-", Output::OciArchive { to: Destination::Stdout, image: image() }),
            ("type=oci,dest=d,tar=false", Output::OciDirectory { folder: "d".into(), image: image() }),
            ("type=docker", Output::Load { image: image() }),
            ("type=docker,dest=-", Output::Docker { to: Destination::Stdout, image: image() }),
            ("type=docker,dest=a.tar", Output::Docker { to: file("a.tar"), image: image() }),
            ("type=registry", pushed(Push::Tags)),
            ("type=image,push=true", pushed(Push::Tags)),
            ("type=image", pushed(Push::No)),
            ("type=image,push-by-digest=true", pushed(Push::No)),
            ("type=image,push-by-digest=true,name-canonical=true,push=true", pushed(Push::ByDigest)),
            ("type=registry,push-by-digest=true", pushed(Push::ByDigest)),
        ] {
            assert_eq!(read(text), Ok(Some(output)), "{text}");
        }
        assert_eq!(read("type=cacheonly"), Ok(None));
        let named = read("type=image,\"name=a/b:1,c\",push=true").expect("an output").expect("one");
        let names = ["a/b:1", "c"].map(|name| name.parse().expect("a name"));
        assert_eq!(named.image().expect("an image").names, names);
    }

    #[test]
    fn what_is_no_output_says_why_and_what_was_meant() {
        for (text, reason) in [
            ("", "nothing is given"),
            ("dest=a.tar", "no type is given"),
            ("type=locl,dest=a", "did you mean local?"),
            ("type=nydus", "there is no output of type \"nydus\" (local, tar,"),
            ("type=local", "need a dest=FOLDER"),
            (
                "type=local,dest=out,compression=zstd",
                "\"compression\" is no field of an output of type local",
            ),
            ("type=tar,dst=a", "did you mean dest?"),
            ("type=oci,tar=false", "needs a dest"),
            ("type=registry,dest=a", "\"dest\" is no field of an output of type registry"),
            ("type=oci,tar=maybe,dest=a", "neither true nor false"),
            ("type=oci,type=oci", "type is given twice"),
            ("type=image,name=UPPER", "UPPER"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn pushing_changes_the_images_there_are_or_adds_one() {
        let mut outputs = vec![Output::Local { folder: "out".into(), split: None }];
        push(&mut outputs);
        push(&mut outputs);
        assert_eq!(outputs[1..], [Output::registry()]);
    }
}
