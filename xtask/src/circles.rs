//! Checks that dependencies inside a crate run one way: no circles, and the order of `lacre`'s
//! folders.
//!
//! The rule: within each folder, its files and subfolders are compared as wholes. When `a/x.rs`
//! names an item of `b/y.rs`, then `a` depends on `b`, and no path may lead from `b` back to `a`. A
//! folder's own file (`mod.rs`, `lib.rs`, `main.rs`) and its children are one module and may use
//! each other: it may call them, and they may use the types that it defines. `lacre` itself is
//! stricter: no part of it uses an item that `lib.rs` defines, and no arrow runs up in [`ORDER`].

use crate::modules::{Arrow, Crate, Module};
use crate::{Failure, layers};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// The folder whose parts have an order.
pub(crate) const ORDERED: &str = "crates/lacre/src/";

/// The parts of `lacre`, from the top down. A part may use those below its row, and those of its
/// row where no circle results.
pub(crate) const ORDER: [&[&str]; 8] = [
    &["drive"],
    &["interchange"],
    &["maintain"],
    &["cache"],
    &["body"],
    &["storage"],
    &["codec", "keys", "stage", "store"],
    &["clock", "config", "error", "events", "files", "fork", "sanitize", "wait"],
];

/// Prints every circle of files or folders in one crate or in all, and every arrow against the
/// order of `lacre`'s folders.
///
/// # Errors
/// There is one, or the workspace cannot be read.
pub(crate) fn check(root: &Path, name: Option<&str>) -> Result<(), Failure> {
    let sources = layers::shipped(root)?;
    let mut count = 0;
    let is_asked = |folder: &&str| name.is_none_or(|name| *folder == format!("crates/{name}/src/"));
    for folder in folders(&sources).into_iter().filter(is_asked) {
        let house = Crate::read(folder, &sources);
        for circle in circles(folder, &house) {
            eprint!("{}", circle.describe());
            count += 1;
        }
        if folder == ORDERED {
            for arrow in against_order(&house) {
                eprintln!("{arrow}");
                count += 1;
            }
        }
    }
    match count {
        0 => {
            println!("circles: none; lacre's folders keep their order");
            Ok(())
        }
        count => Err(format!(
            "{count} circle(s) or arrow(s) against the order; the rule is at the top of xtask/src/circles.rs"
        )
        .into()),
    }
}

/// The folders of all crates' sources.
fn folders(sources: &[(String, String)]) -> BTreeSet<&str> {
    sources.iter().filter_map(|(name, _)| Some(&name[..name.find("/src/")? + "/src/".len()])).collect()
}

/// Files or folders that depend on each other.
#[derive(Debug)]
struct Circle {
    /// `crates/lacre/src/`, with the subfolder.
    folder: String,
    members: Vec<String>,
    /// Those between the members.
    arrows: Vec<Arrow>,
}

impl Circle {
    /// Its members, with one example for each arrow between them.
    fn describe(&self) -> String {
        let mut text = format!("{}: {} depend on each other\n", self.folder, self.members.join(", "));
        let depth = self.arrows.first().map_or(0, |arrow| common(&arrow.from, &arrow.to));
        let mut pairs: BTreeMap<(String, String), Vec<&Arrow>> = BTreeMap::new();
        for arrow in &self.arrows {
            pairs.entry((part(&arrow.from, depth), part(&arrow.to, depth))).or_default().push(arrow);
        }
        for ((from, to), arrows) in pairs {
            let first = arrows[0];
            let more =
                if arrows.len() > 1 { format!(" and {} more", arrows.len() - 1) } else { String::new() };
            let _ =
                writeln!(text, "    {from} → {to}: {}:{} names {}{more}", first.file, first.line, first.path);
        }
        text
    }
}

/// The circles of one crate, in every folder.
fn circles(folder: &str, house: &Crate) -> Vec<Circle> {
    let mut levels: BTreeMap<Module, Vec<Arrow>> = BTreeMap::new();
    for arrow in house.arrows().into_iter().filter(|arrow| !is_in_family(arrow)) {
        levels.entry(arrow.from[..common(&arrow.from, &arrow.to)].to_vec()).or_default().push(arrow);
    }
    let mut found = Vec::new();
    for (level, arrows) in levels {
        let edges: BTreeSet<_> = arrows
            .iter()
            .map(|arrow| (part(&arrow.from, level.len()), part(&arrow.to, level.len())))
            .collect();
        for members in knots(&edges) {
            let within = |arrow: &&Arrow| {
                members.contains(&part(&arrow.from, level.len()))
                    && members.contains(&part(&arrow.to, level.len()))
            };
            let arrows = arrows.iter().filter(within).cloned().collect();
            let folder = level.iter().fold(folder.to_owned(), |folder, name| format!("{folder}{name}/"));
            found.push(Circle { folder, members: members.into_iter().collect(), arrows });
        }
    }
    found
}

/// Arrows of `lacre` that run against [`ORDER`], and parts that have no place in it.
fn against_order(house: &Crate) -> Vec<String> {
    let rank = |part: &str| ORDER.iter().position(|row| row.contains(&part));
    let strays = house.children(&[]).into_iter().filter(|part| rank(part).is_none());
    let mut found: Vec<_> = strays
        .map(|part| format!("{ORDERED}{part}: has no place: give it one in ORDER of xtask/src/circles.rs"))
        .collect();
    for arrow in house.arrows() {
        let (from, to) = (part(&arrow.from, 0), part(&arrow.to, 0));
        let is_up = match (rank(&from), rank(&to)) {
            // `lib.rs` is above all parts.
            (Some(_), None) => to == HEAD,
            (Some(from), Some(to)) => to < from,
            (None, _) => false,
        };
        if is_up {
            found.push(format!(
                "{}:{}: {from} must not use {to}: names {}",
                arrow.file, arrow.line, arrow.path
            ));
        }
    }
    found
}

/// Whether it joins a folder's own file to something in the folder.
fn is_in_family(arrow: &Arrow) -> bool {
    let common = common(&arrow.from, &arrow.to);
    common == arrow.from.len() || common == arrow.to.len()
}

/// The name of a folder's own file, `mod.rs` or `lib.rs`, beside its children.
pub(crate) const HEAD: &str = "mod.rs";

/// The part of a folder at `depth` that a module lies in.
pub(crate) fn part(module: &[String], depth: usize) -> String {
    module.get(depth).cloned().unwrap_or_else(|| HEAD.to_owned())
}

fn common(one: &[String], other: &[String]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// The largest sets whose members all reach each other.
fn knots(edges: &BTreeSet<(String, String)>) -> Vec<BTreeSet<String>> {
    let nodes: BTreeSet<_> = edges.iter().flat_map(|(from, to)| [from, to]).cloned().collect();
    let reach: BTreeMap<_, _> = nodes.iter().map(|node| (node, reachable(edges, node))).collect();
    let mut knots = BTreeSet::new();
    for node in &nodes {
        let knot: BTreeSet<_> =
            reach[node].iter().filter(|other| reach[*other].contains(node)).cloned().collect();
        if !knot.is_empty() {
            knots.insert(knot);
        }
    }
    knots.into_iter().collect()
}

pub(crate) fn reachable(edges: &BTreeSet<(String, String)>, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![from.to_owned()];
    while let Some(node) = left.pop() {
        for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
            if found.insert(to.clone()) {
                left.push(to.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(files: &[(&str, &str)]) -> Crate {
        let sources: Vec<_> =
            files.iter().map(|(name, text)| (format!("src/{name}"), (*text).to_owned())).collect();
        Crate::read("src/", &sources)
    }

    fn members(files: &[(&str, &str)]) -> Vec<String> {
        let found = circles("src/", &house(files));
        found.iter().map(|circle| format!("{} {}", circle.folder, circle.members.join(" "))).collect()
    }

    #[test]
    fn a_circle_of_files_is_found_in_its_folder() {
        let one_way =
            [("lib.rs", ""), ("a/x.rs", "use super::y::Y;"), ("a/y.rs", "pub struct Y;"), ("a/mod.rs", "")];
        assert_eq!(members(&one_way), [""; 0]);
        let mut both = one_way;
        both[2].1 = "use super::x; pub struct Y;";
        assert_eq!(members(&both), ["src/a/ x y"]);
    }

    #[test]
    fn a_circle_of_folders_is_found_though_no_file_is_in_one() {
        let files = [
            ("lib.rs", ""),
            ("a/one.rs", "use crate::b::one::B;"),
            ("a/two.rs", "pub struct A;"),
            ("b/one.rs", "pub struct B;"),
            ("b/two.rs", "use crate::a::two::A;"),
            ("a/mod.rs", ""),
            ("b/mod.rs", ""),
        ];
        assert_eq!(members(&files), ["src/ a b"]);
    }

    #[test]
    fn a_folder_and_its_own_file_may_use_each_other_and_siblings_still_may_not() {
        let files = [
            ("lib.rs", ""),
            ("a/mod.rs", "use x::f; pub struct A;"),
            ("a/x.rs", "use super::{A, y}; pub fn f() {}"),
            ("a/y.rs", ""),
        ];
        assert_eq!(members(&files), [""; 0]);
        let mut both = files;
        both[3].1 = "use super::x::f;";
        assert_eq!(members(&both), ["src/a/ x y"]);
    }

    #[test]
    fn a_circle_over_three_files_is_one() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "use crate::a; pub struct C;"),
        ];
        assert_eq!(members(&files), ["src/ a b c"]);
    }

    #[test]
    fn an_arrow_against_the_order_is_found() {
        let planted = |file, text| {
            against_order(&house(&[
                ("lib.rs", "pub struct L;"),
                ("drive/mod.rs", "pub struct D;"),
                (file, text),
            ]))
        };
        assert_eq!(
            planted("cache/mod.rs", "use crate::drive::D;"),
            ["src/cache/mod.rs:1: cache must not use drive: names crate::drive::D"]
        );
        assert_eq!(planted("store/x.rs", "use crate::L;").len(), 1);
        assert_eq!(planted("stray.rs", "").len(), 1);
        assert_eq!(
            against_order(&house(&[
                ("drive/mod.rs", "use crate::cache::C;"),
                ("cache/mod.rs", "pub struct C;")
            ])),
            [""; 0]
        );
    }
}
