//! From the images of the platforms to one index, in each form that an output wants.

use std::collections::BTreeMap;

use polyarch_actors::{BuiltImage, Descriptor, ImageOs};
use tokio_util::sync::CancellationToken;

use crate::{
    attest::{Facts, Said, Statement, attest},
    cache::{CacheExport, INLINE},
    error::Error,
    oci::{
        Store, StoreError,
        index::{EntryPlatform, Index, IndexEntry, annotate_manifest},
        media_type,
    },
    output::{ImageForm, MediaTypes, Output, recast},
    spec::{Annotation, AnnotationLevel, BuildSpec},
};

/// What an index is made of, beside the images.
pub(crate) struct Assembly {
    pub(crate) store: Store,
    pub(crate) spec: BuildSpec,
    pub(crate) facts: Vec<Facts>,
    pub(crate) cancel: CancellationToken,
}

/// The images of a build in one form, and what was made of them.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) form: ImageForm,
    /// In the requested order.
    pub(crate) images: Vec<BuiltImage>,
    pub(crate) index: Descriptor,
    /// What is said about each image.
    pub(crate) statements: Vec<Vec<Statement>>,
    /// What a person should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Assembly {
    /// The images in every form that an output wants, the form of the first such output first; at least one. It blocks.
    pub(crate) fn casts(&self, built: &[BuiltImage]) -> Result<Vec<Cast>, Error> {
        let mut forms: Vec<&ImageForm> = Vec::new();
        for form in self.spec.outputs.iter().filter_map(Output::form) {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        let as_they_are = ImageForm::default();
        if forms.is_empty() {
            forms.push(&as_they_are);
        }
        forms.into_iter().map(|form| self.cast(built, form)).collect()
    }

    /// Puts the images into one index, in the requested order, and behind them what is said about them.
    fn cast(&self, built: &[BuiltImage], form: &ImageForm) -> Result<Cast, Error> {
        let (store, epoch) = (&self.store, self.spec.epoch()?);
        let annotations: Vec<_> = self.spec.annotations.iter().chain(&form.annotations).collect();
        let carries_cache = self.spec.cache_to.contains(&CacheExport::Inline);
        let (mut index, mut images, mut said) = (Index::default(), Vec::new(), Vec::<Said>::new());
        if form.media_types == MediaTypes::Docker {
            media_type::DOCKER_INDEX.clone_into(&mut index.media_type);
        }
        index.annotations = chosen(&annotations, AnnotationLevel::Index, None);
        for image in built {
            let image = recast(store, image, form, epoch, &self.cancel)?;
            let mut for_manifest = chosen(&annotations, AnnotationLevel::Manifest, Some(&image));
            if let Some(steps) = image.steps.as_ref().filter(|_| carries_cache) {
                let steps = store.read_document(&steps.digest)?;
                for_manifest.insert(INLINE.to_owned(), String::from_utf8_lossy(&steps).into_owned());
            }
            let mut manifest = if for_manifest.is_empty() {
                image.manifest.clone()
            } else {
                annotate_manifest(store, &image.manifest, &for_manifest)?
            };
            manifest.annotations = chosen(&annotations, AnnotationLevel::ManifestDescriptor, Some(&image));
            if let Some(facts) = self.facts.iter().find(|facts| facts.are_of(&image)) {
                said.extend(attest(store, facts, &image, &manifest, &self.cancel)?);
            }
            let mut entry = IndexEntry::new(manifest, &image.platform);
            if image.platform.os() == ImageOs::Windows {
                entry.platform = Some(stated_platform(store, &image)?);
            }
            index.add(entry)?;
            images.push(image);
        }
        said.iter().try_for_each(|said| index.add(said.entry.clone()))?;
        let index = index.save(store)?;
        let warnings = said.iter().flat_map(|said| said.warnings.clone()).collect();
        let statements = said.into_iter().map(|said| said.statements).collect();
        Ok(Cast { form: form.clone(), images, index, statements, warnings })
    }
}

/// What the config of an image says it is for, with the features that the system needs for it.
fn stated_platform(store: &Store, image: &BuiltImage) -> Result<EntryPlatform, Error> {
    let config = store.read_document(&image.config)?;
    let stated: EntryPlatform = serde_json::from_slice(&config).map_err(|error| StoreError::Malformed {
        what: format!("the config {}", image.config),
        reason: error.to_string(),
    })?;
    Ok(EntryPlatform { os_features: stated.os_features, ..EntryPlatform::from(&image.platform) })
}

/// The annotations of one level that are for an image, or for no image in particular.
fn chosen(
    all: &[&Annotation],
    level: AnnotationLevel,
    image: Option<&BuiltImage>,
) -> BTreeMap<String, String> {
    let applies = |annotation: &&&Annotation| {
        annotation.level == level
            && annotation
                .platform
                .as_ref()
                .is_none_or(|wanted| image.is_some_and(|image| wanted.is_satisfied_by(&image.platform)))
    };
    all.iter().filter(applies).map(|annotation| (annotation.key.clone(), annotation.value.clone())).collect()
}
