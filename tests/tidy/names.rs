//! One word for one thing: no type name is defined twice in `src/`.

use std::collections::BTreeMap;

use crate::{
    files::{none, sources},
    rust::Source,
};

fn repeated(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for name in sources.iter().flat_map(Source::types) {
        *places.entry(name).or_default() += 1;
    }
    let twice = places.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(name, _)| name).collect()
}

#[test]
fn no_type_name_is_defined_twice() {
    none(
        "type names that are defined twice",
        &repeated(&sources("src")),
    );
}

#[test]
fn a_name_that_is_defined_twice_is_found() {
    let found = |a, b| repeated(&[Source::new("src/a.rs", a), Source::new("src/b.rs", b)]);
    assert_eq!(found("pub struct Seat;", "enum Seat {}"), ["Seat"]);
    assert!(
        found(
            "pub struct Seat;",
            "use crate::a::Seat as Other; // struct Seat"
        )
        .is_empty()
    );
    assert!(found("struct Seat;", "impl X for Y { type Seat = u8; }").is_empty());
}
