//! What it cost that commands ran for a CPU that the machine has not.

use super::model::{PlatformTiming, StepEnd, StepTiming, Timings};

/// The emulated commands of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulationCost {
    /// The place of the platform in the [`Timings`].
    pub platform: usize,
    /// Each RUN that was carried out, in its order.
    pub runs: Vec<EmulatedRun>,
    /// Whether the backend said of each that it was emulated and how long its command ran. Where it did not, whole steps
    /// count, and among them may be some of stages for this machine's CPU.
    pub is_exact: bool,
}

/// A RUN that was emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmulatedRun {
    /// Its place among the steps of its platform.
    pub step: usize,
    /// How long the command ran; the whole step where the backend does not tell its parts apart.
    pub emulated_ms: u64,
    /// The places of a platform and its step, and the same time of it, where a platform of this build ran the same
    /// instruction without emulation.
    pub native: Option<(usize, usize, u64)>,
}

impl EmulationCost {
    /// How long all of them ran, in milliseconds.
    pub fn emulated_ms(&self) -> u64 {
        self.runs.iter().map(|run| run.emulated_ms).sum()
    }

    /// How long those ran that can be compared, emulated and natively, in milliseconds; nothing where none can.
    pub fn compared_ms(&self) -> Option<(u64, u64)> {
        let pairs = self.runs.iter().filter_map(|run| Some((run.emulated_ms, run.native?.2)));
        pairs.reduce(|(emulated, native), (more, also)| (emulated + more, native + also))
    }
}

impl Timings {
    /// What emulation cost each platform that was emulated. Only what was carried out in this build counts.
    pub fn emulation(&self) -> Vec<EmulationCost> {
        let costs = self.platforms.iter().enumerate().map(|(platform, timing)| {
            let runs = timing.steps.iter().enumerate().filter(|(_, step)| was_run(step));
            let emulated = runs.filter(|(_, step)| is_emulated(timing, step));
            let (mut runs, mut is_exact) = (Vec::new(), true);
            for (at, step) in emulated {
                is_exact &= step.work.is_some();
                runs.push(self.compared(platform, at));
            }
            EmulationCost { platform, runs, is_exact }
        });
        costs.filter(|cost| !cost.runs.is_empty()).collect()
    }

    fn compared(&self, platform: usize, at: usize) -> EmulatedRun {
        let timing = &self.platforms[platform];
        let step = &timing.steps[at];
        let same = self.platforms.iter().enumerate().find_map(|(other, natively)| {
            let place = counterpart(timing, at, natively)?;
            let found = &natively.steps[place];
            (other != platform && was_run(found) && !is_emulated(natively, found)).then_some((other, place))
        });
        let Some((other, place)) = same else {
            return EmulatedRun { step: at, emulated_ms: took(step), native: None };
        };
        let found = &self.platforms[other].steps[place];
        // Only the same can be compared.
        let of = if step.work.is_some() && found.work.is_some() { took } else { whole };
        EmulatedRun { step: at, emulated_ms: of(step), native: Some((other, place, of(found))) }
    }
}

fn was_run(step: &StepTiming) -> bool {
    step.is_run() && step.end == StepEnd::Done
}

fn is_emulated(platform: &PlatformTiming, step: &StepTiming) -> bool {
    step.work.as_ref().map_or(platform.emulated, |work| work.emulated)
}

fn took(step: &StepTiming) -> u64 {
    step.work.as_ref().map_or_else(|| whole(step), |work| work.ran_ms)
}

fn whole(step: &StepTiming) -> u64 {
    step.span.duration_ms()
}

/// The step of another platform that is the same instruction at the same place: the same stage, and as many equal ones
/// before it.
fn counterpart(here: &PlatformTiming, at: usize, there: &PlatformTiming) -> Option<usize> {
    let step = &here.steps[at];
    let is_same = |other: &StepTiming| other.instruction == step.instruction && other.stage == step.stage;
    let earlier = here.steps[..at].iter().filter(|other| is_same(other)).count();
    let mut same = there.steps.iter().enumerate().filter(|(_, other)| is_same(other));
    same.nth(earlier).map(|(place, _)| place)
}
