//! Parts of numbers.

use std::time::Duration;

/// How many there were in a second.
pub(crate) fn a_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// The part of each of so many.
pub(crate) fn share(all: u64, count: usize) -> f64 {
    let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(all) / number(count as u64)
}
