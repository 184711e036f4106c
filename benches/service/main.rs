//! What does a queue of builds cost that survives whatever ends its process? How many submissions it takes in a second, what
//! reaches a thousand readers of one build's events, what each of 10,000 waiting builds takes, and how soon a cancelled RUN
//! is gone.
//!
//! Each stands beside what a program would have without it: a line in a file that is synced for every submission, a tokio
//! broadcast channel that forgets everything, and `buildah build` that is told to end.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[path = "../support/base.rs"]
mod base;
mod events;
mod gone;
mod numbers;
mod place;
#[path = "../support/resident.rs"]
mod resident;
mod submissions;
#[path = "../support/mod.rs"]
mod support;
mod waiting;

fn main() {
    // Real builds are guarded by this program, executed again.
    polyarch::init();
    println!("{}\n", support::machine());
    let is_smoke = support::is_smoke();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        submissions::compare(if is_smoke { (20, 1) } else { (600, 5) }).await;
        events::compare(if is_smoke { (10, 20, 1) } else { (1000, 500, 5) }).await;
        waiting::measure(if is_smoke { 50 } else { 10_000 }).await;
        gone::compare(if is_smoke { 1 } else { 15 }).await;
    });
}
