//! The sources, the destination and the flags of a COPY or an ADD, with their variables expanded.

use polyarch_actors::{Digest, ImageOs};

use crate::{
    context::Ignore,
    dockerfile::{Expander, Heredoc, Sources, Variables},
    engine::{
        build::Build,
        chain::Chain,
        changes::Changes,
        copy::{self, Destination},
        error::EngineError,
        key::Key,
        layer::Entries,
        mode::Mode,
        source::{self, Picked},
        stage::Stage,
        step::Step,
        tree::Tree,
        users,
    },
};

/// The flags that COPY and ADD share.
pub(super) struct Flags<'i> {
    pub(super) chown: Option<&'i String>,
    pub(super) chmod: Option<&'i String>,
    pub(super) exclude: &'i [String],
    pub(super) link: bool,
    pub(super) parents: bool,
}

/// Sources and flags with their variables expanded.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) paths: Vec<String>,
    pub(super) documents: Vec<(String, String)>,
    pub(super) target: String,
    pub(super) destination: Destination,
    pub(super) chown: Option<String>,
    pub(super) chmod: Option<String>,
    pub(super) patterns: Vec<String>,
    pub(super) exclude: Ignore,
    pub(super) parents: bool,
    pub(super) created_by: String,
}

impl Step<'_> {
    pub(super) fn ready(
        &self,
        name: &str,
        stage: &Stage,
        sources: &Sources,
        flags: &Flags<'_>,
    ) -> Result<Ready, EngineError> {
        let words = self.words(stage);
        let expand_all =
            |texts: &[String]| texts.iter().map(|text| words.expand(text)).collect::<Result<Vec<_>, _>>();
        let paths = expand_all(&sources.paths)?;
        let target = words.expand(&sources.destination)?;
        if target.is_empty() || paths.iter().any(String::is_empty) {
            return Err(EngineError::Invalid(format!("a path of {name} is empty")));
        }
        let mut created_by = vec![name.to_owned()];
        let mut destination = Destination::new(&stage.path(&target)?, &stage.workdir());
        destination.link = flags.link;
        let chown = flags.chown.map(|chown| words.expand(chown)).transpose()?;
        created_by.extend(chown.iter().map(|chown| format!("--chown={chown}")));
        let chmod = flags.chmod.map(|chmod| words.expand(chmod)).transpose()?;
        created_by.extend(chmod.iter().map(|chmod| format!("--chmod={chmod}")));
        created_by.extend(flags.parents.then(|| "--parents".to_owned()));
        destination.mode = chmod.as_deref().map(Mode::parse).transpose()?;
        let patterns = expand_all(flags.exclude)?;
        let exclude = Ignore::from_patterns(patterns.iter().map(String::as_bytes))
            .map_err(|error| EngineError::Invalid(format!("--exclude: {error}")))?;
        let documents = sources.heredocs.iter().map(|heredoc| {
            let text = document(heredoc, &stage.variables)?;
            Ok((heredoc.name.clone(), text))
        });
        let documents = documents.collect::<Result<Vec<_>, EngineError>>()?;
        created_by.extend(paths.iter().cloned());
        created_by.extend(sources.heredocs.iter().map(|heredoc| format!("<<{}", heredoc.name)));
        created_by.push(target.clone());
        let created_by = created_by.join(" ");
        let parents = flags.parents;
        Ok(Ready {
            paths,
            documents,
            target,
            destination,
            chown,
            chmod,
            patterns,
            exclude,
            parents,
            created_by,
        })
    }
}

impl Ready {
    /// What decides the result besides what is picked.
    pub(super) fn key(&self, kind: &str, stage: &Stage, epoch: Option<i64>) -> Key {
        self.add_to(Key::new(kind).field(&*stage.chain.id()), epoch)
    }

    /// What can be known of the result without reading a file, on whatever it is put. Equal results have equal shapes.
    pub(super) fn shape(&self, picked: &[Picked], epoch: Option<i64>) -> Digest {
        self.add_to(source::shape(picked), epoch).end()
    }

    fn add_to(&self, key: Key, epoch: Option<i64>) -> Key {
        let documents = self.documents.iter().flat_map(|(name, text)| [name, text]);
        key.field(self.destination.path.as_bytes())
            .field(&self.target)
            .field([self.destination.link, self.destination.is_directory, self.parents].map(u8::from))
            .option(self.chown.as_ref())
            .option(self.chmod.as_ref())
            .list(documents)
            .option(epoch.map(i64::to_le_bytes))
    }

    /// What is there, and where to put things.
    pub(super) fn begin(&self, build: &Build, parent: &Chain) -> Result<(Destination, Changes), EngineError> {
        let tree = build.tree(parent)?;
        let mut destination = self.destination.clone();
        if let Some(chown) = &self.chown {
            destination.owner = Some(users::owner(chown, &tree, &build.spools)?);
        }
        // A linked layer stands by itself: whatever is below, its directories are in it. So do all for Windows.
        let tree = if destination.link && tree.os() == ImageOs::Linux { Tree::default() } else { tree };
        Ok((destination, Changes::new(tree, build.epoch.unwrap_or(0))))
    }

    pub(super) fn documents(&self, build: &Build) -> impl Iterator<Item = Picked> {
        let modified = build.epoch.unwrap_or(0);
        self.documents.iter().map(move |(name, text)| copy::document(name, text.clone(), modified))
    }

    pub(super) fn put(
        &self,
        mut picked: Vec<Picked>,
        build: &Build,
        parent: &Chain,
    ) -> Result<Entries, EngineError> {
        let (destination, mut changes) = self.begin(build, parent)?;
        picked.extend(self.documents(build));
        copy::put(picked, &destination, &mut changes)?;
        Ok(changes.finish())
    }
}

fn document(heredoc: &Heredoc, variables: &Variables) -> Result<String, EngineError> {
    let text = heredoc.text();
    if !heredoc.expand {
        return Ok(text);
    }
    let expansion = Expander::for_heredoc(variables).expand(&text);
    Ok(expansion.map_err(|error| EngineError::Invalid(error.to_string()))?.text)
}
