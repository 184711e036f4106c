//! What a build may take, as people write it, and what of it a tenant's builds get.

use polyarch_actors::BuildResources;

use crate::quantity;

/// The least memory that can be asked for, in bytes.
///
/// Source: moby, `daemon/daemon_unix.go` (`linuxMinMemory`).
const LEAST_MEMORY: u64 = 6 << 20;
/// How much CPU time can be asked for, in CPUs.
const CPUS: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;
/// How many processes can be asked for, as Linux has them at most.
///
/// Source: Linux, `include/linux/threads.h` (`PID_MAX_LIMIT`).
const PIDS: std::ops::RangeInclusive<u64> = 1..=4 << 20;

/// Why a build does not get what it asks for: the field, and a sentence.
pub(super) type Refused = (&'static str, String);

/// A number of bytes.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    let bytes = quantity::size(text)?;
    if bytes < LEAST_MEMORY {
        return Err(format!("the least is 6m, which is {LEAST_MEMORY} bytes"));
    }
    Ok(bytes)
}

/// Thousandths of a CPU.
pub(super) fn millicpus(cpus: f64) -> Result<u64, String> {
    if !CPUS.contains(&cpus) {
        return Err(format!("it is a number from {} to {}", CPUS.start(), CPUS.end()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in a small range above zero"
    )]
    let millicpus = (cpus * 1000.0).round() as u64;
    Ok(millicpus)
}

/// A number of processes.
pub(super) fn pids(number: u64) -> Result<u64, String> {
    if PIDS.contains(&number) {
        Ok(number)
    } else {
        Err(format!("it is a number from {} to {}", PIDS.start(), PIDS.end()))
    }
}

/// What a build gets that asks for this, where it may have at most that: who asks for nothing gets the most.
pub(super) fn granted(asked: BuildResources, most: &BuildResources) -> (BuildResources, Vec<Refused>) {
    let mut refused = Vec::new();
    let mut grant = |field, unit: &str, scale: u64, asked: Option<u64>, most: Option<u64>| {
        if let (Some(asked), Some(most)) = (asked, most)
            && asked > most
        {
            let most = thousandths(most, scale);
            refused.push((field, format!("a build of this tenant may have at most {most}{unit}")));
        }
        asked.or(most)
    };
    let granted = BuildResources {
        memory: grant("/memory", " bytes of memory", 1, asked.memory, most.memory),
        millicpus: grant("/cpus", " CPUs", 1000, asked.millicpus, most.millicpus),
        pids: grant("/pids", " processes", 1, asked.pids, most.pids),
        required: asked.required || most.required,
    };
    (granted, refused)
}

/// A number in units of which each is so many: whole, or with as many digits as it takes.
fn thousandths(number: u64, scale: u64) -> String {
    match (number / scale, number % scale) {
        (whole, 0) => whole.to_string(),
        (whole, rest) => format!("{whole}.{rest:03}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(memory: Option<u64>, millicpus: Option<u64>, pids: Option<u64>) -> BuildResources {
        BuildResources { memory, millicpus, pids, required: false }
    }

    #[test]
    fn who_asks_for_nothing_gets_the_most_and_nobody_gets_more() {
        let most = resources(Some(1 << 30), Some(1500), Some(100));
        let none = BuildResources::default();
        assert_eq!(granted(none, &none), (none, vec![]));
        assert_eq!(granted(none, &most), (most, vec![]));
        let less = resources(Some(1 << 20), Some(1), Some(1));
        assert_eq!(granted(less, &most), (less, vec![]));
        assert_eq!(granted(most, &most), (most, vec![]));
        assert_eq!(granted(most, &none), (most, vec![]));
        let (_, refused) = granted(resources(Some(2 << 30), Some(1501), Some(101)), &most);
        let told: Vec<String> = refused.into_iter().map(|(field, text)| format!("{field}: {text}")).collect();
        assert_eq!(
            told,
            [
                "/memory: a build of this tenant may have at most 1073741824 bytes of memory",
                "/cpus: a build of this tenant may have at most 1.5 CPUs",
                "/pids: a build of this tenant may have at most 100 processes"
            ]
        );
    }

    #[test]
    fn amounts_are_read_within_what_makes_sense() {
        assert_eq!(memory("6m"), Ok(6 << 20));
        assert!(memory("5m").is_err() && memory("lots").is_err());
        assert_eq!((millicpus(1.5), millicpus(0.01)), (Ok(1500), Ok(10)));
        assert!([0.0, -1.0, 1e300, f64::NAN].into_iter().all(|cpus| millicpus(cpus).is_err()));
        assert_eq!((pids(1), pids(4 << 20)), (Ok(1), Ok(4 << 20)));
        assert!(pids(0).is_err() && pids(u64::MAX).is_err());
    }
}
