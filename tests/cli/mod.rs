//! The command line, used as a person uses it and checked with tools that know nothing of it.

#[cfg(target_os = "linux")]
mod attestations;
mod bad_input;
mod bad_world;
#[cfg(target_os = "linux")]
mod bake;
#[cfg(target_os = "linux")]
mod bake_platforms;
#[cfg(target_os = "linux")]
mod cache_faults;
#[cfg(target_os = "linux")]
mod caches;
mod checks;
#[cfg(target_os = "linux")]
mod contexts;
mod hello;
mod help;
#[cfg(target_os = "linux")]
mod image_forms;
#[cfg(target_os = "linux")]
mod index_options;
#[cfg(target_os = "linux")]
mod indexes;
mod lists;
mod options;
#[cfg(target_os = "linux")]
mod output_kills;
#[cfg(target_os = "linux")]
mod outputs;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod platform_values;
#[cfg(target_os = "linux")]
mod prune;
#[cfg(target_os = "linux")]
mod pushes;
mod sharing;
mod signals;
#[cfg(target_os = "linux")]
mod step_flags;
mod steps;
#[cfg(target_os = "linux")]
mod timings;
#[cfg(target_os = "linux")]
mod windows;
#[cfg(target_os = "linux")]
mod windows_paths;

pub(crate) use sharing::ordinary_user;
