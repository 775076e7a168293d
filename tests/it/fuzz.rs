//! Runs the fuzz targets briefly: on their seeds, and on inputs that are mutated from the seeds
//! with fixed randomness.

use std::{fs, path::Path};

/// The functions that `cargo fuzz` runs for longer.
#[expect(unreachable_pub, reason = "there it is the face of a crate")]
#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// The number of random inputs for each target.
const INPUTS: usize = 4_000;

const BYTES_MAX: usize = 600;

/// Marsaglia's xorshift. It generates the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// A random input: a seed with some bytes changed or removed, often with a part of another
    /// seed.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        let other = &seeds[self.below(seeds.len())];
        for _ in 0..=self.below(6) {
            let at = self.below(input.len() + 1);
            match self.below(5) {
                0 if at < input.len() => input[at] = self.byte(),
                1 if at < input.len() => drop(input.remove(at)),
                2 => input.insert(at, self.byte()),
                3 => input.truncate(at),
                _ => {
                    let from = self.below(other.len() + 1);
                    input.splice(at..at, other[from..].iter().copied());
                }
            }
        }
        input.truncate(BYTES_MAX);
        input
    }
}

fn run_briefly(target: fn(&[u8]), name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 5, "too few seeds");
    seeds.iter().for_each(|seed| target(seed));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    (0..INPUTS).for_each(|_| target(&random.input(&seeds)));
}

#[test]
fn p1_the_protocol_machines_accept_any_history() {
    run_briefly(targets::machine, "machine");
}

#[test]
fn each_cursor_has_exactly_one_text() {
    run_briefly(targets::cursor, "cursor");
}

#[test]
fn any_request_is_parsed_or_refused() {
    run_briefly(targets::request, "request");
}

#[test]
fn any_document_is_prepared_or_refused() {
    run_briefly(targets::prepare, "prepare");
}
