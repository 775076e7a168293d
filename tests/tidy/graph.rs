//! The graph of modules: the paths in the code, resolved from the place of each file.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust::{Source, closing, identifiers};

type Path = Vec<String>;

/// The names that one node of a graph leads to.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// The modules of `src/` and the paths between them.
pub(crate) struct Crate {
    files: BTreeMap<Path, File>,
    modules: BTreeSet<Path>,
}

struct File {
    path: String,
    /// The imported names, and the path of each as it is written.
    imports: Vec<(String, Path)>,
    /// Paths in the rest of the code that begin with `crate`, `self` or `super`.
    inline: Vec<Path>,
}

impl Crate {
    pub(crate) fn new(sources: &[Source]) -> Self {
        let file = |source: &Source| (source.module(), File::new(source));
        let files: BTreeMap<Path, File> = sources.iter().map(file).collect();
        let prefixes = |path: &Path| {
            (0..=path.len())
                .map(|end| path[..end].to_vec())
                .collect::<Vec<_>>()
        };
        let modules = files.keys().flat_map(prefixes).collect();
        Self { files, modules }
    }

    /// Every path that a file names, from the crate's root: (the file's module, its path, the path
    /// that it names).
    pub(crate) fn named(&self) -> Vec<(&Path, &str, Path)> {
        let of_file = |(module, file): (_, &'_ File)| -> Vec<Path> {
            let paths = file
                .imports
                .iter()
                .map(|(_, path)| path)
                .chain(&file.inline);
            paths
                .filter_map(|path| self.absolute(module, path))
                .collect()
        };
        let mut found = Vec::new();
        for (module, file) in &self.files {
            let paths = of_file((module, file));
            found.extend(paths.into_iter().map(|path| (module, &*file.path, path)));
        }
        found
    }

    /// The path from the crate's root; none if it leads to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        let mut at = module.to_vec();
        let mut path = path;
        match path[0].as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" | "super" => {}
            first
                if self
                    .modules
                    .contains(&[module, &[first.to_owned()]].concat()) => {}
            _ => return None,
        }
        while let Some(first @ ("self" | "super")) = path.first().map(String::as_str) {
            if first == "super" {
                at.pop();
            }
            path = &path[1..];
        }
        Some([&at, path].concat())
    }

    /// The module that a path from the root leads to. A name that a module only imports is looked
    /// up where it is from.
    pub(crate) fn home(&self, path: &[String]) -> Path {
        self.home_within(path, 8)
    }

    fn home_within(&self, path: &[String], steps: usize) -> Path {
        let is_module = |end: &usize| self.modules.contains(&path[..*end]);
        let end = (0..=path.len()).rev().find(is_module).unwrap_or(0);
        let (module, rest) = path.split_at(end);
        let imported = rest.first().and_then(|name| {
            let imports = &self.files.get(module)?.imports;
            let (_, path) = imports.iter().rfind(|(imported, _)| imported == name)?;
            self.absolute(module, path)
        });
        match imported {
            Some(target) if steps > 0 && target != path[..=end] => {
                self.home_within(&[&target, &rest[1..]].concat(), steps - 1)
            }
            _ => module.to_vec(),
        }
    }

    /// For each module, which of its children use which. A child is a file, or a folder with all
    /// that is in it.
    pub(crate) fn siblings(&self) -> BTreeMap<String, Edges> {
        let mut found: BTreeMap<String, Edges> = BTreeMap::new();
        for (from, _, path) in self.named() {
            let to = self.home(&path);
            let differs = from.iter().zip(&to).position(|(from, to)| from != to);
            if let Some(depth) = differs {
                let edges = found.entry(from[..depth].join("/")).or_default();
                let boxes = edges.entry(from[depth].clone()).or_default();
                boxes.insert(to[depth].clone());
            }
        }
        found
    }
}

impl File {
    fn new(source: &Source) -> Self {
        let (mut imports, mut rest) = (Vec::new(), source.code.clone());
        for (start, word) in identifiers(&source.code) {
            let after = &source.code[start + word.len()..];
            if word == "use" && after.starts_with(char::is_whitespace) {
                let end = start + source.code[start..].find(';').unwrap();
                leaves(&source.code[start + 3..end], &[], &mut imports);
                rest.replace_range(start..end, &" ".repeat(end - start));
            }
        }
        Self {
            path: source.path.clone(),
            imports,
            inline: inline(&rest),
        }
    }
}

/// Paths that begin with `crate`, `self` or `super`.
fn inline(code: &str) -> Vec<Path> {
    let words = identifiers(code);
    let joined = |index: usize| {
        let (start, word) = words[index];
        words
            .get(index + 1)
            .is_some_and(|(next, _)| code[start + word.len()..*next] == *"::")
    };
    let begins = |index: &usize| {
        let is_first = *index == 0 || !joined(index - 1);
        is_first && joined(*index) && ["crate", "self", "super"].contains(&words[*index].1)
    };
    let path = |start: usize| {
        let end = (start..).find(|index| !joined(*index)).unwrap();
        words[start..=end]
            .iter()
            .map(|(_, word)| word.to_string())
            .collect()
    };
    (0..words.len()).filter(begins).map(path).collect()
}

/// The paths of a `use` tree, each with the name under which it is imported.
fn leaves(tree: &str, before: &[String], found: &mut Vec<(String, Path)>) {
    let parts = |text: &str| -> Path {
        let parts = text.split("::").map(|part| part.trim().to_owned());
        [
            before.to_vec(),
            parts.filter(|part| !part.is_empty()).collect(),
        ]
        .concat()
    };
    if let Some(open) = tree.find('{') {
        let (before, inner) = (parts(&tree[..open]), &tree[open + 1..closing(tree, open)]);
        let (mut depth, mut start) = (0, 0);
        for (at, letter) in inner.bytes().chain([b',']).enumerate() {
            match letter {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b',' if depth == 0 => {
                    leaves(&inner[start..at], &before, found);
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    if tree.trim().is_empty() {
        return;
    }
    let (written, name) = match tree.split_once(" as ") {
        Some((written, name)) => (written, Some(name.trim().to_owned())),
        None => (tree, None),
    };
    let mut path = parts(written);
    if path.len() > 1 && path.last().unwrap() == "self" {
        path.pop();
    }
    let name = name.unwrap_or_else(|| path.last().unwrap().clone());
    found.push((name, path));
}

/// The strongly connected sets of more than one node, each in order.
pub(crate) fn cycles(edges: &Edges) -> BTreeSet<Vec<String>> {
    let reached: Edges = edges
        .keys()
        .map(|node| (node.clone(), reach(edges, node)))
        .collect();
    let group = |(node, reached_from): (&String, &BTreeSet<String>)| -> Vec<String> {
        let is_mutual = |to: &&String| reached.get(*to).is_some_and(|back| back.contains(node));
        reached_from.iter().filter(is_mutual).cloned().collect()
    };
    let groups = reached.iter().map(group);
    groups.filter(|group| group.len() > 1).collect()
}

fn reach(edges: &Edges, start: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
    while let Some(node) = open.pop() {
        for to in edges.get(&node).into_iter().flatten() {
            if seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

#[test]
fn paths_are_read_in_every_spelling() {
    let text =
        "use crate::{a::{self, B}, c as d};\nuse super::e::F;\nfn f() { self::g::h(crate::i::J) }";
    let file = File::new(&Source::new("src/x.rs", text));
    let written = |path: &Path| path.join("::");
    let imports: Vec<_> = file
        .imports
        .iter()
        .map(|(name, path)| (&**name, written(path)))
        .collect();
    let imports: Vec<_> = imports
        .iter()
        .map(|(name, path)| (*name, path.as_str()))
        .collect();
    let expected = [
        ("a", "crate::a"),
        ("B", "crate::a::B"),
        ("d", "crate::c"),
        ("F", "super::e::F"),
    ];
    assert_eq!(imports, expected);
    let inline: Vec<_> = file.inline.iter().map(written).collect();
    assert_eq!(inline, ["self::g::h", "crate::i::J"]);
}

#[test]
fn a_name_belongs_to_the_module_that_it_is_imported_from() {
    let sources = [
        Source::new("src/m/mod.rs", "mod a; mod b; pub use a::A; pub struct M;"),
        Source::new("src/m/a.rs", "pub struct A;"),
        Source::new("src/m/b.rs", "use super::{A, M};"),
    ];
    let edges = &Crate::new(&sources).siblings()["m"];
    assert_eq!(edges["b"], BTreeSet::from(["a".to_owned()]));
    assert_eq!(edges.len(), 1, "an item of the parent is no edge");
}
