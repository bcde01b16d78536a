//! Reads Rust source as far as the layer rules need: which paths (`std::fs::File`) it names, and on which line.
//!
//! Comments, literals and `#[cfg(test)]` modules are passed over; groups in a `use` are spelt out.

/// A path as written, with `use` groups expanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// Every path that `source` names, outside its tests.
pub(crate) fn named(source: &str) -> Vec<Named> {
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((token, line)) = tokens.get(at) {
        match token {
            Token::Word(word) if word == "use" => at = use_tree(&tokens, at + 1, &[], &mut found),
            Token::Word(_) => {
                let (segments, next) = path(&tokens, at);
                found.push(Named { segments, line: *line });
                at = next;
            }
            Token::Mark(_) => at += 1,
        }
    }
    found
}

/// The modules that `source` declares for tests only and keeps in files of their own.
pub(crate) fn test_files(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let declared = (0..tokens.len()).filter_map(|at| test_module(&tokens[at..]));
    declared.filter(|(_, mark, _)| *mark == ';').map(|(name, ..)| name.to_owned()).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// One character of punctuation; `::` is the one mark that stands for two, as `':'`.
    Mark(char),
}

type Placed = (Token, usize);

fn mark(tokens: &[Placed], at: usize) -> Option<char> {
    match tokens.get(at) {
        Some((Token::Mark(mark), _)) => Some(*mark),
        _ => None,
    }
}

/// `a::b::c` from `at`: its segments, and where it ends.
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

/// One tree of a `use`, `prefix::{a, b::c as d, *}`; returns where it ends.
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
    found.push(Named { segments, line });
    // What is left is `::*` or `as name`.
    while at < tokens.len() && !matches!(mark(tokens, at), Some(',' | '}' | ';')) {
        at += 1;
    }
    at
}

/// Drops every `#[cfg(test)] mod name { … }`.
fn without_tests(tokens: &[Placed]) -> Vec<Placed> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let Some((_, '{', body)) = test_module(&tokens[at..]) {
            at += body + matching_brace(&tokens[at + body..]);
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    kept
}

/// Whether `#[cfg(test)] mod name` starts here: the name, the mark after it and that mark's index.
fn test_module(tokens: &[Placed]) -> Option<(&str, char, usize)> {
    const START: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let written = |token: &Token, wanted: &str| match token {
        Token::Word(word) => word == wanted,
        Token::Mark(mark) => wanted.starts_with(*mark),
    };
    let start = tokens.get(..START.len())?;
    let matches = start.iter().zip(START).all(|((token, _), wanted)| written(token, wanted));
    match tokens.get(START.len()) {
        Some((Token::Word(name), _)) if matches => {
            Some((name, mark(tokens, START.len() + 1)?, START.len() + 1))
        }
        _ => None,
    }
}

/// How many tokens the block that starts here has.
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
        let (length, token) = if let Some(length) = passed_over(rest) {
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

/// The length of the comment or literal that starts here, if one does.
fn passed_over(rest: &str) -> Option<usize> {
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
    fn a_use_tree_is_spelt_out() {
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
    fn test_modules_are_passed_over_and_what_follows_is_not() {
        let source =
            "#[cfg(test)]\nmod tests {\n    fn f() { std::fs::read(\"{\"); }\n}\nfn g() { std::net::x() }";
        assert_eq!(long_paths(source), [("std::net::x".to_owned(), 5)]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_known_and_another_is_not() {
        assert_eq!(
            test_files("mod a;\n#[cfg(test)]\nmod b;\n#[cfg(unix)]\nmod c;\n#[cfg(test)]\nmod d {}"),
            ["b"]
        );
    }
}
