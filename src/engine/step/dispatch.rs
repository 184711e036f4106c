//! Which part carries an instruction out.

use std::sync::Arc;

use futures::FutureExt as _;
use polyarch_actors::{Digest, ImageOs, Place};

use crate::{
    dockerfile::{Instruction, InstructionKind},
    engine::{
        build::Build,
        chain::Chain,
        digests,
        error::{EngineError, blocking},
        flight::{Failures, How},
        key::Key,
        layer::{self, Entries},
        metadata::{self, Words},
        meter::{Meter, Part},
        records::{Record, Records},
        reuse::Reuse,
        stage::Stage,
    },
    time,
};

/// One instruction on its way.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Step<'b> {
    pub(in crate::engine) build: &'b Arc<Build>,
    /// Those that this instruction may use.
    pub(in crate::engine) records: &'b Records,
    /// Where the time goes.
    pub(in crate::engine) meter: &'b Meter,
    /// The number by which events know it.
    pub(in crate::engine) number: u32,
    /// The instruction on one line.
    pub(in crate::engine) text: &'b str,
    pub(in crate::engine) place: &'b Place,
    /// Whether a RUN of the same stage comes later.
    pub(in crate::engine) run_follows: bool,
}

impl Step<'_> {
    /// Carries the instruction out. Returns whether its result was there already.
    pub(in crate::engine) async fn carry_out(
        &self,
        stage: &mut Stage,
        instruction: &Instruction,
    ) -> Result<bool, EngineError> {
        match &instruction.kind {
            InstructionKind::Run(run) => self.run(stage, run).boxed().await,
            InstructionKind::Workdir(path) => self.workdir(stage, path).await,
            InstructionKind::Copy(copy) => self.copy(stage, copy).boxed().await,
            InstructionKind::Add(add) => self.add(stage, add).boxed().await,
            kind => {
                let build = self.build;
                let given = &build.request.build_args;
                metadata::apply(stage, kind, self.escape(), build.plan.globals(), given).map(|_| false)
            }
        }
    }

    pub(super) fn escape(&self) -> char {
        self.build.dockerfile.directives.escape
    }

    pub(super) fn words<'w>(&self, stage: &'w Stage) -> Words<'w> {
        Words { escape: self.escape(), variables: &stage.variables }
    }

    /// Makes a layer of what `make` puts in place on top of the stage, or finds the one that was made before under
    /// `key`. `reads` are the chains that `make` looks into.
    pub(super) async fn change(
        &self,
        stage: &mut Stage,
        created_by: &str,
        key: Digest,
        reads: Vec<Chain>,
        make: impl FnOnce(&Build) -> Result<Entries, EngineError> + Send + 'static,
    ) -> Result<bool, EngineError> {
        let (build, os) = (self.build, stage.platform.os());
        let work = async {
            for chain in &reads {
                self.meter.time(Part::Pulling, build.complete(chain)).await?;
            }
            let (owned, records) = (Arc::clone(build), self.records.clone());
            let last = self.last(created_by);
            let made = blocking(move || to_layer(&owned, &records, &make(&owned)?, os, &last));
            self.meter.time(Part::Writing, made).await.map_err(|error| error.at(self.place))
        };
        let flights = &build.engine.flights;
        let done =
            flights.once(&key, self.records, &build.cancel, self.meter, Failures::Shared, work).await?;
        stage.add(created_by, done.0);
        Ok(done.1 == How::Cached)
    }
}

impl Step<'_> {
    /// What this instruction made the last time; `what` tells apart the layers of one instruction.
    pub(super) fn last(&self, what: &str) -> Reuse {
        let folder = self.build.request.context.folder().as_os_str().as_encoded_bytes();
        let instruction =
            Key::new("instruction").field(folder).field(self.place.to_string()).field(what).end();
        Reuse::of(&self.build.engine.store, &instruction)
    }
}

/// A time as configs write it: now, unless the build says when.
pub(super) fn created(build: &Build) -> String {
    time::rfc3339(build.epoch.unwrap_or_else(time::now))
}

/// The layer that holds `entries`: the same entries have become one before, perhaps on top of other layers. That is
/// not asked where nobody has read their files yet.
pub(super) fn to_layer(
    build: &Build,
    records: &Records,
    entries: &Entries,
    os: ImageOs,
    last: &Reuse,
) -> Result<Record, EngineError> {
    let record = |layer| Record {
        layer,
        created: created(build),
        build: build.request.build.clone(),
        imported: false,
    };
    if entries.is_empty() {
        return Ok(record(None));
    }
    let unread = || digests::unread(layer::files(entries.values()));
    if unread().is_empty()
        && let Some(known) = records.own(&layer::key(entries, os, build.epoch)?)
    {
        return Ok(known);
    }
    let made = record(Some(layer::write(entries, os, build.epoch, last, &build.spools)?));
    // What is a hard link in the layer was not read.
    digests::read(&unread(), &build.cancel)?;
    records.remember(&layer::key(entries, os, build.epoch)?, &made)?;
    Ok(made)
}
