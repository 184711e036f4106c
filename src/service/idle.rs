//! Connections of HTTP/2 on which nothing is asked for.

use std::{sync::Arc, time::Duration};

use hyper::rt::Executor;
use tokio::sync::watch;

/// Runs the requests of one connection, and knows how many there are. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    open: Arc<watch::Sender<usize>>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(0)) }
    }

    /// Ends when there has been none for as long as `patience`.
    pub(super) async fn idle(&self, patience: Duration) {
        let mut open = self.open.subscribe();
        loop {
            let none = open.wait_for(|open| *open == 0).await.is_ok();
            // One that ended meanwhile is a change too.
            if none && tokio::time::timeout(patience, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// Each future is a request, from its head to the end of its answer.
impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Requests {
    fn execute(&self, request: F) {
        let open = Open::new(&self.open);
        tokio::spawn(async move {
            let _open = open;
            request.await;
        });
    }
}

/// One request, until this is dropped.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(open: &Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_without_a_request_is_idle() {
        let requests = Requests::new();
        let began = Instant::now();
        requests.execute(sleep(Duration::from_mins(1)));
        let shorter = async {
            for _ in 0..5 {
                sleep(Duration::from_secs(15)).await;
                requests.execute(async {});
            }
        };
        let ((), ()) = tokio::join!(shorter, requests.idle(Duration::from_secs(20)));
        assert_eq!(began.elapsed().as_secs(), 95);
    }
}
