//! The timings of one or more builds as a page that needs nothing but itself.

mod bars;
mod colours;
mod document;
mod lanes;
mod sections;
mod tables;
mod text;

pub use document::{PageBuild, page};
