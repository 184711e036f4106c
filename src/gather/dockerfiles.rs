//! The Dockerfiles of a build, of which different platforms may have different ones.

use std::path::{Path, PathBuf};

use polyarch_actors::DockerfileSource;

use super::{
    contexts::Gathering,
    dockerfile::{read_inside, read_local},
    error::GatherError,
};
use crate::{error::Error, fetch::shown, images::blocking, spec::DockerfileInput};

/// Where a build's Dockerfiles are, as far as its context says so.
pub(super) enum Place {
    /// On this machine, where this is the context.
    Here(PathBuf),
    /// In a context that nobody vouches for.
    Inside {
        /// The context.
        folder: PathBuf,
        /// How errors call it, up to the path.
        shown: String,
        /// Whether even an absolute path is one in the context.
        is_all: bool,
    },
    /// One came instead of a context.
    Only {
        /// How errors call what came.
        what: String,
        /// The name of the Dockerfile.
        name: String,
        /// Its text.
        text: String,
    },
}

impl Gathering<'_> {
    /// Reads one Dockerfile.
    pub(super) async fn dockerfile(
        &mut self,
        place: &Place,
        input: &DockerfileInput,
    ) -> Result<DockerfileSource, Error> {
        let wanted = match (input, place) {
            (DockerfileInput::Text { name, text }, _)
            | (DockerfileInput::InContext, Place::Only { name, text, .. }) => {
                return Ok(DockerfileSource::new(name, text));
            }
            // It may not contradict what came.
            (_, Place::Only { what, .. }) => {
                return Err(GatherError::TwoDockerfiles { what: what.clone() }.into());
            }
            (DockerfileInput::Url(url), _) => {
                let file = self.file(url, "the Dockerfile").await?;
                let place = shown(url);
                let text = self.text(&file, &place).await?;
                return Ok(DockerfileSource::new(place, text));
            }
            (DockerfileInput::InContext, _) => None,
            (DockerfileInput::Path(path), _) => Some(path.clone()),
        };
        let is_here = wanted.as_deref().is_some_and(Path::is_absolute);
        let inside = match place {
            // A file of this machine, unless it can only mean one in the archive that came.
            Place::Inside { folder, shown, is_all } if *is_all || !is_here => {
                Some((folder.clone(), shown.clone()))
            }
            _ => None,
        };
        let context = if let Place::Here(context) = place { context.clone() } else { PathBuf::new() };
        blocking(move || match inside {
            Some((folder, shown)) => Ok(read_inside(&folder, wanted.as_deref(), &shown)?),
            None => Ok(read_local(&wanted.unwrap_or_else(|| context.join("Dockerfile")))?),
        })
        .await
    }
}
