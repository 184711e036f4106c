//! What a RUN can ask for that no Windows has.

use polyarch_actors::ImageOs;

use super::{
    ast::{Dockerfile, Instruction, InstructionKind, Run, Security},
    error::Span,
    plan::Plan,
};

/// Why a RUN cannot be run on Windows, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowsRunError {
    /// A mount.
    #[error("steps on Windows have no mounts: write COPY or COPY --from instead of RUN --mount")]
    Mount,
    /// A document for the shell.
    #[error(
        "the shells of Windows read no here-documents: write the script into a file with COPY <<EOF, and run that file"
    )]
    Heredoc,
    /// All rights.
    #[error(
        "on Windows there is no RUN --security=insecure: write USER ContainerAdministrator before the step"
    )]
    Insecure,
}

/// Why a RUN cannot be run on Windows, if it cannot.
pub(crate) fn unfit_run(run: &Run) -> Option<WindowsRunError> {
    let refused = [
        (!run.mounts.is_empty(), WindowsRunError::Mount),
        (!run.heredocs.is_empty(), WindowsRunError::Heredoc),
        (run.security == Security::Insecure, WindowsRunError::Insecure),
    ];
    refused.into_iter().find_map(|(asked, error)| asked.then_some(error))
}

/// The first RUN of the stages for Windows that Windows cannot run.
pub(crate) fn first_unfit_run(dockerfile: &Dockerfile, plan: &Plan) -> Option<(Span, WindowsRunError)> {
    let stages =
        plan.stages.iter().filter(|stage| stage.platform.os() == ImageOs::Windows && !stage.replaced);
    let mut instructions = stages.flat_map(|stage| &dockerfile.stages[stage.number].instructions);
    let unfit = |instruction: &Instruction| match &instruction.kind {
        InstructionKind::Run(run) => Some((instruction.span, unfit_run(run)?)),
        _ => None,
    };
    instructions.find_map(unfit)
}
