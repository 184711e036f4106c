//! `polyarch du` and `polyarch prune`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use super::{
    args::Format,
    images,
    report::Failure,
    run::print,
    table::{bytes, table},
};
use crate::{
    prune::{Kind, PruneOptions, PruneReport, UsageItem, UsageReport},
    quantity::{duration, size, until},
};

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct DuArgs {
    /// List everything by itself, the largest first
    #[arg(long)]
    verbose: bool,
    /// The form of the list
    #[arg(long, value_name = "FORM", default_value = "table")]
    format: Format,
}

#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are booleans")]
pub(super) struct PruneArgs {
    /// Remove the whole cache, not only what nothing refers to
    #[arg(short, long)]
    all: bool,
    /// Remove only what was not used for that long ("until=24h", "until=7d")
    #[arg(long, value_name = "until=DURATION", value_parser = until)]
    filter: Option<Duration>,
    /// The same as --filter until=DURATION
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "filter")]
    keep_duration: Option<Duration>,
    /// Remove what was not used for longest until the cache is no larger ("10GB")
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_used_space: Option<u64>,
    /// Leave that much of the cache, whatever the other sizes say
    #[arg(long, alias = "keep-storage", value_name = "SIZE", value_parser = size)]
    reserved_space: Option<u64>,
    /// Remove what was not used for longest until that much of the disk is free
    #[arg(long, value_name = "SIZE", value_parser = size)]
    min_free_space: Option<u64>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// List everything that is removed by itself
    #[arg(long)]
    verbose: bool,
    /// The form of the list
    #[arg(long, value_name = "FORM", default_value = "table")]
    format: Format,
}

pub(super) async fn du(store: Option<PathBuf>, args: DuArgs) -> Result<(), Failure> {
    let report = images::open(store, None)?.usage().await?;
    if args.format == Format::Json {
        return json(&report);
    }
    let mut text = if args.verbose { list(&report.items) } else { kinds(&report) };
    text.extend(["\nReclaimable: ", &bytes(report.reclaimable), "\nTotal: ", &bytes(report.total), "\n"]);
    print(&text)
}

pub(super) async fn prune(store: Option<PathBuf>, args: PruneArgs) -> Result<(), Failure> {
    let options = PruneOptions {
        all: args.all,
        unused_for: args.filter.or(args.keep_duration),
        max_used_space: args.max_used_space,
        reserved_space: args.reserved_space,
        min_free_space: args.min_free_space,
        dry_run: args.dry_run,
    };
    if !args.force && !args.dry_run && !confirmed(&options)? {
        return Ok(());
    }
    let report = images::open(store, None)?.prune(options).await?;
    match args.format {
        Format::Json => json(&report)?,
        Format::Table => print(&removed(&report, args.verbose))?,
    }
    let failed: Vec<&str> =
        report.kept.iter().filter(|kept| !kept.in_use).map(|kept| kept.reason.as_str()).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failure::host(format!("{} could not be removed: {first}", failed.len()))),
    }
}

/// Asks a person. Nobody else can answer.
fn confirmed(options: &PruneOptions) -> Result<bool, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage("nobody is here to be asked whether to remove")
            .hint("--force removes without asking, and --dry-run only shows what would be removed"));
    }
    let what = if *options == PruneOptions::default() {
        "everything that no name, no step and no build refers to"
    } else if options.unused_for.is_none() && options.max_used_space.is_none() && options.all {
        "the whole build cache"
    } else {
        "a part of the build cache"
    };
    let failed = |error: io::Error| Failure::host(format!("cannot ask: {error}"));
    let mut out = io::stderr();
    write!(out, "This removes {what}. Images with names stay. Go on? [y/N] ").map_err(failed)?;
    out.flush().map_err(failed)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn json(report: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report);
    print(&(text.map_err(|error| Failure::host(error.to_string()))? + "\n"))
}

/// What was removed, and what was not.
fn removed(report: &PruneReport, verbose: bool) -> String {
    let mut text = if verbose && !report.removed.is_empty() { list(&report.removed) } else { String::new() };
    let (in_use, failed): (Vec<_>, Vec<_>) = report.kept.iter().partition(|kept| kept.in_use);
    for kept in failed {
        text.extend(["not removed: ", &kept.id, " (", &kept.reason, ")\n"]);
    }
    if !in_use.is_empty() {
        text.extend(["In use and kept: ", &in_use.len().to_string(), "\n"]);
    }
    let verb = if report.dry_run { "Would be reclaimed" } else { "Reclaimed" };
    text + &format!("{verb}: {} ({} items)\n", bytes(report.reclaimed), report.removed.len())
}

/// One line a kind.
fn kinds(report: &UsageReport) -> String {
    let mut kinds: BTreeMap<Kind, (usize, u64, u64)> = BTreeMap::new();
    for item in &report.items {
        let (count, size, reclaimable) = kinds.entry(item.kind).or_default();
        *count += 1;
        *size += item.size;
        *reclaimable += if item.reclaimable { item.size } else { 0 };
    }
    let mut rows = vec![["TYPE", "TOTAL", "SIZE", "RECLAIMABLE"].map(String::from).to_vec()];
    for (kind, (count, size, reclaimable)) in kinds {
        rows.push(vec![kind.label().into(), count.to_string(), bytes(size), bytes(reclaimable)]);
    }
    table(&rows)
}

/// One line an item.
fn list(items: &[UsageItem]) -> String {
    let mut rows = vec![["ID", "TYPE", "RECLAIMABLE", "SIZE", "LAST USED"].map(String::from).to_vec()];
    for item in items {
        let reclaimable = item.reclaimable.to_string();
        let used = format!("{} ago", age(item.unused_for));
        rows.push(vec![item.id.clone(), item.kind.label().into(), reclaimable, bytes(item.size), used]);
    }
    table(&rows)
}

/// A duration for people.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "min")];
    let found = units.into_iter().find(|(length, _)| seconds >= *length);
    found.map_or_else(|| format!("{seconds} s"), |(length, unit)| format!("{} {unit}", seconds / length))
}
