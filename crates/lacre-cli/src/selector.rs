//! Finding the entries that the user selects, and errors that repeat a selector without its
//! secrets.

use crate::exit::{Exit, Failure};
use lacre::{ListedRow, Redactor, Selector};

/// The only row that matches `text`; none or several are an error.
pub(crate) fn find_one(rows: Vec<ListedRow>, text: &str) -> Result<ListedRow, Failure> {
    let selector = Selector::parse(text)?;
    let mut found: Vec<ListedRow> = rows.into_iter().filter(|row| selector.matches(row)).collect();
    match (found.pop(), found.as_slice()) {
        (Some(row), []) => Ok(row),
        (Some(last), others) => {
            let keys: Vec<String> =
                others.iter().chain([&last]).map(|row| format!("{:.8}", row.key())).collect();
            let shown = keys.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(" ");
            let more = if keys.len() > 8 { " …" } else { "" };
            Err(Failure::usage(format!("{} entries match {}", keys.len(), describe(text)))
                .with_hint(format!("name one of them by its key: {shown}{more}")))
        }
        (None, _) => Err(no_match(text)),
    }
}

/// The error of a selector that matches no entry.
pub(crate) fn no_match(text: &str) -> Failure {
    Failure::new(Exit::NotCached, format!("no stored response matches `{}`", describe(text)))
        .with_hint("`lacre ls` lists the stored responses")
}

/// The text for an error message, without query and secrets.
pub(crate) fn describe(text: &str) -> String {
    match text.split_once(['?', '#']) {
        Some((before, _)) if before.contains("://") || before.contains('/') => {
            format!("{}?…", Redactor::default().url(before))
        }
        _ => Redactor::default().url(text),
    }
}

/// Removes the queries and fragments of the URLs in a text.
pub(crate) fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The start of the current word, and whether its rest is left out.
    let (mut word, mut left_out) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '\'' | '"' | '`') {
            (word, left_out) = (out.len() + c.len_utf8(), false);
        } else if !left_out && matches!(c, '?' | '#') && out[word..].contains('/') {
            out.push_str("?…");
            left_out = true;
        }
        if !left_out {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_fragments_are_removed_from_a_text() {
        assert_eq!(
            without_queries("unexpected 'https://h/p?a=1 2' and /p#x, why?"),
            "unexpected 'https://h/p?… 2' and /p?… why?"
        );
    }

    #[test]
    fn description_shows_no_query() {
        for text in ["https://u:pw@h/p?token=hunter2", "h/p?q=hunter2", "https://h/#access_token=hunter2"] {
            let shown = describe(text);
            assert!(!shown.contains("hunter2") && !shown.contains("pw"), "{shown}");
        }
    }
}
