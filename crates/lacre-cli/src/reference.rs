//! Generates docs/reference.md from the code: every flag, exit code, variable and file.
//!
//! `LACRE_WRITE=1 cargo test -p lacre-cli --lib reference` writes the page. Without the variable,
//! the test fails if the page is out of date.

use crate::args::Args;
use crate::exit::Exit;
use clap::{Arg, Command, CommandFactory};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// An environment variable: its name, its meaning and its readers.
type Variable = (&'static str, &'static str, &'static str);

const VARIABLES: &[Variable] = &[
    (
        "LACRE_KEY",
        "where the key is kept: a [reference](keys.md) such as `keyring:lacre/ana`, never the key itself",
        "command; Rust: `keys::user`; Python: `lacre.Cache`, `Keyring.user()`, and `CachedSession` without `secret_key=`",
    ),
    (
        "LACRE_STORE",
        "the store: `sqlite:PATH`, `dir:PATH` or `memory:`",
        "command; Rust: `store::StoreUrl::user`; Python: `lacre.Cache` without a path. `CachedSession` does not read it and keeps its files where requests-cache does",
    ),
    ("LACRE_SUITE", "`encrypted` or `signed`", "command"),
    (
        "LACRE_CACHE_DIR",
        "the directory of `cache.sqlite` if LACRE_STORE is not set",
        "command; Rust; Python: `lacre.Cache`",
    ),
    ("LACRE_PASSPHRASE", "the passphrase of `passphrase:` and `kdbx:`", "all"),
    (
        "LACRE_PASSPHRASE_FROM",
        "a reference to that passphrase: `file:`, `env:`, `cmd:`, `systemd:`, `keyring:` or `keyutils:`",
        "all",
    ),
    ("CREDENTIALS_DIRECTORY", "the directory of `systemd:` credentials, set by systemd", "all"),
    ("HOME", "the user's home directory, for `~` and for unset XDG variables", "all"),
    ("XDG_CACHE_HOME", "the directory of the user's own store; LOCALAPPDATA on Windows", "all"),
    ("XDG_CONFIG_HOME", "the directory of the user's own keyring; APPDATA on Windows", "all"),
    ("LOCALAPPDATA", "the directory of the user's own store on Windows", "all"),
    (
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "the proxy for requests, also in lower case. `serve` does not read them; other clients read them as they do without lacre. Responses through different proxies are stored apart",
        "command: `get`, `explain`; Rust: `lacre-reqwest`",
    ),
    ("NETRC", "the file that `get --netrc` reads instead of `~/.netrc`", "command: `get`, `explain`"),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "the certificates to trust instead of the system's. Responses verified with different certificates are stored apart",
        "command: `get`, `explain`, `serve`; Rust: `lacre-reqwest`, `lacre-ureq`, `config::transport`; Python: `lacre.httpx`, `lacre.aiohttp`, `lacre.niquests`",
    ),
    ("NO_COLOR, CLICOLOR_FORCE", "whether to use colour, unless --color says", "command"),
];

/// A file that lacre creates: its path, its content and its mode.
const FILES: &[(&str, &str, &str)] = &[
    (
        "`~/.config/lacre/keyring`",
        "the user's own keyring, created by the first command or program that stores a response",
        "0600 in 0700",
    ),
    (
        "`~/.config/lacre/keyring.stores`",
        "the paths of the stores of this keyring ([format](format.md), section 15)",
        "0600",
    ),
    ("`~/.config/lacre/stores`", "the same for keys that are not in a file that lacre writes", "0600"),
    (
        "`~/.cache/lacre/cache.sqlite`",
        "the user's own store, with `-wal` and `-shm` beside it while it is open",
        "0600 in 0700",
    ),
    (
        "`CACHEDIR.TAG`, `.gitignore`",
        "in a cache directory that lacre created: backup programs and version control skip the directory",
        "0600",
    ),
    (
        "`PATH` of `sqlite:PATH`, `dir:PATH`",
        "another store ([format](format.md), sections 8 and 12)",
        "0600 in 0700",
    ),
    ("`PATH` of `file:PATH`, `passphrase:PATH`", "another keyring", "0600"),
    ("`FILE` of `anchor write FILE`", "an anchor", "0600"),
    ("`FILE` of `get -o FILE`", "a complete response", "as the umask says, or as the file that it replaces"),
    ("`FILE` of `serve --access-log FILE`", "one line per request", "0600"),
];

#[test]
fn reference_page_matches_the_code() {
    let path = root().join("docs/reference.md");
    let page = page();
    if std::env::var_os("LACRE_WRITE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference.md differs: LACRE_WRITE=1 cargo test -p lacre-cli --lib reference"
    );
}

#[test]
fn page_lists_every_variable_that_the_code_reads() {
    let mut sources = Vec::new();
    for folder in ["crates", "python/lacre"] {
        collect(&root().join(folder), &mut sources);
    }
    let mut read = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(source).unwrap();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if word.starts_with("LACRE_") && !word.starts_with("LACRE_TEST_") && word.len() > "LACRE_".len() {
                read.insert(word.to_owned());
            }
        }
    }
    let known: BTreeSet<_> = VARIABLES.iter().flat_map(|(names, ..)| names.split(", ")).collect();
    let missing: Vec<_> = read.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert_eq!(missing, [""; 0]);
    assert!(read.len() > 4, "the sources were not found");
}

/// Collects the sources below a folder, without tests, which have variables of their own.
fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match name {
            "tests" | "benches" | "target" | "tests.rs" | "lacre-soak" | "reference.rs" => {}
            _ if path.is_dir() => collect(&path, into),
            _ if name.ends_with(".rs") || name.ends_with(".py") => into.push(path),
            _ => {}
        }
    }
}

fn page() -> String {
    let mut page = String::from(
        "<!-- Written by a test of lacre-cli from the code: crates/lacre-cli/src/reference.rs says how. -->\n\
         # Reference: variables, files, exit codes, flags\n\n\
         [docs/python.md](python.md) has the arguments of the Python package, [docs/serve.md](serve.md) describes the proxy.\n\n\
         ## Environment variables\n\n\
         An empty variable counts as unset. A flag or an argument overrides a variable. *Command* is the program `lacre`.\n\n\
         | variable | meaning | read by |\n|---|---|---|\n",
    );
    for (names, meaning, readers) in VARIABLES {
        let names = names.split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {names} | {meaning} | {readers} |");
    }
    page.push_str(
        "\nA `~` at the start of a path in a reference, in `--store`, or in the path of `lacre.Cache` is the user's home directory. Write `./~` for a \
         file of that name.\n\nA word and a colon always form a reference. A misspelt one, such as `File:/etc/key`, `keyrng:lacre/ana` or `sqlit:cache`, \
         is an error that lists the forms; it is never taken for a secret or a file name. In Python, pass a secret that begins with a word and a colon \
         as bytes, and write such a file name with `./` before it.\n\n\
         ## Files\n\n`XDG_CONFIG_HOME` and `XDG_CACHE_HOME` replace `~/.config` and `~/.cache`. `CachedSession` keeps its files where requests-cache does.\n\n\
         | file | content | mode |\n|---|---|---|\n",
    );
    for (path, meaning, mode) in FILES {
        let _ = writeln!(page, "| {path} | {meaning} | {mode} |");
    }
    page.push_str("\n## Exit codes\n\nWith `--json`, the `code` of an error on stderr is the name.\n\n| code | name | meaning |\n|---|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | `{}` | {} |", exit.code(), exit.name(), exit.meaning());
    }
    page.push_str("\n## Commands and flags\n");
    let mut command = Args::command();
    command.build();
    page.push_str("\n### Global options\n\n| flag | meaning | default |\n|---|---|---|\n");
    arguments(&mut page, command.get_arguments().filter(|argument| argument.is_global_set()));
    for command in
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        describe(&mut page, &format!("lacre {}", command.get_name()), command);
    }
    page
}

fn describe(page: &mut String, name: &str, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n### {name}\n\n{}.\n", about.trim_end_matches('.'));
    let own = || {
        let arguments =
            command.get_arguments().filter(|argument| !argument.is_global_set() && !argument.is_hide_set());
        arguments.filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
    };
    if own().next().is_some() {
        page.push_str("\n| flag | meaning | default |\n|---|---|---|\n");
        arguments(page, own());
    }
    for command in
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
    {
        describe(page, &format!("{name} {}", command.get_name()), command);
    }
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    for argument in arguments {
        let mut flags: Vec<_> = argument.get_short().map(|short| format!("-{short}")).into_iter().collect();
        flags.extend(argument.get_long().map(|long| format!("--{long}")));
        let values: Vec<_> =
            argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
        let takes = argument.get_action().takes_values();
        let shown = match (flags.is_empty(), takes) {
            (true, _) => values.join(" "),
            (false, true) => format!("{} {}", flags.join(", "), values.join(" ")),
            (false, false) => flags.join(", "),
        };
        let help =
            argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let help = help
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ")
            .replace('|', "\\|");
        let choices = argument.get_possible_values();
        let choices: Vec<_> =
            choices.iter().filter(|_| takes).map(|value| format!("`{}`", value.get_name())).collect();
        let choices = if choices.is_empty() { String::new() } else { format!(": {}", choices.join(", ")) };
        let default: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if takes { default.join(" ") } else { String::new() };
        let _ = writeln!(page, "| `{shown}` | {help}{choices} | {default} |");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
