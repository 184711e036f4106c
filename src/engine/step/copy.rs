//! COPY and ADD.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    context::Ignore,
    dockerfile::{Add, Copy, Expander, Heredoc, InstructionKind, Sources},
    engine::{
        add,
        build::{Build, Origin},
        changes::Changes,
        copy::{self, Destination},
        error::{EngineError, blocking},
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
struct Flags<'i> {
    chown: Option<&'i String>,
    chmod: Option<&'i String>,
    exclude: &'i [String],
    link: bool,
    parents: bool,
}

/// Sources and flags with their variables expanded.
#[derive(Clone)]
struct Ready {
    paths: Vec<String>,
    documents: Vec<(String, String)>,
    target: String,
    destination: Destination,
    chown: Option<String>,
    chmod: Option<String>,
    patterns: Vec<String>,
    exclude: Ignore,
    parents: bool,
    created_by: String,
}

impl Step<'_> {
    pub(super) async fn copy(&self, stage: &mut Stage, copy: &Copy) -> Result<bool, EngineError> {
        let flags = Flags {
            chown: copy.chown.as_ref(),
            chmod: copy.chmod.as_ref(),
            exclude: &copy.exclude,
            link: copy.link,
            parents: copy.parents,
        };
        let ready = self.ready("COPY", stage, &copy.sources, &flags)?;
        let origin = match &copy.from {
            Some(from) => self.build.origin(&from.text, true).await?,
            None => Origin::Context(None),
        };
        let key = ready.key("copy", stage, self.build.epoch);
        match origin {
            Origin::Chain(chain, _) if chain.layers().is_empty() && ready.paths.is_empty() => {
                let (parent, created_by) = (stage.chain.clone(), ready.created_by.clone());
                let key = key.end();
                let reads = vec![stage.chain.clone()];
                let make = move |build: &Build| ready.put(Vec::new(), build, &parent);
                self.change(stage, &created_by, key, reads, make).await
            }
            Origin::Chain(ref chain, _) => {
                // What is picked is decided by the chain, so nothing of it is looked at unless it is needed.
                let key = key.field("chain").field(chain.id()).list(&ready.paths).list(&ready.patterns).end();
                let reads = vec![stage.chain.clone(), chain.clone()];
                let (parent, created_by) = (stage.chain.clone(), ready.created_by.clone());
                let make = move |build: &Build| {
                    let source = origin.open(build)?;
                    let picked =
                        copy::pick(&source, &ready.paths, ready.parents, &ready.exclude, &build.cancel)?;
                    ready.put(picked, build, &parent)
                };
                self.change(stage, &created_by, key, reads, make).await
            }
            Origin::Context(_) => {
                let (picked, ready) = self.pick(origin, ready).await?;
                let key = key.field("context").field(source::key(&picked).end().as_str()).end();
                let (parent, created_by) = (stage.chain.clone(), ready.created_by.clone());
                let make = move |build: &Build| ready.put(picked, build, &parent);
                let reads = vec![stage.chain.clone()];
                self.change(stage, &created_by, key, reads, make).await
            }
        }
    }

    pub(super) async fn add(&self, stage: &mut Stage, instruction: &Add) -> Result<bool, EngineError> {
        let flags = Flags {
            chown: instruction.chown.as_ref(),
            chmod: instruction.chmod.as_ref(),
            exclude: &instruction.exclude,
            link: instruction.link,
            parents: false,
        };
        let ready = self.ready("ADD", stage, &instruction.sources, &flags)?;
        if let Some(remote) = ready.paths.iter().find(|path| add::is_remote(path)) {
            return Err(EngineError::Invalid(format!(
                "ADD {remote} is not supported by the native engine; use --backend buildah"
            )));
        }
        if instruction.checksum.is_some() {
            let reason = "--checksum is for what is downloaded; the sources here are files of the context";
            return Err(EngineError::Invalid(reason.into()));
        }
        let unpack = instruction.unpack;
        let key = ready.key("add", stage, self.build.epoch).option(unpack.map(|unpack| [u8::from(unpack)]));
        let (picked, ready) = self.pick(Origin::Context(None), ready).await?;
        let key = key.field(source::key(&picked).end().as_str()).end();
        let (parent, created_by) = (stage.chain.clone(), ready.created_by.clone());
        let make = move |build: &Build| {
            let mut plain = Vec::new();
            let (destination, mut changes) = ready.begin(build, &parent)?;
            for one in picked {
                match add::open_archive(&one, unpack)? {
                    Some(file) => {
                        let name = String::from_utf8_lossy(&one.name).into_owned();
                        add::unpack(file, &name, &destination, &mut changes, &build.spools)?;
                    }
                    None => plain.push(one),
                }
            }
            plain.extend(ready.documents(build));
            copy::put(plain, &destination, &mut changes)?;
            Ok(changes.finish())
        };
        let reads = vec![stage.chain.clone()];
        self.change(stage, &created_by, key, reads, make).await
    }

    /// Looks at a context, which is no part of any chain.
    async fn pick(&self, origin: Origin, ready: Ready) -> Result<(Vec<Picked>, Ready), EngineError> {
        let build = Arc::clone(self.build);
        blocking(move || {
            if ready.paths.is_empty() {
                return Ok((Vec::new(), ready));
            }
            let source = origin.open(&build)?;
            Ok((copy::pick(&source, &ready.paths, ready.parents, &ready.exclude, &build.cancel)?, ready))
        })
        .await
    }

    fn ready(
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
        let mut destination = Destination::new(&target, stage.workdir());
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
    fn key(&self, kind: &str, stage: &Stage, epoch: Option<i64>) -> Key {
        let documents = self.documents.iter().flat_map(|(name, text)| [name, text]);
        Key::new(kind)
            .field(stage.chain.id())
            .field(self.destination.path.as_bytes())
            .field(&self.target)
            .field([self.destination.link, self.destination.is_directory, self.parents].map(u8::from))
            .option(self.chown.as_ref())
            .option(self.chmod.as_ref())
            .list(documents)
            .option(epoch.map(i64::to_le_bytes))
    }

    /// What is there, and where to put things.
    fn begin(
        &self,
        build: &Build,
        parent: &crate::engine::chain::Chain,
    ) -> Result<(Destination, Changes), EngineError> {
        let tree = build.tree(parent)?;
        let mut destination = self.destination.clone();
        if let Some(chown) = &self.chown {
            destination.owner = Some(users::owner(chown, &tree, &build.spools)?);
        }
        // A linked layer stands by itself: whatever is below, its directories are in it.
        let tree = if destination.link { Tree::default() } else { tree };
        Ok((destination, Changes::new(tree, build.epoch.unwrap_or(0))))
    }

    fn documents(&self, build: &Build) -> impl Iterator<Item = Picked> {
        let modified = build.epoch.unwrap_or(0);
        self.documents.iter().map(move |(name, text)| copy::document(name, text.clone(), modified))
    }

    fn put(
        &self,
        mut picked: Vec<Picked>,
        build: &Build,
        parent: &crate::engine::chain::Chain,
    ) -> Result<Entries, EngineError> {
        let (destination, mut changes) = self.begin(build, parent)?;
        picked.extend(self.documents(build));
        copy::put(picked, &destination, &mut changes)?;
        Ok(changes.finish())
    }
}

fn document(heredoc: &Heredoc, variables: &BTreeMap<String, String>) -> Result<String, EngineError> {
    let text = heredoc.text();
    if !heredoc.expand {
        return Ok(text);
    }
    let expansion = Expander::for_heredoc(variables).expand(&text);
    Ok(expansion.map_err(|error| EngineError::Invalid(error.to_string()))?.text)
}

/// Makes a stage that begins with everything in the named context.
pub(in crate::engine) async fn copy_context(
    build: &Arc<Build>,
    stage: &mut Stage,
    name: &str,
) -> Result<(), EngineError> {
    let (text, place) = (format!("FROM the build context {name}"), build.dockerfile.file.clone());
    let step = Step { build, number: 0, text: &text, place: &place };
    let ready = Ready {
        paths: vec!["/".to_owned()],
        documents: Vec::new(),
        target: "/".to_owned(),
        destination: Destination::new("/", "/"),
        chown: None,
        chmod: None,
        patterns: Vec::new(),
        exclude: Ignore::default(),
        parents: false,
        created_by: text.clone(),
    };
    let (picked, ready) = step.pick(Origin::Context(Some(name.to_owned())), ready).await?;
    let key = ready.key("context", stage, build.epoch).field(source::key(&picked).end().as_str()).end();
    let parent = stage.chain.clone();
    let make = move |build: &Build| ready.put(picked, build, &parent);
    step.change(stage, &text, key, Vec::new(), make).await.map(drop)
}

/// Whether an instruction goes on over further lines with documents.
pub(in crate::engine) fn has_documents(kind: &InstructionKind) -> bool {
    match kind {
        InstructionKind::Copy(copy) => !copy.sources.heredocs.is_empty(),
        InstructionKind::Add(add) => !add.sources.heredocs.is_empty(),
        InstructionKind::Run(run) => !run.heredocs.is_empty(),
        _ => false,
    }
}
