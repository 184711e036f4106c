//! Ctrl-C once cancels cleanly, twice ends the process at once; SIGTERM is a Ctrl-C with another exit code.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::report::exit;

/// Cancels a token when a person or the system asks this process to end.
#[derive(Clone, Debug)]
pub(super) struct Interrupts {
    code: watch::Receiver<u8>,
}

impl Interrupts {
    /// Listens from now on, until the process ends.
    pub(super) fn cancel(token: CancellationToken) -> Self {
        let (first, code) = watch::channel(exit::SUCCESS);
        tokio::spawn(async move {
            first.send_replace(next().await);
            token.cancel();
            let again = next().await;
            // Helpers notice that this process is gone and clean up behind it.
            std::process::exit(i32::from(again));
        });
        Self { code }
    }

    /// Waits for the first signal, and says its exit code.
    pub(super) async fn first(&self) -> u8 {
        let mut code = self.code.clone();
        let came = code.wait_for(|code| *code != exit::SUCCESS).await.map(|code| *code);
        match came {
            Ok(code) => code,
            Err(_) => std::future::pending().await,
        }
    }

    /// The exit code of the signal that came, if one came.
    pub(super) fn code(&self) -> Option<u8> {
        Some(*self.code.borrow()).filter(|code| *code != exit::SUCCESS)
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
