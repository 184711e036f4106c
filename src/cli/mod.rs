//! The command line: reads arguments, shows what happens, and ends with a sentence and an exit code.
//!
//! What a command prints as its result goes to standard output; progress, warnings and errors go to standard
//! error.

mod args;
mod attestations;
mod backends;
mod bake;
mod build;
mod cache_options;
mod check;
mod for_platforms;
mod further;
mod image_form;
mod images;
mod index;
mod manifest;
mod options;
mod output_option;
mod progress;
mod prune;
mod report;
mod run;
mod serve;
mod signals;
mod steps;
mod table;
mod telemetry;
mod text;
mod timings;

pub use run::main;
