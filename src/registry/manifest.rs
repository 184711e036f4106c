//! Manifests and indexes: looking, reading, writing.
//!
//! Source: OCI distribution specification, "Pulling manifests" and "Pushing Manifests".

use std::collections::BTreeMap;

use polyarch_actors::{Descriptor, Digest};
use reqwest::{
    Method, Response,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
};

use super::{
    client::RegistryClient,
    connection,
    context::TransferCx,
    document,
    error::RegistryError,
    host::{Call, Host, Payload, Scopes},
};
use crate::oci::{LARGEST_DOCUMENT, Reference, digest_of};

const DIGEST_HEADER: &str = "docker-content-digest";

/// A manifest or index as a registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its kind, digest and length.
    pub descriptor: Descriptor,
    /// Its bytes, which have that digest.
    pub bytes: Vec<u8>,
}

impl RegistryClient {
    /// What a reference points at now, without its bytes where the registry says it in a header.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when there is no such manifest.
    pub async fn resolve(&self, reference: &Reference, cx: &TransferCx) -> Result<Descriptor, RegistryError> {
        let host = self.host(reference.registry());
        let scopes = Scopes::pull(reference.repository());
        let head = cx.retrying(&host.name, || self.head(&host, reference, &scopes)).await?;
        match head {
            Some(descriptor) => Ok(descriptor),
            None => Ok(self.manifest(reference, cx).await?.descriptor),
        }
    }

    /// Reads the manifest or index that a reference points at. A digest in the reference is what it must have;
    /// a tag beside it is not looked at.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] when there is no such manifest, [`RegistryError::DigestMismatch`] when the
    /// registry delivers another one.
    pub async fn manifest(&self, reference: &Reference, cx: &TransferCx) -> Result<Manifest, RegistryError> {
        let host = self.host(reference.registry());
        let scopes = Scopes::pull(reference.repository());
        cx.retrying(&host.name, || self.get(&host, reference, &scopes)).await
    }

    /// Reads the manifest of the image `reference` that an index points at with `entry`, and checks that it is what
    /// the index says.
    ///
    /// # Errors
    /// As [`RegistryClient::manifest`]; [`RegistryError::Protocol`] when it has another length or media type.
    pub(crate) async fn manifest_of(
        &self,
        reference: &Reference,
        entry: &Descriptor,
        cx: &TransferCx,
    ) -> Result<Manifest, RegistryError> {
        let manifest = self.manifest(&reference.with_digest(entry.digest.clone()), cx).await?;
        manifest.check(reference, entry)?;
        Ok(manifest)
    }

    /// Writes a manifest or index under the tag of a reference, or else under its own digest.
    ///
    /// # Errors
    /// [`RegistryError::DigestMismatch`] when the registry says it has kept another one.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
        cx: &TransferCx,
    ) -> Result<Digest, RegistryError> {
        let host = self.host(reference.registry());
        let scopes = Scopes::push(reference.repository());
        let digest = digest_of(bytes);
        let target = reference.tag().unwrap_or(digest.as_str());
        cx.retrying(&host.name, || self.put(&host, reference, target, media_type, bytes, &scopes)).await?;
        Ok(digest)
    }

    async fn head(
        &self,
        host: &Host,
        reference: &Reference,
        scopes: &Scopes,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let response = self.ask(host, Method::HEAD, reference, scopes).await?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let digest = header(DIGEST_HEADER).and_then(|digest| digest.parse::<Digest>().ok());
        let media_type = header(CONTENT_TYPE.as_str());
        let size = header(CONTENT_LENGTH.as_str()).and_then(|size| size.parse().ok());
        let (Some(digest), Some(media_type), Some(size)) = (digest, media_type, size) else {
            return Ok(None);
        };
        check(host, reference, reference.digest(), &digest)?;
        let media_type = document::without_parameters(&media_type);
        Ok(Some(Descriptor { media_type, digest, size, annotations: BTreeMap::new() }))
    }

    /// Reads a manifest once.
    pub(super) async fn get(
        &self,
        host: &Host,
        reference: &Reference,
        scopes: &Scopes,
    ) -> Result<Manifest, RegistryError> {
        let response = self.ask(host, Method::GET, reference, scopes).await?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let media_type = header(CONTENT_TYPE.as_str()).map(|text| document::without_parameters(&text));
        let named = header(DIGEST_HEADER).and_then(|digest| digest.parse::<Digest>().ok());
        let idle = self.shared.timeouts.idle;
        let (bytes, whole) = connection::body(response, &host.name, idle, LARGEST_DOCUMENT).await?;
        let odd = |reason: String| RegistryError::Protocol {
            registry: host.name.clone(),
            what: format!("manifest {reference}"),
            reason,
        };
        if !whole {
            return Err(odd(format!("it has more than {LARGEST_DOCUMENT} bytes")));
        }
        let digest = digest_of(&bytes);
        // The digest in the header is only the registry's word; it must not contradict the content either.
        check(host, reference, reference.digest().or(named.as_ref()), &digest)?;
        let media_type = document::read(&bytes, media_type.as_deref()).map_err(odd)?.media_type;
        let size = bytes.len() as u64;
        Ok(Manifest {
            descriptor: Descriptor { media_type, digest, size, annotations: BTreeMap::new() },
            bytes,
        })
    }

    async fn ask(
        &self,
        host: &Host,
        method: Method,
        reference: &Reference,
        scopes: &Scopes,
    ) -> Result<Response, RegistryError> {
        let target = reference.digest().map_or(reference.tag_or_latest(), Digest::as_str);
        let url = host.url(&self.shared, reference.repository(), &format!("manifests/{target}")).await?;
        let what = format!("manifest {reference}");
        let call = Call::new(method, url, scopes, &what).header(ACCEPT, document::ACCEPTED.join(", "));
        host.send(&self.shared, &call).await
    }

    /// Writes a manifest once.
    pub(super) async fn put(
        &self,
        host: &Host,
        reference: &Reference,
        target: &str,
        media_type: &str,
        bytes: &[u8],
        scopes: &Scopes,
    ) -> Result<(), RegistryError> {
        let url = host.url(&self.shared, reference.repository(), &format!("manifests/{target}")).await?;
        let what = format!("manifest {reference}");
        let call = Call::new(Method::PUT, url, scopes, &what)
            .header(CONTENT_TYPE, media_type)
            .payload(Payload::Bytes(bytes.to_vec()));
        let response = host.send(&self.shared, &call).await?;
        let kept = response.headers().get(DIGEST_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        kept.map_or(Ok(()), |kept: Digest| check(host, reference, Some(&digest_of(bytes)), &kept))
    }
}

impl Manifest {
    /// Whether this is what an index of the image `reference` says of it.
    pub(super) fn check(&self, reference: &Reference, entry: &Descriptor) -> Result<(), RegistryError> {
        if self.descriptor.size == entry.size && self.descriptor.media_type == entry.media_type {
            return Ok(());
        }
        Err(RegistryError::Protocol {
            registry: reference.registry().to_owned(),
            what: format!("manifest {}", entry.digest),
            reason: "its index gives it another length or media type".into(),
        })
    }
}

fn check(
    host: &Host,
    reference: &Reference,
    expected: Option<&Digest>,
    found: &Digest,
) -> Result<(), RegistryError> {
    match expected {
        Some(expected) if expected != found => Err(RegistryError::DigestMismatch {
            registry: host.name.clone(),
            what: format!("manifest {reference}"),
            expected: expected.clone(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}
