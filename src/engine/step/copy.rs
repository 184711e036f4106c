//! COPY.

use std::sync::Arc;

use polyarch_actors::Place;

use super::ready::{Flags, Ready};
use crate::{
    context::Ignore,
    dockerfile::{Copy, InstructionKind},
    engine::{
        build::Build,
        copy::{self, Destination},
        error::{EngineError, blocking},
        origins::Origin,
        source::{self, Picked},
        stage::Stage,
        step::Step,
    },
};

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

    /// Looks at a context, which is no part of any chain.
    pub(super) async fn pick(
        &self,
        origin: Origin,
        ready: Ready,
    ) -> Result<(Vec<Picked>, Ready), EngineError> {
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
}

/// Makes a stage that begins with everything in the named context.
pub(in crate::engine) async fn copy_context(
    build: &Arc<Build>,
    stage: &mut Stage,
    name: &str,
    place: &Place,
) -> Result<(), EngineError> {
    let text = format!("FROM the build context {name}");
    let step = Step { build, records: &build.records, number: 0, text: &text, place, run_follows: false };
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
