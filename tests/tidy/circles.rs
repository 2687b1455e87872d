//! The graph of which file names which: no two files name each other, neither directly nor through
//! other files.
//!
//! `cargo test --test tidy no_file_names_itself -- --nocapture` prints it.

use std::collections::{BTreeMap, BTreeSet};

use crate::scan::{Source, module_of};
use crate::{demand_none, tree};

type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_file_names_itself_by_way_of_others() {
    let graph = graph(&tree::sources("src"));
    print(&graph);
    let arrows = graph.values().map(BTreeSet::len).sum::<usize>();
    assert!(arrows > graph.len(), "the names of the files are not read");
    let faults = circles(&graph).into_iter().map(|circle| {
        let arrows = circle.iter().flat_map(|from| {
            let inside = graph[from].iter().filter(|to| circle.contains(*to));
            inside.map(move |to| format!("    {from} names {to}"))
        });
        format!(
            "{}:1: is in a circle of {} files. Move what both sides need into a file below them:\n{}",
            circle[0],
            circle.len(),
            arrows.collect::<Vec<_>>().join("\n")
        )
    });
    demand_none(&faults.collect::<Vec<_>>());
}

fn print(graph: &Graph) {
    for (from, to) in graph {
        println!(
            "{from} -> {}",
            to.iter().cloned().collect::<Vec<_>>().join(" ")
        );
    }
    let arrows: usize = graph.values().map(BTreeSet::len).sum();
    println!(
        "{} files, {arrows} arrows, {} circles",
        graph.len(),
        circles(graph).len()
    );
}

/// Which file names which, without test code. A `mod` declaration in a folder's `mod.rs` does not
/// count as naming that file.
fn graph(sources: &[Source]) -> Graph {
    let files: BTreeMap<Vec<String>, &str> = sources
        .iter()
        .map(|source| (module_of(&source.file), source.file.as_str()))
        .collect();
    let mut graph = Graph::new();
    for source in sources.iter().filter(|source| source.file != "src/lib.rs") {
        let named = graph.entry(source.file.clone()).or_default();
        for name in source
            .names
            .iter()
            .filter(|name| !name.test && name.path[0] == "crate")
        {
            let path = &name.path[1..];
            let file = (1..=path.len())
                .rev()
                .find_map(|end| files.get(&path[..end]));
            named.extend(
                file.filter(|file| **file != source.file)
                    .map(|file| (*file).to_owned()),
            );
        }
    }
    graph
}

/// The strongly connected components of more than one file.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reached = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(file) = next.pop() {
            for to in graph.get(file).into_iter().flatten() {
                if seen.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|file| (file.as_str(), reached(file)))
        .collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, reach) in &all {
        if reach.contains(file) {
            let both = reach
                .iter()
                .filter(|other| all.get(*other).is_some_and(|back| back.contains(file)));
            found.insert(both.map(|other| (*other).to_owned()).collect());
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(file, text)| Source::parse(file, text))
            .collect();
        circles(&graph(&sources))
    }

    #[test]
    fn a_circle_is_found_around_a_corner_and_with_a_folders_own_file() {
        let a = ("src/a.rs", "use crate::b::B;");
        let b = ("src/b.rs", "use crate::c::C;");
        assert_eq!(found(&[a, b, ("src/c.rs", "use crate::a::A;")]).len(), 1);
        assert!(
            found(&[
                a,
                b,
                ("src/c.rs", "#[cfg(test)] mod tests { use crate::a::A; }")
            ])
            .is_empty()
        );
        let folder = ("src/d/mod.rs", "mod e; use e::E; pub struct D;");
        assert_eq!(found(&[folder, ("src/d/e.rs", "use super::D;")]).len(), 1);
        assert!(found(&[folder, ("src/d/e.rs", "pub struct E;")]).is_empty());
    }
}
