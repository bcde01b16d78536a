//! The dependencies between the files of one crate: which file names an item of which other file.
//!
//! A path counts for the file that defines its item, however many re-exports it passes through. A
//! re-export of an item further down (`pub use child::Item` in `mod.rs`) is no dependency, unless
//! the file itself uses the item. Tests are left out.

use crate::paths::{self, Named};
use std::collections::{BTreeMap, BTreeSet};

/// A module by its segments below the crate: `[]` is `lib.rs`, `["store", "fs"]` is `store/fs.rs`
/// or `store/fs/mod.rs`.
pub(crate) type Module = Vec<String>;

/// One file names an item of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: Module,
    pub(crate) to: Module,
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The path as written.
    pub(crate) path: String,
}

struct File {
    name: String,
    named: Vec<Named>,
    defined: BTreeSet<String>,
}

/// All files of one crate.
pub(crate) struct Crate {
    files: BTreeMap<Module, File>,
}

/// More re-exports of re-exports than this are taken for a loop.
const MAX_REEXPORTS: usize = 16;

impl Crate {
    /// Reads the crate whose sources lie in `folder` (`crates/lacre/src/`), among `sources`: files
    /// with their text, without test files.
    pub(crate) fn read(folder: &str, sources: &[(String, String)]) -> Self {
        let has_library = sources.iter().any(|(name, _)| *name == format!("{folder}lib.rs"));
        let mut files = BTreeMap::new();
        for (name, text) in sources {
            let Some(module) = name.strip_prefix(folder).and_then(|name| name.strip_suffix(".rs")) else {
                continue;
            };
            // With a library beside it, `main.rs` is a crate of its own.
            if module.starts_with("bin/") || (module == "main" && has_library) {
                continue;
            }
            let mut module: Module = module.split('/').map(str::to_owned).collect();
            let is_root = module.len() == 1 && ["lib", "main"].contains(&module[0].as_str());
            if is_root || module.last().is_some_and(|last| last == "mod") {
                module.pop();
            }
            let file = File { name: name.clone(), named: paths::named(text), defined: paths::defined(text) };
            files.insert(module, file);
        }
        Self { files }
    }

    /// The names of a module's children.
    pub(crate) fn children(&self, module: &[String]) -> BTreeSet<String> {
        let below = self.files.keys().filter(|file| file.len() > module.len() && file.starts_with(module));
        below.map(|file| file[module.len()].clone()).collect()
    }

    /// Every dependency of a file on another.
    pub(crate) fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = Vec::new();
        for (module, file) in &self.files {
            for path in &file.named {
                let Some(to) = self.target(module, path) else { continue };
                if to == *module || self.is_reexport(module, file, path, &to) {
                    continue;
                }
                arrows.push(Arrow {
                    from: module.clone(),
                    to,
                    file: file.name.clone(),
                    line: path.line,
                    path: path.segments.join("::"),
                });
            }
        }
        arrows
    }

    /// Whether a `use` only passes an item of a module below on to others.
    fn is_reexport(&self, module: &[String], file: &File, path: &Named, to: &[String]) -> bool {
        let Some(import) = path.import.as_ref().filter(|import| import.exported) else { return false };
        let is_type = |name: &&String| name.starts_with(char::is_uppercase);
        let uses =
            |name: &String| file.named.iter().any(|used| used.import.is_none() && used.segments[0] == *name);
        to.starts_with(module) && !import.name.as_ref().filter(is_type).is_some_and(uses)
    }

    /// The file that defines what `path` names in `module`; `None`: another crate, or a name of the
    /// file's own.
    fn target(&self, module: &[String], path: &Named) -> Option<Module> {
        if path.segments.len() < 2 && path.import.is_none() {
            return None;
        }
        // `super` in an inline module leads to its file first.
        let mut segments = path.segments.as_slice();
        let mut depth = path.depth;
        while depth > 0 && segments.first().is_some_and(|first| first == "super") {
            (depth, segments) = (depth - 1, &segments[1..]);
        }
        let within = segments.len() < path.segments.len();
        match segments {
            [first, ..] if within && first != "super" => self.descend(module.to_vec(), segments, 0),
            [] => None,
            _ => self.resolve(module, segments, path.import.as_ref().map(|_| path), 0),
        }
    }

    /// Resolves a path from its first segment. `import`: the `use` that it stands in, which must
    /// not explain itself.
    fn resolve(
        &self,
        module: &[String],
        path: &[String],
        import: Option<&Named>,
        reexports: usize,
    ) -> Option<Module> {
        if reexports > MAX_REEXPORTS {
            return None;
        }
        let file = self.files.get(module)?;
        let (mut from, mut rest) = (module.to_vec(), path);
        match path.first()?.as_str() {
            "crate" => (from, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    from.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let bound = file.named.iter().find(|named| {
                    let name = named.import.as_ref().and_then(|import| import.name.as_deref());
                    name == Some(first) && import.is_none_or(|import| import != *named)
                });
                if let Some(bound) = bound {
                    let path = [without_self(&bound.segments), &path[1..]].concat();
                    return self.resolve(module, &path, Some(bound), reexports + 1);
                }
                if !self.children(module).contains(first) {
                    return None;
                }
            }
        }
        self.descend(from, rest, reexports)
    }

    /// Follows a path from a module down, through re-exports, to the file of its item.
    fn descend(&self, mut module: Module, mut path: &[String], reexports: usize) -> Option<Module> {
        path = without_self(path);
        while let Some((first, rest)) = path.split_first() {
            let child = [module.as_slice(), std::slice::from_ref(first)].concat();
            if !self.files.contains_key(&child) {
                break;
            }
            (module, path) = (child, rest);
        }
        let file = self.files.get(&module)?;
        let Some(name) = path.first().filter(|name| !file.defined.contains(*name)) else {
            return Some(module);
        };
        let imports = file.named.iter().filter(|named| named.import.is_some());
        for named in imports {
            let import = named.import.as_ref()?;
            if import.name.as_ref() == Some(name) {
                let path = [without_self(&named.segments), &path[1..]].concat();
                // `None`: a re-export of another crate's item.
                return self.resolve(&module, &path, Some(named), reexports + 1);
            }
            if import.glob
                && let Some(all) = self.resolve(&module, &named.segments, Some(named), reexports + 1)
                && all != module
                && self.files.get(&all).is_some_and(|file| file.defined.contains(name))
            {
                return Some(all);
            }
        }
        Some(module)
    }
}

fn without_self(path: &[String]) -> &[String] {
    path.strip_suffix(&["self".to_owned()]).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|(name, text)| (format!("src/{name}"), (*text).to_owned())).collect();
        let arrows = Crate::read("src/", &sources).arrows();
        arrows
            .iter()
            .map(|arrow| format!("{} → {} by {}", arrow.from.join("/"), arrow.to.join("/"), arrow.path))
            .collect()
    }

    #[test]
    fn imports_and_paths_in_code_are_arrows() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B; fn f() { super::b::g(); std::fs::read(); }"),
            ("b.rs", "pub struct B; pub fn g() {} use std::io;"),
        ];
        assert_eq!(arrows(&files), ["a → b by crate::b::B", "a → b by super::b::g"]);
    }

    #[test]
    fn a_reexport_leads_to_the_file_that_defines_the_item_and_is_no_arrow() {
        let files = [
            ("lib.rs", "pub use a::A;"),
            ("a/mod.rs", "mod inner; pub use inner::*; pub(crate) use inner::B as C;"),
            ("a/inner.rs", "pub struct A; pub struct B;"),
            ("b.rs", "use crate::A; use crate::a::C; use super::a; fn f() { a::A; }"),
        ];
        assert_eq!(
            arrows(&files),
            [
                "b → a/inner by crate::A",
                "b → a/inner by crate::a::C",
                "b → a by super::a",
                "b → a/inner by a::A",
            ]
        );
    }

    #[test]
    fn a_reexport_of_another_crates_item_is_no_arrow() {
        let files =
            [("lib.rs", "pub use http::Method;"), ("a.rs", "use crate::Method; fn f() { Method::GET; }")];
        assert_eq!(arrows(&files), [""; 0]);
    }

    #[test]
    fn a_reexported_type_that_the_file_uses_is_an_arrow() {
        let files = [("lib.rs", "pub use a::A; fn f(a: A) {}"), ("a.rs", "pub struct A;")];
        assert_eq!(arrows(&files), [" → a by a::A"]);
    }

    #[test]
    fn an_item_of_the_parent_is_an_arrow_up() {
        let files = [
            ("a/mod.rs", "mod inner; use inner::g; pub struct A;"),
            ("a/inner.rs", "use super::A; pub fn g() {}"),
            ("lib.rs", ""),
        ];
        assert_eq!(arrows(&files), ["a → a/inner by inner::g", "a/inner → a by super::A"]);
    }

    #[test]
    fn an_item_that_the_parent_only_imports_leads_past_it() {
        let files = [
            ("a/mod.rs", "mod one; mod two; use one::One;"),
            ("a/one.rs", "pub struct One;"),
            ("a/two.rs", "use super::One;"),
            ("lib.rs", ""),
        ];
        assert_eq!(arrows(&files), ["a → a/one by one::One", "a/two → a/one by super::One"]);
    }

    #[test]
    fn an_inline_module_belongs_to_its_file() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "mod inner { use super::A; use super::super::b::B; } struct A; fn f() { inner::g() }"),
            ("b.rs", "pub struct B;"),
        ];
        assert_eq!(arrows(&files), ["a → b by super::super::b::B"]);
    }

    #[test]
    fn imports_that_name_each_other_end() {
        let files = [("lib.rs", "pub use a::X;"), ("a.rs", "pub use crate::X;"), ("b.rs", "use crate::X;")];
        arrows(&files);
    }
}
