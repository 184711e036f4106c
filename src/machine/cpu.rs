//! What this machine's own CPU runs.

use std::path::Path;

use polyarch_actors::Platform;

/// The platforms whose programs this CPU runs itself.
pub(crate) fn platforms() -> Vec<Platform> {
    let host = Platform::host_linux();
    let siblings: &[&str] = match host.arch() {
        "amd64" => amd64_levels(),
        // Only with 32-bit support the kernel has switches for what old 32-bit programs do.
        "arm64" if Path::new("/proc/sys/abi/cp15_barrier").exists() => &["linux/arm/v7", "linux/arm/v6"],
        "arm" => &["linux/arm/v6"],
        _ => &[],
    };
    let siblings = siblings.iter().filter_map(|platform| platform.parse().ok());
    std::iter::once(host).chain(siblings).collect()
}

#[cfg(target_arch = "x86_64")]
fn amd64_levels() -> &'static [&'static str] {
    // Source: x86-64 psABI, "Micro-Architecture Levels".
    let second = is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt");
    let third = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe");
    let fourth = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (second, third, fourth) {
        (true, true, true) => &["linux/386", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4"],
        (true, true, false) => &["linux/386", "linux/amd64/v2", "linux/amd64/v3"],
        (true, false, _) => &["linux/386", "linux/amd64/v2"],
        _ => &["linux/386"],
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn amd64_levels() -> &'static [&'static str] {
    &[]
}
