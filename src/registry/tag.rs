//! Moves one tag, and knows afterwards whether it has moved.
//!
//! A request whose answer is lost may have been taken. It is made again, which changes nothing where it was; when that
//! is over and it is still not known, the tag is looked at.

use std::sync::{Mutex, PoisonError};

use super::{
    client::RegistryClient,
    context::{TransferCx, TransferEvent},
    error::RegistryError,
    host::Scopes,
    plan::Stored,
    retry::RetryLimits,
};
use crate::oci::Reference;

/// How often a tag is looked at again where the look fails.
const LOOKS: u32 = 2;

/// What the requests so far may have done to a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    /// Nothing: the registry was not reached, or has refused.
    Untouched,
    /// The registry has failed and is done with it.
    Failed,
    /// It may be at work on it now.
    Pending,
}

impl Doubt {
    fn after(error: &RegistryError) -> Self {
        match error {
            // A gateway that waited in vain does not know what the registry behind it does.
            RegistryError::Interrupted { .. }
            | RegistryError::Stalled { .. }
            | RegistryError::Refused { status: 502 | 504, .. } => Self::Pending,
            // A registry that says it has kept something else has kept something.
            RegistryError::Refused { status: 500.., .. } | RegistryError::DigestMismatch { .. } => {
                Self::Failed
            }
            _ => Self::Untouched,
        }
    }
}

/// Moves a tag to what is published; nothing is left to do for a name without one.
///
/// # Errors
/// [`RegistryError::Uncertain`] when it may have moved, and any other when it has not.
pub(super) async fn point(
    client: &RegistryClient,
    reference: &Reference,
    root: &Stored,
    cx: &TransferCx,
) -> Result<(), RegistryError> {
    if cx.cancelled() {
        return Err(RegistryError::Cancelled);
    }
    let Some(tag) = reference.tag() else { return Ok(()) };
    let host = client.host(reference.registry());
    let scopes = Scopes::push(reference.repository());
    let doubt = Mutex::new(Doubt::Untouched);
    let doubted = || *doubt.lock().unwrap_or_else(PoisonError::into_inner);
    let set = |new| *doubt.lock().unwrap_or_else(PoisonError::into_inner) = new;
    let request = || async {
        let before = doubted();
        // Who is cancelled here does not come back to say how it ended.
        set(Doubt::Pending);
        let end = client.put(&host, reference, tag, &root.media_type, &root.bytes, &scopes).await;
        set(before.max(end.as_ref().map_or_else(Doubt::after, |()| Doubt::Untouched)));
        end
    };
    let end = cx.retrying(&host.name, request).await;
    let end = match end {
        Err(error) => settled(client, reference, tag, root, error, doubted(), cx).await,
        end => end,
    };
    end.inspect(|()| {
        cx.emit(TransferEvent::Tagged { reference: reference.to_string(), digest: root.digest.clone() });
    })
}

/// What a failure to move a tag means, where that has to be looked for.
async fn settled(
    client: &RegistryClient,
    reference: &Reference,
    tag: &str,
    root: &Stored,
    error: RegistryError,
    doubt: Doubt,
    cx: &TransferCx,
) -> Result<(), RegistryError> {
    if doubt == Doubt::Untouched {
        return Err(error);
    }
    let uncertain =
        |cause| RegistryError::Uncertain { target: reference.to_string(), cause: Box::new(cause) };
    // Who cancels does not wait for an answer.
    let Ok(name) = reference.with_tag(tag) else { return Err(uncertain(error)) };
    if cx.cancelled() {
        return Err(uncertain(error));
    }
    let limits = RetryLimits { retries: LOOKS, ..RetryLimits::default() };
    let look = TransferCx::new(cx.cancel_token(), limits, |_| {});
    let (host, scopes) = (client.host(name.registry()), Scopes::push(name.repository()));
    match look.retrying(&host.name, || client.get(&host, &name, &scopes)).await {
        Ok(found) if found.bytes == root.bytes => Ok(()),
        Ok(_) | Err(RegistryError::NotFound { .. }) if doubt == Doubt::Failed => Err(error),
        _ => Err(uncertain(error)),
    }
}
