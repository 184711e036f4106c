//! A desk in memory whose builds do what a test says. It is stricter than a real one: what the service may not ask
//! makes it panic, which the test sees as an answer with the status 500.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use polyarch::{
    BuildSpec, ContextInput, Receipt,
    actors::{BuildEvent, BuildId, Digest, EventKind, StepNetwork, Timestamp},
    queue::{BuildState, LaneState},
    service::{
        Answer, BackendDocument, BackendLoad, BuildDocument, Desk, DeskError, EventLines, How, LaneDocument,
        ListFilter, ListPage, Load, Order, QueueDocument, QueuedBuild, Submission, Taken, TenantLoad,
        TenantName, TextPieces, WaitingDocument,
    },
};
use tokio::sync::watch;

/// Keeps builds in memory.
pub(crate) struct MemoryDesk {
    builds: Arc<Mutex<Vec<Entry>>>,
    changed: watch::Sender<u64>,
    closed: Mutex<Option<String>>,
    breaks: AtomicBool,
}

#[derive(Clone)]
struct Entry {
    spec: BuildSpec,
    submission: Submission,
    request: Digest,
    document: BuildDocument,
    events: Vec<Bytes>,
}

impl MemoryDesk {
    pub(crate) fn new() -> Self {
        Self {
            builds: Arc::default(),
            changed: watch::channel(0).0,
            closed: Mutex::default(),
            breaks: AtomicBool::new(false),
        }
    }

    /// The spec of the only build there is.
    pub(crate) fn only(&self) -> (BuildSpec, Submission) {
        let builds = self.builds();
        let [build] = &builds[..] else { panic!("{} builds are there", builds.len()) };
        (build.spec.clone(), build.submission.clone())
    }

    /// How many builds were ever taken.
    pub(crate) fn count(&self) -> usize {
        self.builds().len()
    }

    /// Takes no builds from now on.
    pub(crate) fn close(&self, reason: &str) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// Notes a fact about a build.
    pub(crate) fn tell(&self, build: &str, kind: EventKind) {
        let mut builds = self.builds();
        let entry = builds.iter_mut().find(|entry| entry.document.id.as_str() == build).expect("a build");
        assert!(entry.document.ended.is_none(), "nothing happens to a build that has ended");
        match &kind {
            EventKind::Started => {
                entry.document.state = BuildState::Running;
                entry.document.waiting = None;
                entry.document.started = Some(Timestamp::now());
                entry.document.attempt += 1;
            }
            EventKind::Finished { error } => {
                entry.document.state = match error {
                    None => BuildState::Succeeded,
                    Some(_) if entry.document.cancelling => BuildState::Cancelled,
                    Some(_) => BuildState::Failed,
                };
                entry.document.cancelling = false;
                entry.document.ended = Some(Timestamp::now());
            }
            _ => {}
        }
        let event = BuildEvent {
            version: serde_json::from_str("1").expect("a version"),
            build: entry.document.id.clone(),
            platform: None,
            sequence: entry.events.len() as u64,
            time: Timestamp::now(),
            kind,
        };
        entry.events.push(serde_json::to_vec(&event).expect("json").into());
        drop(builds);
        self.changed.send_modify(|change| *change += 1);
    }

    /// Panics from now on when somebody asks for the queue.
    pub(crate) fn break_down(&self) {
        self.breaks.store(true, Ordering::SeqCst);
    }

    fn builds(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, tenant: &TenantName, build: &BuildId) -> Result<Entry, DeskError> {
        let builds = self.builds();
        let found =
            builds.iter().find(|entry| entry.document.id == *build && entry.document.tenant == *tenant);
        found.cloned().ok_or(DeskError::NotFound)
    }

    fn take(&self, order: Order) -> Result<Taken, DeskError> {
        check(&order);
        if let Some(detail) = self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(DeskError::Closed { detail });
        }
        let mut builds = self.builds();
        let key = &order.submission.idempotency_key;
        let is_own = |entry: &&mut Entry| entry.document.tenant == order.tenant.name;
        let same = builds
            .iter_mut()
            .filter(is_own)
            .find(|entry| key.is_some() && entry.submission.idempotency_key == *key);
        if let Some(same) = same {
            if format!("{:?}", same.spec) != format!("{:?}", order.spec) {
                return Err(DeskError::KeyReused);
            }
            same.document.attached += 1;
            return Ok(Taken { build: same.document.clone(), how: How::SameKey });
        }
        let waiting = builds.iter().filter(|entry| entry.document.tenant == order.tenant.name);
        let waiting = waiting.filter(|entry| entry.document.state == BuildState::Queued).count();
        if order.tenant.max_waiting.is_some_and(|most| waiting >= most) {
            let detail = format!("{waiting} builds of the tenant wait already");
            return Err(DeskError::Full { detail, retry_after: 7 });
        }
        let lane = |platform: &polyarch::actors::Platform| LaneDocument {
            platform: platform.clone(),
            state: LaneState::Queued,
            backend: None,
        };
        let document = BuildDocument {
            id: BuildId::generate(),
            tenant: order.tenant.name.clone(),
            state: BuildState::Queued,
            name: order.spec.tags.first().map(ToString::to_string),
            context: order.context,
            platforms: order.spec.platforms.clone(),
            priority: order.submission.priority,
            submitted: Timestamp::now(),
            started: None,
            ended: None,
            attempt: 0,
            attached: 0,
            cancelling: false,
            waiting: Some(WaitingDocument { ahead: waiting, reason: "every slot is taken".into() }),
            lanes: order.spec.platforms.iter().map(lane).collect(),
            error: None,
            index: None,
        };
        let Order { spec, submission, request, .. } = order;
        builds.push(Entry { spec, submission, request, document: document.clone(), events: Vec::new() });
        Ok(Taken { build: document, how: How::New })
    }

    fn lines(
        &self,
        tenant: &TenantName,
        build: &BuildId,
        after: Option<u64>,
    ) -> Result<EventLines, DeskError> {
        self.entry(tenant, build)?;
        let (builds, build, changed) = (Arc::clone(&self.builds), build.clone(), self.changed.subscribe());
        let next = after.map_or(0, |after| after.saturating_add(1));
        let next = usize::try_from(next).unwrap_or(usize::MAX);
        Ok(futures::stream::unfold((next, changed), move |(next, mut changed)| {
            let (builds, build) = (Arc::clone(&builds), build.clone());
            async move {
                loop {
                    changed.borrow_and_update();
                    let (line, ended) = {
                        let builds = builds.lock().unwrap_or_else(PoisonError::into_inner);
                        let entry = builds.iter().find(|entry| entry.document.id == build)?;
                        (entry.events.get(next).cloned(), entry.document.state.is_final())
                    };
                    match line {
                        Some(line) => return Some((Ok((next as u64, line)), (next + 1, changed))),
                        None if ended => return None,
                        None => changed.changed().await.ok()?,
                    }
                }
            }
        })
        .boxed())
    }
}

/// What a service may hand over.
fn check(order: &Order) {
    let Order { tenant, spec, context, pinned, submission, .. } = order;
    match &spec.context {
        ContextInput::Archive(file) => {
            assert!(*pinned && file.is_file() && context.starts_with("upload sha256:"), "{context}");
            let own: PathBuf = ["contexts", tenant.name.as_str()].iter().collect();
            assert!(file.parent().is_some_and(|folder| folder.ends_with(own)), "{}", file.display());
        }
        ContextInput::Enclosed(folder) => {
            assert!(!*pinned && context.starts_with("path "), "{context}");
            let is_in = |root: &PathBuf| folder.starts_with(root.canonicalize().expect("a path"));
            assert!(tenant.paths.iter().any(is_in), "{}", folder.display());
        }
        ContextInput::Git(_) => assert!(context.starts_with("git ") && !context.contains('@'), "{context}"),
        other => panic!("{other:?} is no context that others may name"),
    }
    assert!(spec.outputs.iter().all(|output| output.pushes() && output.path().is_none()));
    assert!(spec.secrets.iter().all(|secret| tenant.secrets.contains_key(&secret.id)));
    let confined = (spec.steps.network == StepNetwork::None, spec.steps.refuse_host_network);
    assert_eq!(confined, (!tenant.network, !tenant.network));
    assert!(spec.ssh.is_empty() && !spec.steps.allow_insecure && spec.build_contexts.is_empty());
    match (&spec.registry.authfile, &tenant.authfile) {
        // Nobody's credentials.
        (Some(given), None) => assert_eq!(std::fs::read(given).expect("a file"), b"{}\n"),
        (given, own) => assert_eq!(given, own),
    }
    if let polyarch::DockerfileInput::Path(path) = &spec.dockerfile {
        assert!(path.is_relative() && !path.components().any(|part| part.as_os_str() == ".."));
    }
    assert!((-100..=100).contains(&submission.priority));
}

impl Desk for MemoryDesk {
    fn submit(&self, order: Order) -> BoxFuture<'_, Result<Taken, DeskError>> {
        async move { self.take(order) }.boxed()
    }

    fn replayed<'a>(
        &'a self,
        tenant: &'a TenantName,
        key: &'a str,
        request: &'a Digest,
    ) -> Answer<'a, Option<BuildDocument>> {
        async move {
            let is_it = |entry: &&Entry| {
                let Entry { submission, document, .. } = entry;
                document.tenant == *tenant
                    && submission.idempotency_key.as_deref() == Some(key)
                    && entry.request == *request
            };
            Ok(self.builds().iter().find(is_it).map(|entry| entry.document.clone()))
        }
        .boxed()
    }

    fn get<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument> {
        async move { Ok(self.entry(tenant, build)?.document) }.boxed()
    }

    fn list<'a>(&'a self, tenant: &'a TenantName, filter: ListFilter) -> Answer<'a, ListPage> {
        async move {
            assert!((1..=500).contains(&filter.limit));
            let builds = self.builds();
            let own =
                builds.iter().rev().map(|entry| &entry.document).filter(|build| build.tenant == *tenant);
            let wanted = own
                .filter(|build| filter.state.is_none_or(|state| build.state == state))
                .filter(|build| filter.before.as_ref().is_none_or(|before| build.id < *before));
            let mut builds: Vec<BuildDocument> = wanted.take(filter.limit + 1).cloned().collect();
            let is_more = builds.len() > filter.limit;
            builds.truncate(filter.limit);
            let next = if is_more { builds.last().map(|build| build.id.clone()) } else { None };
            Ok(ListPage { builds, next })
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument> {
        async move {
            let entry = self.entry(tenant, build)?;
            if entry.document.state.is_final() {
                return Err(DeskError::Ended);
            }
            let mut builds = self.builds();
            let entry = builds.iter_mut().find(|entry| entry.document.id == *build).expect("it was there");
            entry.document.cancelling = true;
            Ok(entry.document.clone())
        }
        .boxed()
    }

    fn ended<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument> {
        async move {
            let mut changed = self.changed.subscribe();
            loop {
                let document = self.entry(tenant, build)?.document;
                if document.state.is_final() {
                    return Ok(document);
                }
                changed.changed().await.expect("the desk is there");
            }
        }
        .boxed()
    }

    fn follow<'a>(
        &'a self,
        tenant: &'a TenantName,
        build: &'a BuildId,
        after: Option<u64>,
    ) -> Answer<'a, EventLines> {
        async move { self.lines(tenant, build, after) }.boxed()
    }

    fn text<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId, _: bool) -> Answer<'a, TextPieces> {
        async move {
            self.entry(tenant, build)?;
            let pieces = [b"\xff\n".to_vec(), "#1 größe\n".into()];
            Ok(futures::stream::iter(pieces.map(|piece| Ok(Bytes::from(piece)))).boxed())
        }
        .boxed()
    }

    fn receipt<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, Option<Receipt>> {
        async move {
            let entry = self.entry(tenant, build)?;
            let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/receipt.json");
            let has_succeeded = entry.document.state == BuildState::Succeeded;
            Ok(has_succeeded.then(|| Receipt::read(&golden).expect("a receipt")))
        }
        .boxed()
    }

    fn queue<'a>(&'a self, tenant: &'a TenantName) -> Answer<'a, QueueDocument> {
        async move {
            assert!(!self.breaks.load(Ordering::SeqCst), "the secret of a panic");
            let all = self.load().await?;
            let builds = self.builds();
            let own = || builds.iter().map(|entry| &entry.document).filter(|build| build.tenant == *tenant);
            let queued = |(ahead, build): (usize, &BuildDocument)| QueuedBuild {
                id: build.id.clone(),
                ahead: Some(ahead),
                reason: Some("every slot is taken".into()),
            };
            let waiting: Vec<_> =
                own().filter(|build| build.state == BuildState::Queued).enumerate().map(queued).collect();
            let running = own().filter(|build| build.state == BuildState::Running).count();
            let load = TenantLoad { tenant: tenant.to_string(), weight: 1, running, waiting: waiting.len() };
            Ok(QueueDocument {
                running: all.running,
                waiting: all.waiting,
                tenants: vec![load],
                builds: waiting,
            })
        }
        .boxed()
    }

    fn backends(&self) -> Answer<'_, Vec<BackendDocument>> {
        async move {
            let report = serde_json::json!({"id": "memory", "capabilities": {
                "availability": {"usable": "memory 1"}, "native": ["linux/amd64"], "emulated": [],
                "assembles": ["linux"], "slots": 2, "advice": []}});
            let report = serde_json::from_value(report).expect("a report");
            Ok(vec![BackendDocument { report, load: BackendLoad { running: 1, slots: 2 } }])
        }
        .boxed()
    }

    fn load(&self) -> Answer<'_, Load> {
        async move {
            let builds = self.builds();
            let count = |state| builds.iter().filter(|entry| entry.document.state == state).count();
            let waiting = builds.iter().filter(|entry| entry.document.state == BuildState::Queued);
            let oldest = waiting.map(|entry| entry.document.submitted).min();
            Ok(Load { running: count(BuildState::Running), waiting: count(BuildState::Queued), oldest })
        }
        .boxed()
    }

    fn archives(&self) -> Answer<'_, BTreeSet<PathBuf>> {
        async move {
            let builds = self.builds();
            let live = builds.iter().filter(|entry| !entry.document.state.is_final());
            let archive = |entry: &Entry| match &entry.spec.context {
                ContextInput::Archive(file) => Some(file.clone()),
                _ => None,
            };
            Ok(live.filter_map(archive).collect())
        }
        .boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            closed.map_or(Ok(()), Err)
        }
        .boxed()
    }
}
