//! Circles of imports between the modules of a crate.
//!
//! Two rules. Files do not import each other in a circle. And seen from each folder, where everything inside a neighbour counts as
//! that neighbour, neighbours do not either: so a folder can be understood with what stands before it. A module and those
//! inside it are one room, and may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::files::{below, relative};
use crate::support::imports::{of_source, test_modules};

type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// The circles in the crate whose root is in `folder`, in words.
pub(crate) fn of_crate(folder: &Path) -> Vec<String> {
    let files = graph(folder);
    let mut circles = circles(&files);
    let depth = files.keys().map(Vec::len).max().unwrap_or(0);
    for level in 1..depth {
        circles.extend(self::circles(&collapsed(&files, level)));
    }
    let words = circles.iter().map(|circle| format!("{}: {}", relative(folder), circle.join(" <-> ")));
    words.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Which module imports which, file by file.
fn graph(folder: &Path) -> Graph {
    let mut sources: BTreeMap<Module, String> = BTreeMap::new();
    for path in below(folder, "rs") {
        let inside = path.strip_prefix(folder).unwrap();
        if inside.starts_with("bin") {
            continue;
        }
        let mut module: Module =
            inside.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        sources.insert(module, std::fs::read_to_string(&path).unwrap());
    }
    let mut tests: Vec<Module> = Vec::new();
    for (module, text) in &sources {
        tests.extend(test_modules(text).into_iter().map(|name| [module.as_slice(), &[name]].concat()));
    }
    sources.retain(|module, _| !module.is_empty() && !tests.iter().any(|test| module.starts_with(test)));
    let mut graph = Graph::new();
    for (module, text) in &sources {
        let edges = graph.entry(module.clone()).or_default();
        for path in of_source(text, module) {
            let target =
                (1..=path.len()).rev().map(|length| &path[..length]).find(|part| sources.contains_key(*part));
            edges.extend(target.filter(|target| !one_room(module, target)).map(<[String]>::to_vec));
        }
    }
    graph
}

fn one_room(one: &[String], other: &[String]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The graph between modules `level` names deep, all that is inside them taken together; only neighbours of one folder.
fn collapsed(files: &Graph, level: usize) -> Graph {
    let mut graph = Graph::new();
    for (module, targets) in files {
        let Some(from) = module.get(..level) else { continue };
        let edges = graph.entry(from.to_vec()).or_default();
        let towards = targets.iter().filter_map(|target| target.get(..level));
        edges.extend(
            towards.filter(|to| *to != from && to[..level - 1] == from[..level - 1]).map(<[String]>::to_vec),
        );
    }
    graph
}

/// Sets of modules each of which reaches all others of its set.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        graph.keys().map(|module| (module, reachable(graph, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, there) in &reached {
        let back = |other: &&&Module| reached.get(**other).is_some_and(|there| there.contains(*module));
        let circle: Vec<String> = there.iter().filter(back).map(|module| module.join("::")).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'a>(graph: &'a Graph, from: &Module) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&Module> = graph.get(from).into_iter().flatten().collect();
    while let Some(module) = open.pop() {
        if seen.insert(module) {
            open.extend(graph.get(module).into_iter().flatten());
        }
    }
    seen
}

#[test]
fn circles_are_found_and_rooms_are_not() {
    let folder = std::env::temp_dir().join(format!("kv-tidy-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("a")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\n");
    write("a/mod.rs", "mod x;\nmod y;\npub use x::X;\n#[cfg(test)]\nmod tests;\n");
    write("a/x.rs", "use crate::a::y::Y;\n");
    write("a/y.rs", "use crate::b::B;\n");
    write("a/tests.rs", "use crate::a::x::X;\n");
    write("b.rs", "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::a::X;\n}\n");
    assert_eq!(of_crate(&folder), Vec::<String>::new());
    write("b.rs", "use crate::a::X;\n");
    let found = of_crate(&folder).join(" ");
    assert!(found.contains(": a <-> b"), "through what a folder exports: {found}");
    write("b.rs", "pub struct B;\n");
    write("a/y.rs", "use super::x::X;\n");
    let found = of_crate(&folder).join(" ");
    assert!(found.contains(": a::x <-> a::y"), "{found}");
    std::fs::remove_dir_all(&folder).unwrap();
}
