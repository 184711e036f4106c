//! When a failed request is made again: pure decisions, and the account of what they used up.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// How often and how soon failed requests are made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// The most retries of one publication or pull, over all its requests; 0 turns retrying off.
    pub retries: u32,
    /// The most retries of one request.
    pub retries_of_one: u32,
    /// The longest that all waits of one publication or pull may take together.
    pub waiting: Duration,
    /// The wait before the first retry of a request; each further one is twice as long.
    pub backoff: Duration,
    /// The longest wait of our own choosing.
    pub longest_backoff: Duration,
    /// The longest wait that a registry may ask for; when it asks for more, the request has failed.
    pub longest_asked: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            retries: 40,
            retries_of_one: 5,
            waiting: Duration::from_mins(10),
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(15),
            longest_asked: Duration::from_mins(2),
        }
    }
}

/// What retries have used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) retries: u32,
    pub(super) waited: Duration,
}

impl RetryLimits {
    /// How long to wait before retry number `attempt` (from 0) of a request; `None` when it has failed.
    ///
    /// `asked` is what the registry asked for, `jitter` a number from 0 to 1 that keeps clients apart.
    pub(super) fn delay(
        &self,
        spent: Spent,
        attempt: u32,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Option<Duration> {
        if spent.retries >= self.retries || attempt >= self.retries_of_one {
            return None;
        }
        let backoff = self.backoff.saturating_mul(2_u32.saturating_pow(attempt)).min(self.longest_backoff);
        let wait = match asked {
            Some(asked) if asked > self.longest_asked => return None,
            Some(asked) => asked + self.backoff.mul_f64(jitter / 2.0),
            None => backoff.mul_f64(0.5 + jitter / 2.0),
        };
        (spent.waited.saturating_add(wait) <= self.waiting).then_some(wait)
    }
}

/// The retries that one publication or pull has left.
#[derive(Debug)]
pub(super) struct RetryBudget {
    limits: RetryLimits,
    spent: Mutex<Spent>,
}

impl RetryBudget {
    pub(super) fn new(limits: RetryLimits) -> Self {
        Self { limits, spent: Mutex::default() }
    }

    /// Books a retry and says how long to wait before it, and its number; `None` when there is none left.
    pub(super) fn take(&self, attempt: u32, asked: Option<Duration>) -> Option<(Duration, u32)> {
        let mut spent = self.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let wait = self.limits.delay(*spent, attempt, asked, jitter())?;
        spent.retries += 1;
        spent.waited += wait;
        Some((wait, spent.retries))
    }
}

/// Reads a Retry-After header: seconds or a date.
///
/// Source: RFC 9110, section 10.2.3.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A number from 0 to 1, from the standard library's random hasher keys.
pub(crate) fn jitter() -> f64 {
    let bits = RandomState::new().hash_one(0_u8) >> 32;
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let limits = RetryLimits { backoff: SECOND, longest_backoff: 4 * SECOND, ..Default::default() };
        let waits: Vec<_> =
            (0..6).map(|attempt| limits.delay(Spent::default(), attempt, None, 1.0)).collect();
        assert_eq!(
            waits,
            [Some(SECOND), Some(2 * SECOND), Some(4 * SECOND), Some(4 * SECOND), Some(4 * SECOND), None]
        );
    }

    #[test]
    fn a_registry_that_asks_for_time_gets_it_unless_it_asks_for_too_much() {
        let limits = RetryLimits::default();
        let delay = |asked| limits.delay(Spent::default(), 0, Some(asked), 0.0);
        assert_eq!(delay(90 * SECOND), Some(90 * SECOND));
        assert_eq!(delay(3600 * SECOND), None);
    }

    #[test]
    fn the_budget_ends_by_number_and_by_time() {
        let limits = RetryLimits::default();
        let spent = |retries, waited| Spent { retries, waited };
        assert!(limits.delay(spent(39, SECOND), 0, None, 0.5).is_some());
        assert!(limits.delay(spent(40, SECOND), 0, None, 0.5).is_none());
        assert!(limits.delay(spent(1, limits.waiting), 0, None, 0.5).is_none());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, wait) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), wait.map(Duration::from_secs), "{value}");
        }
    }

    proptest! {
        #[test]
        fn retrying_always_ends_within_the_limits(
            asked in prop::collection::vec(prop::option::of(0_u64..200_000), 0..200),
            retries in 0_u32..50,
            waiting in 0_u64..100_000,
        ) {
            let waiting = Duration::from_millis(waiting);
            let budget = RetryBudget::new(RetryLimits { retries, waiting, ..Default::default() });
            let waits: Vec<Duration> = asked
                .into_iter()
                .filter_map(|asked| budget.take(0, asked.map(Duration::from_millis)))
                .map(|(wait, _)| wait)
                .collect();
            prop_assert!(waits.len() <= retries as usize);
            prop_assert!(waits.iter().sum::<Duration>() <= waiting);
        }
    }
}
