//! Checks the dependencies between crates, and the paths that code may name. Two tables are the
//! rules.
//!
//! [`CRATES`] is compared with each crate's manifest (development dependencies are exempt), and
//! [`SOURCES`] with the paths that code names outside tests. [`crate::circles`] checks the
//! dependencies between the files of a crate.

use crate::{Failure, paths};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The dependencies that one crate may have.
struct CrateRule {
    name: &'static str,
    /// Crates of this workspace that it may use.
    house: &'static [&'static str],
    /// External crates that it must not use, with the reason.
    never: &'static [(Family, &'static str)],
}

type Family = &'static [&'static str];

const HTTP: Family = &["http", "http-body", "http-body-util", "httpdate", "url"];
const CLIENTS: Family =
    &["hyper", "hyper-util", "reqwest", "reqwest-middleware", "tower", "tower-http", "ureq"];
const CRYPTO: Family = &[
    "aes-gcm",
    "aws-lc-rs",
    "chacha20poly1305",
    "getrandom",
    "hkdf",
    "hmac",
    "openssl",
    "rand",
    "ring",
    "sha1",
    "sha2",
];
const IO: Family = &["async-std", "etcetera", "mio", "rusqlite", "rustix", "smol", "tokio"];
const STORES: Family = &["rusqlite"];
const TERMINAL: Family = &["anstream", "anstyle", "clap", "indicatif", "rpassword", "terminal_size"];
const RUNTIMES: Family = &["async-std", "smol", "tokio"];

const CRATES: &[CrateRule] = &[
    CrateRule {
        name: "lacre-core",
        house: &[],
        never: &[
            (IO, "the engine does no IO"),
            (CLIENTS, "the engine knows no client"),
            (CRYPTO, "the engine holds no key and computes only unkeyed digests (blake3)"),
        ],
    },
    CrateRule {
        name: "lacre-seal",
        house: &[],
        never: &[
            (IO, "sealing does no IO"),
            (CLIENTS, "sealing knows no client"),
            (HTTP, "sealing sees bytes, never HTTP"),
        ],
    },
    CrateRule {
        name: "lacre",
        house: &["lacre-core", "lacre-seal"],
        never: &[
            (CLIENTS, "a client's types belong in its driver, for example lacre-reqwest"),
            (RUNTIMES, "the cache runs with any runtime, and without one"),
        ],
    },
    CrateRule {
        name: "lacre-tokio",
        house: &["lacre"],
        never: &[
            (CLIENTS, "every client on Tokio shares it: it knows none"),
            (CRYPTO, "a runtime seals nothing: that is lacre's"),
            (STORES, "a runtime stores nothing: that is lacre's"),
        ],
    },
    CrateRule {
        name: "lacre-reqwest",
        house: &["lacre", "lacre-tokio"],
        never: &[
            (CRYPTO, "a driver seals nothing: that is lacre's"),
            (STORES, "a driver stores nothing: that is lacre's"),
        ],
    },
    CrateRule {
        name: "lacre-ureq",
        house: &["lacre"],
        never: &[
            (CRYPTO, "a driver seals nothing: that is lacre's"),
            (STORES, "a driver stores nothing: that is lacre's"),
            (RUNTIMES, "its callers block"),
        ],
    },
    CrateRule {
        name: "lacre-drivers",
        house: &["lacre"],
        never: &[(CRYPTO, "tests of drivers seal nothing"), (STORES, "tests of drivers bring no store")],
    },
    CrateRule {
        name: "lacre-soak",
        // The command line, whose `serve` it starts in processes of its own.
        house: &["lacre", "lacre-cli", "lacre-drivers", "lacre-reqwest", "lacre-tower", "lacre-ureq"],
        never: &[(CRYPTO, "stress tests seal nothing themselves")],
    },
    CrateRule {
        name: "lacre-tower",
        house: &["lacre", "lacre-tokio"],
        never: &[
            (CRYPTO, "a driver seals nothing: that is lacre's"),
            (STORES, "a driver stores nothing: that is lacre's"),
        ],
    },
    CrateRule {
        name: "lacre-proxy",
        house: &["lacre", "lacre-tower"],
        never: &[
            (CRYPTO, "the proxy seals nothing: that is lacre's"),
            (STORES, "the proxy stores nothing: that is lacre's"),
            (TERMINAL, "the proxy takes settings: arguments and terminals are lacre-cli's"),
        ],
    },
    CrateRule {
        name: "lacre-cli",
        house: &["lacre", "lacre-proxy", "lacre-reqwest"],
        never: &[
            (CRYPTO, "the command line seals nothing: that is lacre's"),
            (STORES, "the command line reads a store through lacre only"),
        ],
    },
    CrateRule {
        name: "lacre-py",
        house: &["lacre", "lacre-cli"],
        never: &[
            (CRYPTO, "the Python package seals nothing: that is lacre's"),
            (CLIENTS, "the network is Python's there"),
        ],
    },
    CrateRule { name: "xtask", house: &[], never: &[] },
];

/// The features of a dependency that a crate must leave out. Its default features count as all.
struct FeatureRule {
    name: &'static str,
    dependency: &'static str,
    never: &'static [&'static str],
    why: &'static str,
}

const FEATURES: &[FeatureRule] = &[FeatureRule {
    name: "lacre-py",
    dependency: "lacre-cli",
    never: &["default", "get", "serve"],
    why: "the Python package brings no HTTP client and no proxy",
}];

/// Dependencies that a crate has for some of its features only.
struct OptionalRule {
    name: &'static str,
    optional: &'static [Family],
    why: &'static str,
}

const OPTIONAL: &[OptionalRule] = &[OptionalRule {
    name: "lacre-cli",
    optional: &[CLIENTS, RUNTIMES, &["lacre-proxy", "lacre-reqwest"]],
    why: "must be optional: the Python package takes the command line without the network",
}];

/// Paths that the code in some folders must not name.
struct SourceRule {
    /// Folders, or files without `.rs`.
    within: &'static [&'static str],
    /// Files exempt from the rule.
    except: &'static [&'static str],
    /// Consecutive path segments.
    never: &'static [&'static str],
    remedy: &'static str,
}

const SOURCES: &[SourceRule] = &[
    SourceRule {
        within: &["crates/lacre-core/src"],
        except: &[],
        never: &["blake3::keyed_hash", "blake3::derive_key", "Hasher::new_keyed", "Hasher::new_derive_key"],
        remedy: "the engine holds no key: pass the identity to lacre, which computes the row key",
    },
    SourceRule {
        within: &["crates/lacre-core/src", "crates/lacre-seal/src"],
        except: &[],
        never: &["std::env", "std::fs", "std::net", "std::process"],
        remedy: "these crates do no IO: take the value as an argument",
    },
    SourceRule {
        within: &["crates/lacre-core/src", "crates/lacre-seal/src", "crates/lacre/src"],
        except: &["crates/lacre/src/clock.rs"],
        never: &["SystemTime::now", "Instant::now"],
        remedy: "time is an argument: take `now`, or a Clock (clock.rs alone reads the system's)",
    },
    SourceRule {
        within: &["crates/lacre/src"],
        except: &["crates/lacre/src/config.rs", "crates/lacre/src/keys/env.rs"],
        never: &["std::env"],
        remedy: "the environment is read in config.rs and keys/env.rs only",
    },
    SourceRule {
        within: &["crates/lacre/src/codec"],
        except: &[],
        never: &["crate::store", "super::store"],
        remedy: "a codec turns values into bytes and does not know the store: let the cache join the two",
    },
    SourceRule {
        within: &["crates/lacre/src/store"],
        except: &[],
        never: &["crate::codec", "super::codec", "http", "url", "lacre_core::Entry", "lacre_core::Slot"],
        remedy: "a store moves sealed bytes by key and does not know their meaning: let the cache join the two",
    },
    SourceRule {
        within: &["crates/lacre/src/keys"],
        except: &[],
        never: &["crate::codec", "crate::store", "crate::cache"],
        remedy: "key sources do not know what keys seal: let the cache join the two",
    },
];

/// Checks the workspace at `root`, and prints every violation of the two tables.
///
/// # Errors
/// There is a violation, or the workspace cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let mut violations = manifests(&metadata(root)?);
    let sources = shipped(root)?;
    for (file, source) in &sources {
        violations.extend(violations_in(file, source));
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("layers: {} files, no violation", sources.len());
            Ok(())
        }
        count => Err(format!(
            "{count} violation(s) of the layers; the rules are the tables in xtask/src/layers.rs"
        )
        .into()),
    }
}

/// The sources of all crates, without files that are only tests.
pub(crate) fn shipped(root: &Path) -> Result<Vec<(String, String)>, Failure> {
    let mut sources = sources(&root.join("crates"), "crates")?;
    let tests: Vec<_> = sources.iter().flat_map(|(file, source)| test_files(file, source)).collect();
    let is_test = |file: &str| {
        let module = file.strip_suffix(".rs").unwrap_or(file);
        tests.iter().any(|test| {
            module.strip_prefix(test.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    sources.retain(|(file, _)| !is_test(file));
    Ok(sources)
}

fn metadata(root: &Path) -> Result<Value, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn manifests(metadata: &Value) -> Vec<String> {
    let packages: Vec<_> = metadata["packages"].as_array().into_iter().flatten().collect();
    let house: BTreeSet<_> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut violations = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(rule) = CRATES.iter().find(|rule| rule.name == name) else {
            violations.push(format!("{name}: has no rule: give it a row in CRATES"));
            continue;
        };
        let all = package["dependencies"].as_array().into_iter().flatten();
        let shipped = all.filter(|dependency| dependency["kind"] != "dev");
        for dependency in shipped {
            let Some(used) = dependency["name"].as_str() else { continue };
            let broken = broken_features(name, used, dependency);
            violations.extend(broken.map(|why| format!("{name}/Cargo.toml: uses {used}: {why}")));
            if house.contains(used) && !rule.house.contains(&used) {
                violations.push(format!(
                    "{name}/Cargo.toml: uses {used}: of the house it may use {:?}",
                    rule.house
                ));
            }
            let broken = rule.never.iter().filter(|(family, _)| family.contains(&used));
            violations.extend(broken.map(|(_, why)| format!("{name}/Cargo.toml: uses {used}: {why}")));
        }
    }
    violations
}

/// The rules about features and optional dependencies that a dependency breaks.
fn broken_features<'a>(
    name: &'a str,
    used: &'a str,
    dependency: &'a Value,
) -> impl Iterator<Item = &'static str> {
    let features = dependency["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let defaults = (dependency["uses_default_features"] != false).then_some("default");
    let enabled: Vec<_> = features.chain(defaults).collect();
    let of_features = FEATURES.iter().filter(move |rule| {
        (rule.name, rule.dependency) == (name, used)
            && enabled.iter().any(|feature| rule.never.contains(feature))
    });
    let of_optional = OPTIONAL.iter().filter(move |rule| {
        rule.name == name
            && dependency["optional"] != true
            && rule.optional.iter().any(|family| family.contains(&used))
    });
    of_features.map(|rule| rule.why).chain(of_optional.map(|rule| rule.why))
}

fn violations_in(file: &str, source: &str) -> Vec<String> {
    let module = file.strip_suffix(".rs").unwrap_or(file);
    let under = |place: &&str| {
        module.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let applies = |rule: &&SourceRule| rule.within.iter().any(under) && !rule.except.contains(&file);
    let rules: Vec<_> = SOURCES.iter().filter(applies).collect();
    let mut violations = Vec::new();
    for path in paths::named(source) {
        for rule in &rules {
            if let Some(never) = rule.never.iter().find(|never| names(&path.segments, never)) {
                violations.push(format!("{file}:{}: names {never}: {}", path.line, rule.remedy));
            }
        }
    }
    violations
}

/// The modules that `file` declares for tests only, by their path without `.rs`.
fn test_files(file: &str, source: &str) -> Vec<String> {
    let module = file.strip_suffix(".rs").unwrap_or(file);
    let folder =
        ["/lib", "/main", "/mod"].iter().find_map(|root| module.strip_suffix(root)).unwrap_or(module);
    paths::test_files(source).iter().map(|name| format!("{folder}/{name}")).collect()
}

/// Whether a path contains `never`: at its start if `never` is one name (a crate), otherwise
/// anywhere.
fn names(path: &[String], never: &str) -> bool {
    let never: Vec<_> = never.split("::").collect();
    match never.as_slice() {
        [name] => path.len() > 1 && path[0] == *name,
        never => path.windows(never.len()).any(|run| run == never),
    }
}

/// Every Rust file under `folder`, sorted, with its name from the workspace's root and its text.
fn sources(folder: &Path, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            found.extend(sources(&path, &name)?);
        } else if name.ends_with(".rs") {
            found.push((name, fs::read_to_string(path)?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependency: &str, kind: &Value) -> Value {
        json!({"name": name, "dependencies": [{"name": dependency, "kind": kind}]})
    }

    fn planted(name: &str, dependency: &str, kind: &Value) -> Vec<String> {
        let seal = json!({"name": "lacre-seal", "dependencies": []});
        manifests(&json!({"packages": [package(name, dependency, kind), seal]}))
    }

    #[test]
    fn a_dependency_across_layers_is_found() {
        for (name, dependency) in [
            ("lacre-core", "lacre-seal"),
            ("lacre-core", "rusqlite"),
            ("lacre-core", "aws-lc-rs"),
            ("lacre", "reqwest"),
            ("lacre-reqwest", "lacre-seal"),
            ("lacre-cli", "rusqlite"),
        ] {
            let found = planted(name, dependency, &Value::Null);
            assert_eq!(found.len(), 1, "{name} → {dependency}");
            assert!(found[0].starts_with(&format!("{name}/Cargo.toml: uses {dependency}: ")), "{}", found[0]);
        }
    }

    #[test]
    fn an_allowed_or_development_dependency_is_not() {
        assert_eq!(planted("lacre", "lacre-seal", &Value::Null), [""; 0]);
        assert_eq!(planted("lacre-core", "tokio", &json!("dev")), [""; 0]);
    }

    #[test]
    fn a_feature_that_brings_the_network_to_python_is_found() {
        let with = |defaults: bool, features: &[&str]| {
            let dependency = json!({"name": "lacre-cli", "kind": null,
                "uses_default_features": defaults, "features": features});
            let package = json!({"name": "lacre-py", "dependencies": [dependency]});
            let cli = json!({"name": "lacre-cli", "dependencies": []});
            manifests(&json!({"packages": [package, cli]}))
        };
        assert_eq!(with(false, &[]), [""; 0]);
        for (defaults, features) in [(true, &[][..]), (false, &["get"]), (false, &["serve"])] {
            assert_eq!(with(defaults, features).len(), 1, "{defaults} {features:?}");
        }
    }

    #[test]
    fn a_client_that_the_command_line_always_has_is_found() {
        let with = |optional: bool| {
            let dependency = json!({"name": "reqwest", "kind": null, "optional": optional});
            manifests(&json!({"packages": [{"name": "lacre-cli", "dependencies": [dependency]}]}))
        };
        assert_eq!(with(true), [""; 0]);
        assert_eq!(with(false).len(), 1);
    }

    #[test]
    fn a_crate_without_a_rule_is_found() {
        assert_eq!(
            planted("lacre-new", "http", &Value::Null),
            ["lacre-new: has no rule: give it a row in CRATES"]
        );
    }

    #[test]
    fn a_forbidden_path_is_found_with_its_file_and_line() {
        for (file, source) in [
            ("crates/lacre/src/codec/cbor.rs", "\nuse crate::{cache, store::Store};"),
            ("crates/lacre/src/store/sqlite.rs", "\nfn f() { crate::codec::encode() }"),
            ("crates/lacre/src/store/mod.rs", "\nuse http::HeaderMap;"),
            ("crates/lacre/src/store.rs", "\nuse http::HeaderMap;"),
            ("crates/lacre/src/cache.rs", "\nfn f() { std::time::SystemTime::now(); }"),
            ("crates/lacre/src/keys/file.rs", "\nuse std::{env, fs};"),
            ("crates/lacre-core/src/rules.rs", "\nuse std::fs;"),
            ("crates/lacre-core/src/key.rs", "\nfn f() { blake3::keyed_hash(key, b\"\"); }"),
            ("crates/lacre-seal/src/envelope.rs", "\nfn f() { let now = Instant::now(); }"),
        ] {
            let found = violations_in(file, source);
            assert_eq!(found.len(), 1, "{file}: {found:?}");
            assert!(found[0].starts_with(&format!("{file}:2: names ")), "{}", found[0]);
        }
    }

    #[test]
    fn the_one_place_for_a_thing_may_hold_it() {
        for (file, source) in [
            ("crates/lacre/src/clock.rs", "fn f() { SystemTime::now(); }"),
            ("crates/lacre/src/keys/env.rs", "use std::env;"),
            ("crates/lacre/src/config.rs", "use std::env;"),
            ("crates/lacre/src/keys/file.rs", "use std::fs;"),
            ("crates/lacre/src/storefront.rs", "use http::HeaderMap;"),
            ("crates/lacre-cli/src/main.rs", "use std::env;"),
        ] {
            assert_eq!(violations_in(file, source), [""; 0], "{file}");
        }
    }

    #[test]
    fn a_test_module_lies_where_rust_looks_for_it() {
        let source = "#[cfg(test)]\nmod vectors;";
        assert_eq!(test_files("crates/a/src/lib.rs", source), ["crates/a/src/vectors"]);
        assert_eq!(test_files("crates/a/src/b/mod.rs", source), ["crates/a/src/b/vectors"]);
        assert_eq!(test_files("crates/a/src/b.rs", source), ["crates/a/src/b/vectors"]);
    }

    #[test]
    fn every_exempt_file_lies_where_its_rule_applies() {
        for rule in SOURCES {
            for file in rule.except {
                assert!(rule.within.iter().any(|place| file.starts_with(place)), "{file}");
            }
        }
    }
}
