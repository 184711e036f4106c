//! The table: medians, ratios, and whether a row reaches its goal.

use std::time::Duration;

use crate::{
    side::Side,
    support::{median, ratio},
    work::{Goal, State},
};

/// What one build took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    /// The most memory that one process had, in KiB.
    pub(crate) memory: Option<u64>,
}

/// One state of one work.
pub(crate) struct Row {
    pub(crate) state: State,
    pub(crate) goal: Goal,
    /// What polyarch, buildah and BuildKit took, in each round.
    pub(crate) sides: Vec<Vec<Spent>>,
    /// What the floor or the stage alone took.
    pub(crate) beside: Vec<Duration>,
}

/// Prints the names of the columns.
pub(crate) fn head() {
    #[rustfmt::skip]
    println!("| work | goal | reached | polyarch | of buildah | of BuildKit | buildah | BuildKit | floor or stage | memory of each |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
}

/// Prints what each of several equal steps took.
pub(crate) fn for_each(row: &Row, sides: &[Side], steps: u64) {
    let each = sides.iter().enumerate().map(|(at, side)| {
        #[expect(clippy::cast_precision_loss, reason = "a few steps")]
        let time = row.time(at).unwrap_or_default().as_secs_f64() * 1000.0 / steps as f64;
        format!("{} {time:.0} ms", side.name())
    });
    println!("| each of them | | | {} | | | | | | |", each.collect::<Vec<_>>().join(", "));
}

impl Row {
    pub(crate) fn new(state: State, goal: Goal, sides: usize) -> Self {
        Self { state, goal, sides: vec![Vec::new(); sides], beside: Vec::new() }
    }

    /// Prints the medians.
    pub(crate) fn print(&self, title: &str) {
        let ours = self.time(0).unwrap_or_default();
        let of = |other: Option<Duration>| {
            other.map_or("–".into(), |other| format!("{:.2}x", ratio(ours, other)))
        };
        let seconds =
            |time: Option<Duration>| time.map_or("–".into(), |time| format!("{:.2} s", time.as_secs_f64()));
        let beside = (!self.beside.is_empty()).then(|| median(&self.beside));
        let (goal, reached) = match self.goal {
            Goal::OfBuildah(most) => (format!("{most:.2}x of buildah"), self.reaches(most, self.time(1))),
            Goal::OfFloor(most) => (format!("{most:.2}x of the floor"), self.reaches(most, beside)),
            Goal::OfStage(most) => (format!("{most:.2}x of the stage"), self.reaches(most, beside)),
            Goal::None => ("–".into(), "–".into()),
        };
        let memory: Vec<_> = (0..self.sides.len()).map(|side| self.memory(side)).collect();
        println!(
            "| {title}, {} | {goal} | {reached} | {} | {} | {} | {} | {} | {} | {} |",
            self.state.name(),
            seconds(Some(ours)),
            of(self.time(1)),
            of(self.time(2)),
            seconds(self.time(1)),
            seconds(self.time(2)),
            seconds(beside),
            memory.join(" / "),
        );
    }

    fn reaches(&self, most: f64, other: Option<Duration>) -> String {
        let Some(other) = other else { return "–".into() };
        let ratio = ratio(self.time(0).unwrap_or_default(), other);
        if ratio <= most { format!("yes, {ratio:.2}x") } else { format!("**no, {ratio:.2}x**") }
    }

    fn time(&self, side: usize) -> Option<Duration> {
        let times: Vec<_> = self.sides.get(side)?.iter().map(|spent| spent.time).collect();
        Some(median(&times))
    }

    fn memory(&self, side: usize) -> String {
        let most = self.sides[side].iter().filter_map(|spent| spent.memory).max();
        most.map_or("–".into(), |most| format!("{} MB", most * 1024 / 1_000_000))
    }
}
