//! The spans of this process, as whoever subscribes to them has them.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use polyarch::{actors::BuildId, trace::TARGET};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

/// A span that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    /// Its place among all spans.
    parent: Option<usize>,
    pub(crate) fields: Fields,
    pub(crate) is_closed: bool,
}

/// What is said of a span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) BTreeMap<&'static str, String>);

/// Keeps every span.
#[derive(Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<Vec<Seen>>>);

/// The place of a span among all.
struct Place(usize);

/// Sees all spans of this process from now on.
pub(crate) fn watch() -> &'static Watched {
    static WATCHED: OnceLock<Watched> = OnceLock::new();
    WATCHED.get_or_init(|| {
        let watched = Watched::default();
        let filter = Targets::new().with_target(TARGET, tracing::Level::INFO);
        let subscriber = tracing_subscriber::registry().with(watched.clone().with_filter(filter));
        tracing::subscriber::set_global_default(subscriber).expect("nobody else wants spans here");
        watched
    })
}

impl Watched {
    /// The spans of a build, in the order in which they were opened.
    pub(crate) fn of(&self, build: &BuildId) -> Vec<Seen> {
        let all = self.lock();
        let root =
            all.iter().position(|seen| seen.fields.0.get("build").is_some_and(|id| id == build.as_str()));
        let root = root.expect("a span of the build");
        let is_below = |mut place: usize| loop {
            if place == root {
                return true;
            }
            match all[place].parent {
                Some(parent) => place = parent,
                None => return false,
            }
        };
        (0..all.len()).filter(|place| is_below(*place)).map(|place| all[place].clone()).collect()
    }

    /// The tree of a build, one span a line, each below the one that it is in, with some of what is said of it.
    pub(crate) fn tree(&self, build: &BuildId, told: &[&str]) -> String {
        let all = self.lock();
        let root =
            all.iter().position(|seen| seen.fields.0.get("build").is_some_and(|id| id == build.as_str()));
        let mut tree = String::new();
        draw(&all, root.expect("a span of the build"), 0, told, &mut tree);
        tree
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn draw(all: &[Seen], place: usize, depth: usize, told: &[&str], tree: &mut String) {
    let seen = &all[place];
    let _ = write!(tree, "{:1$}{2}", "", 2 * depth, seen.name);
    for name in told {
        if let Some(value) = seen.fields.0.get(name) {
            let _ = write!(tree, " {name}={value}");
        }
    }
    tree.push('\n');
    for below in (0..all.len()).filter(|below| all[*below].parent == Some(place)) {
        draw(all, below, depth + 1, told, tree);
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Watched {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).expect("the span");
        let parent = span.parent().and_then(|parent| Some(parent.extensions().get::<Place>()?.0));
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut all = self.lock();
        span.extensions_mut().insert(Place(all.len()));
        all.push(Seen { name: span.name(), parent, fields, is_closed: false });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let span = cx.span(id).expect("the span");
        let place = span.extensions().get::<Place>().expect("its place").0;
        let seen = &mut self.lock()[place];
        assert!(!seen.is_closed);
        values.record(&mut seen.fields);
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        let span = cx.span(&id).expect("the span");
        let place = span.extensions().get::<Place>().expect("its place").0;
        let mut all = self.lock();
        all[place].is_closed = true;
        let is_last = all.iter().all(|other| other.parent != Some(place) || other.is_closed);
        drop(all);
        assert!(is_last, "a span is closed after all that is in it");
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
