//! Acts drawn at random, and the same again from the same seed.

use std::time::Duration;

use super::Act;
use crate::BuildError;

/// What becomes of attempts that no script says anything about. Each number is how many of a hundred; the others build
/// their image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Odds {
    /// Where the numbers come from.
    pub seed: u64,
    /// The longest that an attempt takes; any shorter time is as likely.
    pub longest: Duration,
    /// End with a fault of the machine, which may be tried again.
    pub host_faults: u64,
    /// End with a step that failed, which is final.
    pub user_faults: u64,
    /// Panic.
    pub panics: u64,
    /// Take the backend's actor down.
    pub losses: u64,
    /// Run until they are cancelled.
    pub hangs: u64,
}

/// Draws acts, one after the other.
#[derive(Debug)]
pub(super) struct Draw {
    odds: Odds,
    state: u64,
}

impl Draw {
    pub(super) fn new(odds: Odds) -> Self {
        Self { odds, state: odds.seed }
    }

    pub(super) fn act(&mut self) -> Act {
        let time = Duration::from_micros(
            self.below(u64::try_from(self.odds.longest.as_micros()).unwrap_or(u64::MAX)),
        );
        let drawn = self.below(100);
        let Odds { host_faults, user_faults, panics, losses, hangs, .. } = self.odds;
        let acts = [
            (host_faults, Act::Fail(BuildError::Host { reason: "the dice say so".into(), retryable: true })),
            (
                user_faults,
                Act::Fail(BuildError::StepFailed {
                    instruction: "RUN false".into(),
                    exit_code: 1,
                    output: Vec::new(),
                }),
            ),
            (panics, Act::Panic),
            (losses, Act::LoseActor(time)),
            (hangs, Act::Hang(time)),
        ];
        let mut end = 0;
        for (likely, act) in acts {
            end += likely;
            if drawn < end {
                return act;
            }
        }
        Act::Build(time)
    }

    /// The next number of splitmix64 below `end`; 0 where there is none.
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(end).unwrap_or(0)
    }
}
