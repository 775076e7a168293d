//! The children of a module form no import cycle, so that they can be read in some order.
//!
//! The children are boxes: a file, or a folder with all that is in it. A box uses another if one of
//! its files names an item of the other. A name that the parent only imports belongs to the child
//! that it is imported from. The parent is no box of its own folder: it may use its children, and
//! they may use the items that it defines.

use crate::{
    files::{none, sources},
    graph::{Crate, cycles},
    rust::Source,
};

fn import_cycles(sources: &[Source]) -> Vec<String> {
    let siblings = Crate::new(sources).siblings();
    let of_module = |(module, edges)| {
        let found = cycles(edges).into_iter();
        found.map(move |boxes| format!("{module}: {}", boxes.join(", ")))
    };
    siblings.iter().flat_map(of_module).collect()
}

#[test]
fn siblings_form_no_import_cycle() {
    none("import cycles", &import_cycles(&sources("src")));
}

#[test]
fn a_cycle_is_found_through_files_and_folders() {
    let found = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        import_cycles(&sources)
    };
    let parent = ("src/m/mod.rs", "mod a; mod b; use a::A; pub struct M;");
    let one_way = [
        parent,
        ("src/m/a.rs", "use super::M;"),
        ("src/m/b.rs", "use super::A;"),
    ];
    assert!(found(&one_way).is_empty());
    let both_ways = [
        parent,
        ("src/m/a.rs", "fn f() { super::b::g() }"),
        ("src/m/b.rs", "use super::A;"),
    ];
    assert_eq!(found(&both_ways), ["m: a, b"]);
    let folders = [
        ("src/m/a/x.rs", "use super::super::b::y::Y;"),
        ("src/m/a/z.rs", ""),
        ("src/m/b/y.rs", "use crate::m::a::z::Z;"),
    ];
    assert_eq!(found(&folders), ["m: a, b"]);
    let only_in_tests = [
        ("src/m/a.rs", "use super::b::B;"),
        (
            "src/m/b.rs",
            "#[cfg(test)]\nmod tests { use super::super::a::A; }",
        ),
    ];
    assert!(found(&only_in_tests).is_empty());
}
