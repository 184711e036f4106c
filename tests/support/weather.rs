//! What a bad network does to the requests of a registry's client: by chance, and the same for the same seed.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, SystemTime},
};

use super::registry_proxy::{Asked, Fault};

/// The variable that sets the seed.
const SEED: &str = "POLYARCH_TEST_SEED";

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// What is drawn from.
    pub(crate) seed: u64,
    /// How many of a thousand requests fail.
    pub(crate) failing: u64,
    /// How often the same request may fail in a row; what is sent and delivered is right, if it is delivered.
    pub(crate) in_a_row: Option<u32>,
}

#[derive(Default)]
struct History {
    asked: u64,
    failed_in_a_row: u32,
}

/// The seed that was asked for, or one of the time. It is printed, as a failure has to be made again.
pub(crate) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let asked = std::env::var(SEED).ok();
    let seed = asked.map_or(now.as_secs(), |text| text.parse().expect("a number"));
    #[expect(clippy::print_stderr, reason = "a failure must be repeatable")]
    {
        eprintln!("{SEED}={seed}");
    }
    seed
}

impl Weather {
    /// What happens to each request, as [`super::registry_proxy::Proxy::choose`] asks for it.
    pub(crate) fn chooser(self) -> impl FnMut(&Asked<'_>) -> Option<Fault> + Send + 'static {
        let mut histories: HashMap<String, History> = HashMap::new();
        move |asked| {
            let key = format!("{} {}", asked.method, stable(asked.path));
            let history = histories.entry(key.clone()).or_default();
            history.asked += 1;
            let mut drawn = Draws { seed: self.seed, key: format!("{key} {}", history.asked), drawn: 0 };
            let may_fail = self.in_a_row.is_none_or(|most| history.failed_in_a_row < most);
            if !may_fail || drawn.below(1000) >= self.failing {
                history.failed_in_a_row = 0;
                return None;
            }
            history.failed_in_a_row += 1;
            Some(fault(asked, &mut drawn, self.in_a_row.is_none()))
        }
    }
}

/// A path without the names that the registry draws.
fn stable(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.split_inclusive("/uploads/").next().unwrap_or_default();
    let query = query.split('&').filter(|part| !part.starts_with("_state="));
    format!("{path}?{}", query.collect::<Vec<_>>().join("&"))
}

/// Numbers by chance, the same for the same seed and request whatever else is asked.
struct Draws {
    seed: u64,
    key: String,
    drawn: u32,
}

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.drawn += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, &self.key, self.drawn).hash(&mut hasher);
        hasher.finish() % end.max(1)
    }

    fn size(&mut self, end: u64) -> usize {
        usize::try_from(self.below(end)).expect("a size")
    }
}

/// A fault that such a request can have. `wrong` ones are among them where a client has to give up.
fn fault(asked: &Asked<'_>, draws: &mut Draws, wrong: bool) -> Fault {
    let answer = |status, headers| Fault::Answer(status, headers, "a storm".to_owned());
    let wait = |text: String| answer(429, vec![("Retry-After", text)]);
    let drawn = draws.below(if wrong { 24 } else { 20 });
    match drawn {
        0 => wait("0".into()),
        1 if draws.below(10) == 0 => wait("1".into()),
        1 if draws.below(10) == 0 => {
            wait(httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1)))
        }
        2 => wait(httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(9))),
        3 => answer(429, Vec::new()),
        4 => answer(500, Vec::new()),
        5 => answer(502, Vec::new()),
        6 => answer(503, vec![("Retry-After", "0".to_owned())]),
        7 if draws.below(4) == 0 => Fault::Stall,
        8 | 9 if asked.length > 0 => Fault::Reset(draws.size(asked.length)),
        10 | 11 if asked.length > 0 => Fault::Break(draws.size(asked.length)),
        8 | 9 => Fault::Reset(0),
        12 | 13 => Fault::CutAnswer(draws.size(400)),
        14 if asked.path.contains("/uploads/") => Fault::Garble("Location"),
        15..=19 => Fault::LoseAnswer,
        20 | 21 => Fault::Garble("Docker-Content-Digest"),
        22 | 23 => Fault::Flip(draws.size(400)),
        _ => answer(504, Vec::new()),
    }
}
