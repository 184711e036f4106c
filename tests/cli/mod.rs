//! The command line, used as a person uses it and checked with tools that know nothing of it.

mod attestations;
mod bad_input;
mod bad_world;
mod bake;
mod bake_platforms;
mod cache_faults;
mod caches;
mod checks;
mod contexts;
mod embedding;
mod hello;
mod help;
mod image_forms;
mod index_options;
mod indexes;
mod lists;
#[cfg(target_os = "linux")]
mod open_files;
mod options;
mod output_kills;
mod outputs;
mod places;
mod platform_values;
mod prune;
mod pushes;
mod serving;
mod sharing;
mod signals;
mod step_flags;
mod steps;
mod telemetry;
mod timings;
mod windows;
mod windows_paths;

pub(crate) use sharing::ordinary_user;
