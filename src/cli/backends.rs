//! `polyarch backends`.

use std::{path::PathBuf, time::Duration};

use polyarch_actors::{Availability, BackendReport, Platform};

use super::{
    args::{Format, FormatArgs},
    report::Failure,
    run::print,
};
use crate::Orchestrator;

pub(super) async fn run(store: Option<PathBuf>, args: FormatArgs) -> Result<(), Failure> {
    let mut builder = Orchestrator::builder();
    if let Some(store) = store {
        builder = builder.store(store);
    }
    let orchestrator = builder.start().await?;
    let reports = orchestrator.backends().await?;
    orchestrator.shutdown(Duration::ZERO).await;
    match args.format {
        Format::Table => print(&reports.iter().map(describe).collect::<String>()),
        Format::Json => {
            let text =
                serde_json::to_string_pretty(&reports).map_err(|error| Failure::host(error.to_string()))?;
            print(&format!("{text}\n"))
        }
    }
}

fn describe(report: &BackendReport) -> String {
    let can = &report.capabilities;
    let mut lines = Vec::new();
    match &can.availability {
        Availability::Usable(what) => {
            lines.push(format!("{}: usable ({what}), {} builds at once", report.id, can.slots));
            lines.push(format!("  native     {}", list(&can.native)));
            lines.push(format!("  emulated   {}", list(&can.emulated)));
            let assembles: Vec<_> = can.assembles.iter().map(ToString::to_string).collect();
            lines.push(format!("  without RUN, any CPU of  {}", or_none(&assembles)));
        }
        Availability::Unusable(why) => lines.push(format!("{}: not usable: it {why}", report.id)),
    }
    lines.extend(can.advice.iter().map(|advice| format!("  hint: {advice}")));
    lines.push(String::new());
    lines.join("\n")
}

fn list(platforms: &[Platform]) -> String {
    or_none(&platforms.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn or_none(words: &[String]) -> String {
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
