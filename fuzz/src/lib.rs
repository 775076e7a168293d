//! What is fuzzed. `targets.rs` is also part of the product's ordinary tests.

pub mod targets;
