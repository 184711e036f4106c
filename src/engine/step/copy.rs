//! COPY.

use std::sync::Arc;

use polyarch_actors::Place;

use super::{
    dispatch,
    ready::{Flags, Ready},
};
use crate::{
    context::Ignore,
    dockerfile::{Copy, InstructionKind},
    engine::{
        build::Build,
        copy::{self, Destination},
        error::{EngineError, blocking},
        flight::Flights,
        key::Key,
        meter::{Meter, Part},
        origins::Origin,
        records::Record,
        source::{self, Picked},
        stage::Stage,
        step::Step,
    },
};

/// How much, in bytes.
const WORTH_READING_ONCE: u64 = 4 << 20;

impl Step<'_> {
    pub(super) async fn copy(&self, stage: &mut Stage, copy: &Copy) -> Result<bool, EngineError> {
        let flags = Flags {
            chown: copy.chown.as_ref(),
            chmod: copy.chmod.as_ref(),
            exclude: &copy.exclude,
            link: copy.link,
            parents: copy.parents,
        };
        let mut ready = self.ready("COPY", stage, &copy.sources, &flags)?;
        ready.paths = ready.paths.iter().map(|path| stage.path(path)).collect::<Result<_, _>>()?;
        let origin = match &copy.from {
            Some(from) => self.build.origin(&from.text, true, self.meter).await?,
            None => Origin::Context(None),
        };
        let key = ready.key("copy", stage, self.build.epoch);
        match origin {
            Origin::Chain(ref chain, _) => {
                // What is picked is decided by the chain, so nothing of it is looked at unless it is needed.
                let key =
                    key.field("chain").field(&*chain.id()).list(&ready.paths).list(&ready.patterns).end();
                let parent = stage.ground(&ready.destination.path);
                let reads = vec![parent.clone(), chain.clone()];
                let created_by = ready.created_by.clone();
                let make = move |build: &Build| {
                    let source = origin.open(build)?;
                    let picked = copy::pick(&source, &ready.paths, ready.parents, &ready.exclude)?;
                    ready.put(picked, build, &parent)
                };
                self.change(stage, &created_by, key, reads, make).await
            }
            Origin::Context(_) => {
                let (picked, ready) = self.pick(origin, ready).await?;
                self.put(stage, key.field("context"), picked, ready).await
            }
        }
    }

    /// Puts what was picked in a context on top of the stage.
    ///
    /// Files that nobody remembers are read to find what was made of them before. Where nothing of their shape was ever
    /// put anywhere there is nothing to find, and they are read once, for the layer.
    async fn put(
        &self,
        stage: &mut Stage,
        key: Key,
        picked: Vec<Picked>,
        ready: Ready,
    ) -> Result<bool, EngineError> {
        let (build, os, created_by) = (self.build, stage.platform.os(), ready.created_by.clone());
        let parent = stage.ground(&ready.destination.path);
        let shape = ready.shape(&picked, build.epoch);
        let turn = if worth_reading_once(&picked) && build.records.imports.is_empty() {
            // Another platform may be at it. Who comes later finds all of it.
            Some(Flights::turn(&shape, self.records, &build.cancel, self.meter).await?)
        } else {
            None
        };
        let (records, seen) = (self.records.clone(), shape.clone());
        let is_new = turn.is_some() && blocking(move || Ok(records.own(&seen).is_none())).await?;
        let mut entries = None;
        if is_new {
            self.meter.time(Part::Pulling, build.complete(&parent)).await?;
            let (owned, records, last) = (Arc::clone(build), self.records.clone(), self.last(&created_by));
            let (picked, ready, parent) = (picked.clone(), ready.clone(), parent.clone());
            let made = blocking(move || {
                let entries = ready.put(picked, &owned, &parent)?;
                dispatch::to_layer(&owned, &records, &entries, os, &last)?;
                Ok(entries)
            });
            entries = Some(self.meter.time(Part::Writing, made).await?);
        }
        let cancel = build.cancel.clone();
        let read = move || Ok((source::key(&picked, &cancel)?.end(), picked));
        let (of_picked, picked) = self.meter.time(Part::Writing, blocking(read)).await?;
        let reads = vec![parent.clone()];
        let make = move |build: &Build| match entries {
            Some(entries) => Ok(entries),
            None => ready.put(picked, build, &parent),
        };
        let cached =
            self.change(stage, &created_by, key.field(of_picked.as_str()).end(), reads, make).await?;
        if !cached {
            let (records, created) = (self.records.clone(), dispatch::created(build));
            let build = build.request.build.clone();
            let seen = Record { layer: None, created, build, imported: false };
            blocking(move || Ok(records.remember(&shape, &seen)?)).await?;
        }
        drop(turn);
        Ok(cached)
    }

    /// Looks at a context, which is no part of any chain.
    pub(super) async fn pick(
        &self,
        origin: Origin,
        ready: Ready,
    ) -> Result<(Vec<Picked>, Ready), EngineError> {
        let build = Arc::clone(self.build);
        let picked = blocking(move || {
            if ready.paths.is_empty() {
                return Ok((Vec::new(), ready));
            }
            let source = origin.open(&build)?;
            Ok((copy::pick(&source, &ready.paths, ready.parents, &ready.exclude)?, ready))
        });
        self.meter.time(Part::Writing, picked).await
    }
}

/// Makes a stage that begins with everything in the named context.
pub(in crate::engine) async fn copy_context(
    build: &Arc<Build>,
    stage: &mut Stage,
    name: &str,
    place: &Place,
    meter: &Meter,
) -> Result<(), EngineError> {
    let text = format!("FROM the build context {name}");
    let records = &build.records;
    let step = Step { build, records, meter, number: 0, text: &text, place, run_follows: false };
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
    let key = ready.key("context", stage, build.epoch);
    step.put(stage, key, picked, ready).await.map(drop)
}

/// Whether so much of this must be read that reading it twice takes longer than asking whether once is enough.
fn worth_reading_once(picked: &[Picked]) -> bool {
    let sizes = source::unread(picked).into_iter().map(|file| file.entry.stamp.size);
    sizes.sum::<u64>() >= WORTH_READING_ONCE
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
