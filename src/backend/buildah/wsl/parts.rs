//! What of a request is sent into the distribution.

use std::io;

use polyarch_actors::{BuildError, BuildRequest, NamedContext, SecretSource};

use super::{
    arguments::{CONTEXT, base_place, context_place, secret_place, ssh_place},
    fetch::Fetched,
    pack::{Part, What},
};

/// What is sent: the context, named contexts, base images, secrets and keys.
pub(super) fn parts(request: &BuildRequest, fetched: &[Fetched]) -> Result<Vec<Part>, BuildError> {
    let ignore = request.dockerfile.ignore.clone();
    let context = What::Context { folder: request.context.folder().to_owned(), ignore };
    let mut parts = vec![Part { place: CONTEXT.to_owned(), what: context }];
    for (number, context) in request.build_contexts.values().enumerate() {
        if let NamedContext::Directory(folder) = context {
            let what = What::Context { folder: folder.clone(), ignore: None };
            parts.push(Part { place: context_place(number), what });
        }
    }
    for (number, base) in fetched.iter().enumerate() {
        parts.push(Part { place: base_place(number), what: What::Image(base.base.manifest.clone()) });
    }
    for (number, secret) in request.secrets.iter().enumerate() {
        let value = match &secret.source {
            SecretSource::File(path) => std::fs::read(path),
            SecretSource::Env(name) => std::env::var_os(name)
                .map(std::ffi::OsString::into_encoded_bytes)
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        };
        let unreadable =
            |error| BuildError::invalid(format!("the secret {:?} cannot be read: {error}", secret.id));
        parts.push(Part { place: secret_place(number), what: What::Private(value.map_err(unreadable)?) });
    }
    for (number, ssh) in request.ssh.iter().enumerate() {
        if ssh.paths.is_empty() {
            let message = format!(
                "the SSH agent {:?} of this machine cannot be reached from there; name a file with a key: --ssh {}=FILE",
                ssh.id, ssh.id
            );
            return Err(BuildError::invalid(message));
        }
        for (key, path) in ssh.paths.iter().enumerate() {
            let value = std::fs::read(path).map_err(|error| {
                BuildError::invalid(format!("the key {} cannot be read: {error}", path.display()))
            })?;
            parts.push(Part { place: ssh_place(number, key), what: What::Private(value) });
        }
    }
    Ok(parts)
}
