//! The page as a whole.

use std::fmt::Write as _;

use super::{
    bars::{self, Axis},
    colours, sections, tables,
    text::{Escaped, count},
};
use crate::timings::Timings;

/// A build on the page.
#[derive(Clone, Copy, Debug)]
pub struct PageBuild<'t> {
    /// What it is called; what it is a part of, where there are several.
    pub name: &'t str,
    /// Where its time went.
    pub timings: &'t Timings,
}

/// What the colours mean, in the order in which the parts of a step follow each other.
const LEGEND: [(&str, &str); 11] = [
    ("wait", "queued, or waiting for others"),
    ("pull", "pulled or fetched"),
    ("prep", "layers unpacked and mounted"),
    ("run", "ran"),
    ("write", "read, compressed and stored"),
    ("other", "other work, not told apart"),
    ("push", "pushed"),
    ("there", "cached, or shared with another"),
    ("fail", "failed"),
    ("other stop", "stopped"),
    ("crit", "on the critical path"),
];

/// The builds of one command as a page: HTML that loads nothing, runs nothing, and holds no text as anything but text.
pub fn page(builds: &[PageBuild<'_>]) -> String {
    let name = builds.iter().map(|build| build.name).collect::<Vec<_>>().join(", ");
    let first = builds.iter().map(|build| build.timings.started.0).min().unwrap_or_default();
    let offset = |timings: &Timings| timings.started.0 - first;
    let ends = builds.iter().map(|build| offset(build.timings) + build.timings.duration_ms);
    let length = ends.max().unwrap_or_default().max(1);
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri \
         'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Timings of {}</title>\n<style>\n{}\n{}</style>\n</head>\n<body>\n",
        Escaped(&name),
        colours::variables(),
        include_str!("style.css")
    );
    let _ = write!(page, "<h1>Where the time went: {}</h1>\n<ul class=\"legend\">", Escaped(&name));
    for (class, words) in LEGEND {
        let _ = write!(page, "<li><span class=\"{class}\"></span>{words}</li>");
    }
    page.push_str("</ul>\n");
    if builds.len() > 1 {
        let _ = write!(page, "<p>{}, all on one scale.</p>", count(builds.len(), "target"));
    }
    for PageBuild { name, timings } in builds {
        page.push_str("<section>\n");
        if builds.len() > 1 {
            let _ = writeln!(page, "<h2>{}</h2>", Escaped(name));
        }
        let path = timings.critical_path();
        sections::summary(timings, &mut page);
        bars::chart(timings, &path, Axis { offset: offset(timings), length }, &mut page);
        sections::emulation(timings, &mut page);
        sections::critical_path(timings, &path, &mut page);
        tables::steps(timings, &path, &mut page);
        page.push_str("</section>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}
