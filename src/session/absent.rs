//! The session of a host that runs no step: images without RUN are put together all the same.

use futures::{FutureExt as _, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{
    contract::{Output, Session, SessionReport},
    error::{SessionError, Unusable},
    outcome::StepOutcome,
    step::Step,
};

/// Refuses every step.
#[derive(Clone, Debug)]
pub struct NoSession(Unusable);

impl NoSession {
    /// `reason` is a fragment, and `advice` a sentence: see [`Unusable`].
    pub fn new(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self(Unusable::new(reason, advice))
    }
}

impl Session for NoSession {
    fn probe(&self) -> BoxFuture<'_, Result<SessionReport, Unusable>> {
        async { Err(self.0.clone()) }.boxed()
    }

    fn run<'a>(
        &'a self,
        _: Step,
        _: Output<'a>,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<StepOutcome, SessionError>> {
        async { Err(self.0.clone().into()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_without_a_session_says_why_and_what_to_do() {
        let session = NoSession::new("it runs no Linux programs", "Use another machine.");
        let unusable = session.probe().await.expect_err("nothing runs");
        assert_eq!((unusable.to_string(), &*unusable.advice), (unusable.reason, "Use another machine."));
        let (step, cancel) = (Step::default(), CancellationToken::new());
        let ran = session.run(step, &mut |_, _| {}, &cancel).await;
        assert!(matches!(ran, Err(SessionError::Unusable(_))));
    }
}
