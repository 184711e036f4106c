//! Ctrl-C once cancels cleanly, twice ends the process at once; SIGTERM is a Ctrl-C with another exit code.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio_util::sync::CancellationToken;

use super::report::exit;

/// Cancels a token when a person or the system asks this process to end.
#[derive(Clone, Debug)]
pub(super) struct Interrupts {
    code: Arc<AtomicU8>,
}

impl Interrupts {
    /// Listens from now on, until the process ends.
    pub(super) fn cancel(token: CancellationToken) -> Self {
        let interrupts = Self { code: Arc::new(AtomicU8::new(exit::SUCCESS)) };
        let code = interrupts.code.clone();
        tokio::spawn(async move {
            code.store(next().await, Ordering::Relaxed);
            token.cancel();
            let again = next().await;
            // Helpers notice that this process is gone and clean up behind it.
            std::process::exit(i32::from(again));
        });
        interrupts
    }

    /// The exit code of the signal that came, if one came.
    pub(super) fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::Relaxed)).filter(|code| *code != exit::SUCCESS)
    }
}

#[cfg(unix)]
async fn next() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => exit::INTERRUPTED,
        _ = terminate.recv() => exit::TERMINATED,
    }
}

#[cfg(not(unix))]
async fn next() -> u8 {
    match tokio::signal::ctrl_c().await {
        Ok(()) => exit::INTERRUPTED,
        Err(_) => std::future::pending().await,
    }
}
