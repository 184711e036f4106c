//! What must hold for every text and every byte that polyarch did not write itself.
//!
//! Each module has one function, `check`, which panics where it does not hold. The fuzz targets call nothing else.

pub mod archive;
pub mod backup;
pub mod bake;
pub mod challenge;
pub mod dockerfile;
pub mod documents;
pub mod ignore;
pub mod names;
pub mod packages;
pub mod steps;
pub mod tombstones;
pub mod windows_layer;
