use polyarch_actors::{Digest, StepStage, StepWork, Timestamp};
use proptest::prelude::*;

use super::{
    CriticalPart, CriticalWork, PhaseKind, PhaseTiming, PlatformEnd, PlatformTiming, Span, StepEnd,
    StepTiming, Timings,
};

const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"];

fn span((start, length): (u64, u64)) -> Span {
    Span { start_ms: start, end_ms: start + length }
}

fn key(byte: u8) -> Digest {
    Digest::from_sha256(&[byte; 32])
}

fn step(at: (u64, u64), stage: u32, end: StepEnd, work: StepWork) -> StepTiming {
    StepTiming {
        number: 1,
        stage: Some(StepStage { number: stage, name: None }),
        instruction: "RUN make".into(),
        span: span(at),
        end,
        work: Some(Box::new(work)),
    }
}

fn platform(
    place: usize,
    at: (u64, u64),
    began: u64,
    end: PlatformEnd,
    steps: Vec<StepTiming>,
) -> PlatformTiming {
    PlatformTiming {
        platform: PLATFORMS[place].parse().expect("a platform"),
        backend: None,
        emulated: false,
        span: span(at),
        began_ms: Some(began),
        end,
        pulls: Vec::new(),
        steps,
    }
}

fn timings(duration_ms: u64, platforms: Vec<PlatformTiming>, phases: Vec<PhaseTiming>) -> Timings {
    Timings { started: Timestamp(0), duration_ms, failed: false, missed: 0, platforms, phases }
}

fn steps(path: &[CriticalPart]) -> Vec<(u64, usize, usize)> {
    let step = |part: &CriticalPart| match part.work {
        CriticalWork::Step { platform, step } => Some((part.span.duration_ms(), platform, step)),
        _ => None,
    };
    path.iter().filter_map(step).collect()
}

#[test]
fn the_path_goes_through_the_stage_that_was_waited_for() {
    let nothing = StepWork::default;
    let needs = StepWork { stages: vec![0], waited_ms: 80, ..nothing() };
    let steps_of = vec![
        step((10, 10), 0, StepEnd::Done, nothing()),
        step((20, 80), 0, StepEnd::Done, nothing()),
        step((10, 5), 1, StepEnd::Done, nothing()),
        step((15, 95), 1, StepEnd::Done, needs),
    ];
    let built = platform(0, (5, 115), 8, PlatformEnd::Built, steps_of);
    let pushed = PhaseTiming { kind: PhaseKind::Pushing, about: None, span: span((120, 30)) };
    let path = timings(155, vec![built], vec![pushed]).critical_path();
    assert_eq!(steps(&path), [(10, 0, 0), (80, 0, 1), (10, 0, 3)]);
    let works: Vec<_> = path.iter().map(|part| (part.span.start_ms, part.work)).collect();
    assert_eq!(works[0], (0, CriticalWork::Waiting));
    assert_eq!(works[1], (5, CriticalWork::Queued { platform: 0 }));
    assert_eq!(works[2], (8, CriticalWork::Platform { platform: 0 }));
    assert_eq!(works[6], (110, CriticalWork::Platform { platform: 0 }));
    assert_eq!(works[7], (120, CriticalWork::Phase { phase: 0 }));
    assert_eq!(works[8], (150, CriticalWork::Waiting));
    assert_eq!(works.len(), 9);
}

#[test]
fn the_path_goes_through_the_platform_that_did_a_shared_step() {
    let did = StepWork { keys: vec![key(1)], ..StepWork::default() };
    let took = StepWork { keys: vec![key(1)], shared: true, waited_ms: 70, ..StepWork::default() };
    let doer = platform(0, (0, 95), 0, PlatformEnd::Built, vec![step((10, 80), 0, StepEnd::Done, did)]);
    let own = step((90, 110), 0, StepEnd::Done, StepWork::default());
    let taker = vec![step((20, 70), 0, StepEnd::Shared, took), own];
    let taker = platform(1, (0, 200), 0, PlatformEnd::Built, taker);
    let path = timings(200, vec![doer, taker], Vec::new()).critical_path();
    assert_eq!(steps(&path), [(80, 0, 0), (110, 1, 1)]);
}

#[test]
fn the_path_of_a_failed_build_ends_at_the_step_that_failed() {
    let nothing = StepWork::default;
    let fault =
        platform(0, (0, 60), 0, PlatformEnd::Failed, vec![step((10, 45), 0, StepEnd::Failed, nothing())]);
    let other =
        platform(1, (0, 90), 0, PlatformEnd::Stopped, vec![step((0, 90), 0, StepEnd::Stopped, nothing())]);
    let path = timings(90, vec![fault, other], Vec::new()).critical_path();
    assert_eq!(steps(&path), [(45, 0, 0)]);
}

fn any_step() -> impl Strategy<Value = StepTiming> {
    let ends = prop_oneof![
        Just(StepEnd::Done),
        Just(StepEnd::Cached),
        Just(StepEnd::Shared),
        Just(StepEnd::Failed),
        Just(StepEnd::Stopped)
    ];
    let work = (prop::collection::vec(0..6_u8, 0..3), prop::collection::vec(0..4_u32, 0..3), 0..200_u64);
    ((0..1200_u64, 0..400_u64), 0..4_u32, ends, work).prop_map(
        |(at, stage, end, (keys, stages, waited_ms))| {
            let keys = keys.into_iter().map(key).collect();
            let shared = end == StepEnd::Shared;
            step(at, stage, end, StepWork { keys, stages, waited_ms, shared, ..StepWork::default() })
        },
    )
}

fn any_platform() -> impl Strategy<Value = PlatformTiming> {
    let ends = prop_oneof![Just(PlatformEnd::Built), Just(PlatformEnd::Failed), Just(PlatformEnd::Stopped)];
    let steps = prop::collection::vec(any_step(), 0..12);
    (0..4_usize, (0..1200_u64, 0..400_u64), 0..1400_u64, ends, steps)
        .prop_map(|(place, at, began, end, steps)| platform(place, at, began, end, steps))
}

fn any_phase() -> impl Strategy<Value = PhaseTiming> {
    (0..1200_u64, 0..400_u64).prop_map(|at| PhaseTiming {
        kind: PhaseKind::Exporting,
        about: None,
        span: span(at),
    })
}

proptest! {
    /// Whatever the times are, however they contradict each other.
    #[test]
    fn the_path_fills_the_time_of_the_build_without_a_gap_or_an_overlap(
        duration in 0..1600_u64,
        platforms in prop::collection::vec(any_platform(), 0..4),
        phases in prop::collection::vec(any_phase(), 0..5),
    ) {
        let path = timings(duration, platforms, phases).critical_path();
        let mut at = 0;
        for part in &path {
            prop_assert_eq!(part.span.start_ms, at);
            prop_assert!(part.span.end_ms > at);
            at = part.span.end_ms;
        }
        prop_assert_eq!(at, duration);
    }
}
