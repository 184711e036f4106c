//! How commands on indexes end badly.

use crate::{
    Error,
    cli::report::{Failure, exit},
    error::with_sources,
    index::IndexError,
    oci::LayoutReadError,
};

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let sentence = with_sources(&error);
        match error {
            IndexError::Store(error) | IndexError::Layout(LayoutReadError::Store(error)) => error.into(),
            IndexError::Registry(error) => error.into(),
            IndexError::Publish(report) => Error::Publish(report).into(),
            IndexError::Output(error) => Error::Output(error.into()).into(),
            IndexError::Gone { .. } => Self::input(sentence)
                .hint("publish what builds make with --push, or merge on the machine and with the store that built it"),
            IndexError::UnknownDigest { .. } => {
                Self::input(sentence).hint("write it as REGISTRY/NAME@sha256:…, or give a name with -t")
            }
            IndexError::Contended { .. } | IndexError::Late { .. } => Self::new(exit::REGISTRY, sentence),
            IndexError::Worker { .. } => Self::host(sentence),
            _ => Self::input(sentence),
        }
    }
}
