//! The fuzz targets. `targets.rs` is also part of the ordinary tests.

pub mod targets;
