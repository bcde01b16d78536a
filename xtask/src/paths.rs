//! Reads Rust source as far as the layer rules need: the paths that code names, and the items that
//! a file defines.
//!
//! Comments, literals and items under `#[cfg(test)]` are skipped; groups in a `use` are expanded.

use std::collections::BTreeSet;

/// A path as written, with `use` groups expanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
    /// How many inline modules (`mod name { … }`) enclose it.
    pub(crate) depth: usize,
    /// Set for a path in a `use`.
    pub(crate) import: Option<Import>,
}

/// How a `use` binds its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The name that the file knows it by; `None` for a glob and for `as _`.
    pub(crate) name: Option<String>,
    pub(crate) glob: bool,
    /// Whether the `use` has a visibility (`pub`, `pub(crate)`, …).
    pub(crate) exported: bool,
}

/// Every path that `source` names, outside its tests.
pub(crate) fn named(source: &str) -> Vec<Named> {
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    let mut at = 0;
    let mut braces = 0_usize;
    let mut inline = Vec::new();
    while let Some((token, line)) = tokens.get(at) {
        match token {
            Token::Word(word) if word == "use" => {
                let (start, exported) = (found.len(), is_exported(&tokens[..at]));
                at = use_tree(&tokens, at + 1, &[], &mut found);
                for path in &mut found[start..] {
                    path.depth = inline.len();
                    path.import.iter_mut().for_each(|import| import.exported = exported);
                }
            }
            Token::Word(_) => {
                if word_at(&tokens, at) == Some("mod") && mark(&tokens, at + 2) == Some('{') {
                    inline.push(braces);
                }
                let (segments, next) = path(&tokens, at);
                found.push(Named { segments, line: *line, depth: inline.len(), import: None });
                at = next;
            }
            Token::Mark(mark) => {
                match mark {
                    '{' => braces += 1,
                    '}' => {
                        braces = braces.saturating_sub(1);
                        if inline.last() == Some(&braces) {
                            inline.pop();
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
    }
    found
}

/// The names of the items that `source` defines, outside its tests.
pub(crate) fn defined(source: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 10] =
        ["const", "enum", "fn", "macro_rules", "mod", "static", "struct", "trait", "type", "union"];
    let tokens = without_tests(&tokens(source));
    let keywords =
        (0..tokens.len()).filter(|at| word_at(&tokens, *at).is_some_and(|word| KEYWORDS.contains(&word)));
    let names = keywords.filter_map(|at| {
        let name = if mark(&tokens, at + 1) == Some('!') { at + 2 } else { at + 1 };
        word_at(&tokens, name).map(str::to_owned)
    });
    names.collect()
}

/// The modules that `source` declares for tests only and keeps in files of their own.
pub(crate) fn test_files(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let declared =
        (0..tokens.len()).filter_map(|at| test_item(&tokens[at..]).map(|length| &tokens[at..at + length]));
    let names = declared.filter_map(|item| {
        let at = (0..item.len()).find(|at| word_at(item, *at) == Some("mod"))?;
        (mark(item, at + 2) == Some(';')).then(|| word_at(item, at + 1).map(str::to_owned))?
    });
    names.collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// One character of punctuation; `::` is the single mark `':'`.
    Mark(char),
}

type Placed = (Token, usize);

fn mark(tokens: &[Placed], at: usize) -> Option<char> {
    match tokens.get(at) {
        Some((Token::Mark(mark), _)) => Some(*mark),
        _ => None,
    }
}

fn word_at(tokens: &[Placed], at: usize) -> Option<&str> {
    match tokens.get(at) {
        Some((Token::Word(word), _)) => Some(word),
        _ => None,
    }
}

/// Whether a visibility ends here: `pub` or `pub(…)`.
fn is_exported(before: &[Placed]) -> bool {
    let end = before.len();
    let is_pub = |at: Option<usize>| at.and_then(|at| word_at(before, at)) == Some("pub");
    is_pub(end.checked_sub(1))
        || (mark(before, end.wrapping_sub(1)) == Some(')') && is_pub(end.checked_sub(4)))
}

/// The path `a::b::c` at `at`: its segments, and the index after it.
fn path(tokens: &[Placed], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    while let Some((Token::Word(word), _)) = tokens.get(at) {
        segments.push(word.clone());
        at += 1;
        let more = mark(tokens, at) == Some(':') && matches!(tokens.get(at + 1), Some((Token::Word(_), _)));
        if !more {
            break;
        }
        at += 1;
    }
    (segments, at)
}

/// Reads one tree of a `use`, `prefix::{a, b::c as d, *}`; returns the index after it.
fn use_tree(tokens: &[Placed], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    if mark(tokens, at) == Some(':') {
        at += 1;
    }
    let line = tokens.get(at).map_or(0, |(_, line)| *line);
    let (segments, mut at) = path(tokens, at);
    let segments = [prefix, &segments].concat();
    let group = if mark(tokens, at) == Some(':') { at + 1 } else { at };
    if mark(tokens, group) == Some('{') {
        at = group + 1;
        while at < tokens.len() && mark(tokens, at) != Some('}') {
            at = use_tree(tokens, at, &segments, found);
            if mark(tokens, at) == Some(',') {
                at += 1;
            }
        }
        return at + 1;
    }
    let mut import = Import { name: segments.last().cloned(), glob: false, exported: false };
    if import.name.as_deref() == Some("self") {
        import.name = segments.iter().nth_back(1).cloned();
    }
    // The rest is `::*` or `as name`.
    while at < tokens.len() && !matches!(mark(tokens, at), Some(',' | '}' | ';')) {
        match &tokens[at].0 {
            Token::Mark('*') => import = Import { name: None, glob: true, exported: false },
            Token::Word(word) if word != "as" => import.name = Some(word.clone()).filter(|name| name != "_"),
            _ => {}
        }
        at += 1;
    }
    found.push(Named { segments, line, depth: 0, import: Some(import) });
    at
}

/// Drops every item under `#[cfg(test)]`.
fn without_tests(tokens: &[Placed]) -> Vec<Placed> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some(length) = test_item(&tokens[at..]) {
            at += length;
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    kept
}

/// The length of the item that starts here with `#[cfg(test)]`, if one does: up to its `;`, `,` or
/// closing brace.
fn test_item(tokens: &[Placed]) -> Option<usize> {
    const START: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let written = |token: &Token, wanted: &str| match token {
        Token::Word(word) => word == wanted,
        Token::Mark(mark) => wanted.starts_with(*mark),
    };
    let start = tokens.get(..START.len())?;
    if !start.iter().zip(START).all(|((token, _), wanted)| written(token, wanted)) {
        return None;
    }
    let is_import = (START.len()..START.len() + 5).any(|at| word_at(tokens, at) == Some("use"));
    let mut nested = 0_usize;
    let mut at = START.len();
    while at < tokens.len() {
        match mark(tokens, at) {
            Some('{') if nested == 0 && !is_import => return Some(at + matching_brace(&tokens[at..])),
            Some('(' | '[' | '{') => nested += 1,
            Some(')' | ']' | '}') => nested = nested.saturating_sub(1),
            Some(';' | ',') if nested == 0 => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    Some(at)
}

/// The number of tokens in the block that starts here.
fn matching_brace(tokens: &[Placed]) -> usize {
    let mut depth = 0_usize;
    for (at, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn tokens(source: &str) -> Vec<Placed> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, token) = if let Some(length) = skipped_length(rest) {
            (length, None)
        } else if is_word(first) {
            let length = rest.find(|next| !is_word(next)).unwrap_or(rest.len());
            (length, Some(Token::Word(rest[..length].into())))
        } else if rest.starts_with("::") {
            (2, Some(Token::Mark(':')))
        } else if first == ':' {
            // A single colon (`name: Type`) joins nothing, so it must not look like `::`.
            (1, Some(Token::Mark(' ')))
        } else {
            (first.len_utf8(), (!first.is_whitespace()).then_some(Token::Mark(first)))
        };
        tokens.extend(token.map(|token| (token, line)));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The length of the comment or literal that starts here, if any.
fn skipped_length(rest: &str) -> Option<usize> {
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    if rest.starts_with("//") {
        return Some(to(rest.find('\n')));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let raw = rest.trim_start_matches('b').strip_prefix('r').filter(|_| rest.starts_with(['b', 'r']));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = rest.len() - raw.len() + hashes + 1;
            return Some(to(rest[open..].find(&close).map(|at| open + at + close.len())));
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // A quote opens a character when one closes it; otherwise it is a lifetime.
    let mut letters = rest.strip_prefix('\'')?.chars();
    let character = match letters.next()? {
        '\\' => true,
        _ => letters.next() == Some('\''),
    };
    Some(if character { quoted(rest, '\'') } else { 1 })
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, letter) in rest.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_paths(source: &str) -> Vec<(String, usize)> {
        let paths = named(source).into_iter().filter(|path| path.segments.len() > 1);
        paths.map(|path| (path.segments.join("::"), path.line)).collect()
    }

    #[test]
    fn a_use_tree_is_expanded() {
        let source =
            "use std::{\n    fs::{self, File},\n    io as input,\n    net::*,\n};\nuse ::http::Method;";
        let wanted = [
            ("std::fs::self", 2),
            ("std::fs::File", 2),
            ("std::io", 3),
            ("std::net", 4),
            ("http::Method", 6),
        ];
        assert_eq!(long_paths(source), wanted.map(|(path, line)| (path.to_owned(), line)));
    }

    #[test]
    fn a_path_in_code_is_found_on_its_line() {
        assert_eq!(long_paths("fn f() {\n    g(SystemTime::now());\n}"), [("SystemTime::now".to_owned(), 2)]);
    }

    #[test]
    fn a_type_annotation_is_not_a_path() {
        assert_eq!(long_paths("struct S { store: Box<str> }"), []);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        let source = "// std::fs\n/* std::fs /* std::net */ std::fs */ \"std::fs \\\" std::fs\" r#\"std::fs \" std::fs\"# \
                      b\"std::fs\" '\"' '\\'' 'a std::env";
        assert_eq!(long_paths(source), [("std::env".to_owned(), 2)]);
    }

    #[test]
    fn test_modules_are_skipped_and_the_code_after_them_is_not() {
        let source =
            "#[cfg(test)]\nmod tests {\n    fn f() { std::fs::read(\"{\"); }\n}\nfn g() { std::net::x() }";
        assert_eq!(long_paths(source), [("std::net::x".to_owned(), 5)]);
    }

    #[test]
    fn test_imports_and_functions_are_skipped() {
        let source = "#[cfg(test)]\nuse std::{fs, io};\n#[cfg(test)]\n#[must_use]\nfn f(a: [u8; 2]) -> std::A { std::b() }\nfn g() { std::c() }";
        assert_eq!(long_paths(source), [("std::c".to_owned(), 6)]);
    }

    #[test]
    fn an_import_knows_its_name_and_whether_it_is_exported() {
        let source =
            "use a::b as c;\npub(crate) use d::{self, e::*, F as _};\npub use g::h;\nfn f(x: pubs) {}";
        let imports =
            named(source).into_iter().filter_map(|path| Some((path.segments.join("::"), path.import?)));
        let shown: Vec<_> = imports
            .map(|(path, import)| format!("{path} {:?} {} {}", import.name, import.glob, import.exported))
            .collect();
        assert_eq!(
            shown,
            [
                "a::b Some(\"c\") false false",
                "d::self Some(\"d\") false true",
                "d::e None true true",
                "d::F None false true",
                "g::h Some(\"h\") false true",
            ]
        );
    }

    #[test]
    fn a_path_in_an_inline_module_knows_its_depth() {
        let paths = named("mod a { use super::b; } fn f() { super::c() }");
        let depths = paths.iter().filter(|path| path.segments.len() > 1).map(|path| path.depth);
        assert_eq!(depths.collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn items_that_a_file_defines_are_listed() {
        let source =
            "pub struct A; enum B {} fn c() {} macro_rules! d { () => {} } #[cfg(test)] fn e() {} use f::G;";
        assert_eq!(defined(source).into_iter().collect::<Vec<_>>(), ["A", "B", "c", "d"]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_known_and_another_is_not() {
        assert_eq!(
            test_files("mod a;\n#[cfg(test)]\nmod b;\n#[cfg(unix)]\nmod c;\n#[cfg(test)]\nmod d {}"),
            ["b"]
        );
    }
}
