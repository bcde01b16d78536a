//! No comment reaches past column 100, in Rust, Python, TOML and shell. Lines of code may: rustfmt
//! and ruff hold them.
//!
//! A comment without a space to break it at (a long link), a row of a table and a directive for a
//! tool may be longer.

use crate::{Failure, named_files};
use std::fs;
use std::path::Path;

const MAX_COLUMNS: usize = 100;

/// Comments for tools, which must stay on the line of their code.
const DIRECTIVES: [&str; 3] = ["type: ignore", "noqa", "pragma"];

/// Prints every comment that is too wide.
///
/// # Errors
/// There is one, or a file cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let mut count = 0;
    for file in named_files::files(root)? {
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let Some(language) = Language::of(&shown) else { continue };
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in too_wide(language, &text) {
            eprintln!("{shown}:{line}: a comment reaches past column {MAX_COLUMNS}");
            count += 1;
        }
    }
    match count {
        0 => Ok(()),
        count => Err(format!("{count} comments reach past column {MAX_COLUMNS}").into()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    /// TOML and shell.
    Hash,
}

impl Language {
    fn of(name: &str) -> Option<Self> {
        let (_, end) = name.rsplit_once(['.', '/'])?;
        match end {
            "rs" => Some(Self::Rust),
            "py" | "pyi" => Some(Self::Python),
            "toml" | "sh" | "run" => Some(Self::Hash),
            _ => None,
        }
    }
}

/// The lines, counted from 1, whose comment reaches too far.
fn too_wide(language: Language, text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    // The quotes that close the docstring, or string of several lines, that the line lies in.
    let mut open: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        let comment = match language {
            Language::Rust => after(line, "//"),
            Language::Hash => after(line, "#"),
            Language::Python => {
                let was_open = open;
                for quotes in ["\"\"\"", "'''"] {
                    if line.matches(quotes).count() % 2 == 1 && open.is_none_or(|open| open == quotes) {
                        open = if open.is_some() { None } else { Some(quotes) };
                    }
                }
                let starts = line.trim_start().trim_start_matches(['r', 'f', 'b']).starts_with("\"\"\"");
                if was_open.is_some() || starts { Some(line.trim()) } else { after(line, "#") }
            }
        };
        let is_wide = line.chars().count() > MAX_COLUMNS;
        let can_break = |comment: &str| {
            let text = comment.trim_start_matches(['/', '!', '#', '*', '"', '-', ' ']);
            let is_directive = DIRECTIVES.iter().any(|start| text.starts_with(start));
            text.trim_end().contains(' ') && !text.starts_with(['|', '[']) && !is_directive
        };
        if is_wide && comment.is_some_and(can_break) {
            found.push(number + 1);
        }
    }
    found
}

/// The comment of a line from its mark on: where the mark starts the line or follows a space,
/// outside of a string.
fn after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    let mut at = 0;
    while let Some(found) = line[at..].find(mark) {
        let start = at + found;
        let before = &line[..start];
        let quotes = before.replace("\\\"", "").replace("'\"'", "").matches('"').count();
        if quotes.is_multiple_of(2) && (before.is_empty() || before.ends_with(' ')) {
            return Some(&line[start..]);
        }
        at = start + mark.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(language: Language, lines: &[&str]) -> Vec<usize> {
        too_wide(language, &lines.join("\n"))
    }

    #[test]
    fn a_wide_comment_is_found_wherever_it_stands() {
        let words = "word ".repeat(20);
        let doc = format!("/// {words}");
        let indented = format!("        // {}", &words[..90]);
        let trailing = format!("let x = 1; // {words}");
        let short = format!("// {}", &words[..97]);
        assert_eq!(found(Language::Rust, &[&doc, "fn f() {}", &indented, &trailing, &short]), [1, 3, 4]);
        let python = format!("x = 1  # {words}");
        let docstring = format!("    \"\"\"{words}");
        let inner = format!("    {words}x");
        assert_eq!(found(Language::Python, &[&python, &docstring, &inner, "    \"\"\"", &inner]), [1, 2, 3]);
        assert_eq!(found(Language::Hash, &[&format!("# {words}"), "x = 1"]), [1]);
    }

    #[test]
    fn code_strings_links_and_tables_may_be_wide() {
        let words = "word ".repeat(20);
        let string = format!("let url = \"https://{words}\";");
        let link = format!("// https://{}", "a".repeat(100));
        let row = format!("/// | {words} |");
        assert_eq!(found(Language::Rust, &[&string, &link, &row]), [0; 0]);
        assert_eq!(found(Language::Hash, &[&format!("x = \"{words} # no comment\"")]), [0; 0]);
        let directive = format!("x = {}  # type: ignore[override]  # a stub", "y".repeat(90));
        assert_eq!(found(Language::Python, &[&directive]), [0; 0]);
    }
}
