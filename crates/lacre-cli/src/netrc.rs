//! A parser for netrc files: `machine HOST login USER password PASSWORD`, `default`, comments and
//! macros.
//!
//! The published parsers depend on a crate whose licence this project does not accept.

use std::env;
use std::path::PathBuf;

/// A user and a password.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The file that `NETRC` names, or `~/.netrc`.
pub(crate) fn path() -> Option<PathBuf> {
    match env::var_os("NETRC").filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None => env::home_dir().map(|home| home.join(".netrc")),
    }
}

/// The login for `host`, or else of `default`. The first matching entry wins.
///
/// # Errors
/// The text is not a netrc file. The error has no detail, since the text holds passwords.
pub(crate) fn login(text: &str, host: &str) -> Result<Option<Login>, ()> {
    let mut found = None;
    let mut words = words(text);
    let mut matches = false;
    while let Some(word) = words.next() {
        match word {
            // The matching entry ends where the next entry begins.
            "machine" | "default" if matches => break,
            "machine" => matches = words.next().ok_or(())?.eq_ignore_ascii_case(host),
            "default" => matches = true,
            "login" | "password" | "account" => {
                let value = words.next().ok_or(())?;
                if matches {
                    let login: &mut Login = found.get_or_insert_default();
                    match word {
                        "login" => value.clone_into(&mut login.user),
                        "password" => value.clone_into(&mut login.password),
                        _ => {}
                    }
                }
            }
            _ => return Err(()),
        }
    }
    Ok(found)
}

/// The words outside comments and macros. An empty line ends a macro.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut in_macro = false;
    text.lines().flat_map(move |line| {
        let mut words = line.split_ascii_whitespace().peekable();
        in_macro = if in_macro { !line.trim().is_empty() } else { words.peek() == Some(&"macdef") };
        // A password may begin with `#`.
        let skipped = in_macro || line.trim_start().starts_with('#');
        words.filter(move |_| !skipped).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_matching_entry_wins() {
        let text = "# machine h login comment\nmacdef init\nmachine h login macro\n\nmachine a login one\n  password p1 account x\n\
                    machine a login two password p2\nmachine b login b password #b default login anybody password any";
        let found = |host| login(text, host).unwrap().map(|login| [login.user, login.password]);
        assert_eq!(found("A").unwrap(), ["one", "p1"]);
        assert_eq!(found("b").unwrap(), ["b", "#b"]);
        assert_eq!(found("h").unwrap(), ["anybody", "any"]);
        assert_eq!(login("machine a login x", "b"), Ok(None));
        assert_eq!(login("", "b"), Ok(None));
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["nonsense", "machine", "machine h login", "machine h secret login x"] {
            assert_eq!(login(text, "h"), Err(()), "{text}");
        }
    }
}
