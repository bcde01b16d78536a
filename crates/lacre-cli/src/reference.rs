//! docs/reference.md, made from the code: every flag, exit code, variable and file.
//!
//! `LACRE_WRITE=1 cargo test -p lacre-cli --lib reference` writes it anew. Without that, the test fails where the page differs.

use crate::args::Args;
use crate::exit::Exit;
use clap::{Arg, Command, CommandFactory};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// An environment variable: its name, its meaning, and who reads it.
type Variable = (&'static str, &'static str, &'static str);

const VARIABLES: &[Variable] = &[
    (
        "LACRE_KEY",
        "where the key is kept: a [reference](keys.md) such as `keyring:lacre/ana`, never the key itself",
        "command; Rust: `keys::user`; Python: `lacre.Cache`, `Keyring.user()`, and `CachedSession` without `secret_key=`",
    ),
    (
        "LACRE_STORE",
        "where the store is: `sqlite:PATH`, `dir:PATH` or `memory:`",
        "command; Rust: `store::Location::user`; Python: `lacre.Cache` without a path. `CachedSession` does not read it: its files are those of requests-cache",
    ),
    ("LACRE_SUITE", "`encrypted` or `signed`", "command"),
    (
        "LACRE_CACHE_DIR",
        "the directory of `cache.sqlite`, where LACRE_STORE is not set",
        "command; Rust; Python: `lacre.Cache`",
    ),
    ("LACRE_PASSPHRASE", "the passphrase of `passphrase:` and `kdbx:`", "all"),
    (
        "LACRE_PASSPHRASE_FROM",
        "where that passphrase is kept: `file:`, `env:`, `cmd:`, `systemd:`, `keyring:` or `keyutils:`",
        "all",
    ),
    ("CREDENTIALS_DIRECTORY", "the directory of `systemd:` credentials, which systemd sets", "all"),
    ("HOME", "the user's home directory, for `~` and where the XDG variables are not set", "all"),
    ("XDG_CACHE_HOME", "where the user's own store is; LOCALAPPDATA on Windows", "all"),
    ("XDG_CONFIG_HOME", "where the user's own keyring is; APPDATA on Windows", "all"),
    ("LOCALAPPDATA", "the same on Windows", "all"),
    (
        "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "the proxy for `get`, in lower case, too. They are reqwest's; the clients of Rust and Python read them as they do without lacre",
        "command",
    ),
    ("NETRC", "the file of `get --netrc`, in the place of `~/.netrc`", "command"),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "the certificates that `get` and `serve` trust, in the place of the system's",
        "command",
    ),
    ("NO_COLOR, CLICOLOR_FORCE", "whether there is colour, where --color does not say it", "command"),
];

/// A file that lacre makes: where, what it is, and its mode.
const FILES: &[(&str, &str, &str)] = &[
    (
        "`~/.config/lacre/keyring`",
        "the user's own keyring, made by the first command or program that stores",
        "0600 in 0700",
    ),
    (
        "`~/.config/lacre/keyring.stores`",
        "where the stores of this keyring are ([format](format.md), section 15)",
        "0600",
    ),
    ("`~/.config/lacre/stores`", "the same for keys that do not lie in a file that lacre writes", "0600"),
    (
        "`~/.cache/lacre/cache.sqlite`",
        "the user's own store, with `-wal` and `-shm` beside it while it is open",
        "0600 in 0700",
    ),
    (
        "`CACHEDIR.TAG`, `.gitignore`",
        "in a cache directory that lacre made: backup programs and version control leave it alone",
        "0600",
    ),
    (
        "`PATH` of `sqlite:PATH`, `dir:PATH`",
        "a store elsewhere ([format](format.md), sections 8 and 12)",
        "0600 in 0700",
    ),
    ("`PATH` of `file:PATH`, `passphrase:PATH`", "a keyring elsewhere", "0600"),
    ("`FILE` of `anchor write FILE`", "an anchor", "0600"),
    (
        "`FILE` of `get -o FILE`",
        "a response, once it is whole",
        "what the umask leaves, or that of the file it replaces",
    ),
    ("`FILE` of `serve --access-log FILE`", "one line for each request", "0600"),
];

#[test]
fn the_reference_is_what_the_code_says() {
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
fn every_variable_that_the_code_reads_is_on_the_page() {
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

/// The sources below a folder that are no tests, which have variables of their own.
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
         [docs/python.md](python.md) has the arguments of the Python package, [docs/serve.md](serve.md) explains the proxy.\n\n\
         ## Environment variables\n\n\
         A variable that is set but empty counts as not set. A flag or an argument comes first.\n\n\
         | variable | meaning | read by |\n|---|---|---|\n",
    );
    for (names, meaning, readers) in VARIABLES {
        let names = names.split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {names} | {meaning} | {readers} |");
    }
    page.push_str(
        "\nA `~` at the start of a path in a reference, in `--store`, or in the path of `lacre.Cache` is the user's home directory. A file of that name is \
         written `./~`.\n\nA word and a colon always make a reference. One that is misspelt, such as `File:/etc/key`, `keyrng:lacre/ana` or `sqlit:cache`, \
         is an error that lists the forms; it never becomes a secret or the name of a file. In Python, a secret that begins with a word and a colon is \
         given as bytes, and a file of such a name with `./` before it.\n\n\
         ## Files\n\n`XDG_CONFIG_HOME` and `XDG_CACHE_HOME` replace `~/.config` and `~/.cache`. `CachedSession` keeps its files where requests-cache does.\n\n\
         | file | what it is | mode |\n|---|---|---|\n",
    );
    for (path, meaning, mode) in FILES {
        let _ = writeln!(page, "| {path} | {meaning} | {mode} |");
    }
    page.push_str("\n## Exit codes\n\nWith `--json`, an error on stderr has the name as its `code`.\n\n| code | name | meaning |\n|---|---|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | `{}` | {} |", exit.code(), exit.name(), exit.meaning());
    }
    page.push_str("\n## Commands and flags\n");
    let mut command = Args::command();
    command.build();
    page.push_str("\n### Everywhere\n\n| flag | meaning | default |\n|---|---|---|\n");
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
