//! The parts that touch the world, each with the real thing it talks to.

#[cfg(target_os = "linux")]
mod build_limits;
#[cfg(target_os = "linux")]
mod buildah;
#[cfg(target_os = "linux")]
mod buildah_ends;
mod counts;
#[cfg(target_os = "linux")]
mod fetch_git;
#[cfg(target_os = "linux")]
mod fetch_git_limits;
mod fetch_http;
#[cfg(target_os = "linux")]
mod hostile;
mod orchestrator;
mod portable;
mod queue;
mod queue_again;
mod queue_troubles;
mod registry;
mod registry_chunks;
mod registry_faults;
mod registry_reach;
mod registry_storms;
mod registry_tags;
mod registry_tokens;
#[cfg(target_os = "linux")]
mod reproducible;
#[cfg(target_os = "linux")]
mod sandbox;
mod scopes;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
mod session_ends;
#[cfg(target_os = "linux")]
mod session_hostile;
#[cfg(target_os = "linux")]
mod session_isolation;
#[cfg(target_os = "linux")]
mod session_mounts;
#[cfg(target_os = "linux")]
mod session_options;
#[cfg(target_os = "linux")]
mod session_shared;
mod spans;
#[cfg(target_os = "linux")]
mod wsl;
#[cfg(target_os = "linux")]
mod wsl_ends;
