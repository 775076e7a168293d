//! House rules that the compiler does not check. Each rule reads the files of the repository, and
//! each has a test that shows that it can fail.
//!
//! Some rules have exceptions that were there before the rule. They are listed in constants, which
//! may only become shorter: an exception that is not listed fails the test, and so does a listed
//! exception that is gone.

mod arrows;
mod cycles;
mod examples;
mod files;
mod graph;
mod invariants;
mod language;
mod names;
mod outside;
mod paths;
mod rust;
mod sizes;
