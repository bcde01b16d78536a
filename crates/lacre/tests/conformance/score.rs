//! Verdicts and counts, the way the suite's own display has them: a test counts only where all that
//! it depends on passed.

use crate::client::Failure;
use crate::suite::{Kind, Suite, Test};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::{fmt, fs};

/// Which tests are put to the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edition {
    /// All but those for browsers, as for a reverse proxy.
    Shared,
    /// Without those for content delivery networks, and without those that only a shared cache can
    /// pass.
    Private,
}

/// Tests that assert what only a shared cache does; a private one is right to do otherwise.
const SHARED_ONLY: [&str; 13] = [
    "freshness-s-maxage-shared",
    "freshness-max-age-s-maxage-shared-longer",
    "freshness-max-age-s-maxage-shared-longer-reversed",
    "freshness-max-age-s-maxage-shared-longer-multiple",
    "freshness-max-age-s-maxage-shared-shorter",
    "freshness-max-age-s-maxage-shared-shorter-expires",
    "cc-resp-private-shared",
    "stale-close-proxy-revalidate",
    "stale-close-s-maxage=2",
    "other-authorization",
    "other-authorization-public",
    "other-authorization-must-revalidate",
    "other-authorization-smaxage",
];

/// Tests marked as for browsers that need nothing of a browser.
const PRIVATE_ONLY: [&str; 3] = [
    "freshness-max-age-s-maxage-private",
    "freshness-max-age-s-maxage-private-multiple",
    "cc-resp-private-private",
];

impl Edition {
    fn includes(self, test: &Test) -> bool {
        match self {
            Self::Shared => !test.browser_only,
            Self::Private => {
                let id = test.id.as_str();
                !test.cdn_only
                    && !SHARED_ONLY.contains(&id)
                    && (!test.browser_only || PRIVATE_ONLY.contains(&id))
            }
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Private => "private",
        })
    }
}

/// What became of one test.
#[derive(Clone, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed(String),
    /// It did not come to the point.
    SetupFailed(String),
    /// This other test was not passed.
    DependencyFailed(String),
    /// Interim responses exist on a connection only.
    NeedsSockets,
}

/// The verdicts on one cache.
pub(crate) struct Score {
    edition: Edition,
    verdicts: Vec<(String, Kind, Verdict)>,
}

/// How many tests were passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    pub(crate) required: usize,
    pub(crate) optimal: usize,
    /// Questions answered with yes.
    pub(crate) check: usize,
}

impl Counts {
    /// Whether these are no less than `least`.
    pub(crate) fn reach(self, least: &Self) -> bool {
        self.required >= least.required && self.optimal >= least.optimal && self.check >= least.check
    }
}

/// What is expected of a suite with so many tests.
#[derive(Deserialize)]
pub(crate) struct Gate {
    pub(crate) tests: usize,
    /// Exactly what passes where nothing is stored: it says that this interpreter judges as the
    /// suite does.
    pub(crate) without_cache: Counts,
    /// At least, with the defaults.
    pub(crate) shared: Counts,
    /// At least, where requests with different credentials may share an answer.
    pub(crate) shared_across_credentials: Counts,
    /// All there are.
    pub(crate) shared_of: Counts,
    /// At least, with the defaults.
    pub(crate) private: Counts,
    /// All there are.
    pub(crate) private_of: Counts,
    /// The tests that cannot be played in process.
    needs_sockets: BTreeSet<String>,
    /// The tests that are not passed; docs/rfc9111.md says why.
    not_passed: Vec<Reason>,
    /// The tests that a shared cache passes only where an option is set.
    lost_to_a_default: Vec<Reason>,
}

/// With which settings an edition is played.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settings {
    Defaults,
    /// Those that bring back what a default loses.
    Options,
}

/// One reason, and the tests that are not passed for it.
#[derive(Deserialize)]
struct Reason {
    ids: BTreeSet<String>,
}

impl Gate {
    /// Reads `score.json`.
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/score.json");
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    fn explains(&self, id: &str, edition: Edition, settings: Settings) -> bool {
        let lost = edition == Edition::Shared && settings == Settings::Defaults;
        let lost = self.lost_to_a_default.iter().filter(|_| lost);
        self.not_passed.iter().chain(lost).any(|reason| reason.ids.contains(id))
    }
}

impl Score {
    /// Plays every test of an edition.
    pub(crate) fn of(suite: &Suite, edition: Edition, play: impl Fn(&Test) -> Result<(), Failure>) -> Self {
        let included = || suite.tests.iter().filter(|test| edition.includes(test));
        let alone: BTreeMap<&str, Verdict> = included()
            .map(|test| {
                let verdict = if test.requests.iter().any(|step| step.interim_responses.is_some()) {
                    Verdict::NeedsSockets
                } else {
                    match play(test) {
                        Ok(()) => Verdict::Passed,
                        Err(Failure::Setup(message)) => Verdict::SetupFailed(message),
                        Err(Failure::Assertion(message)) => Verdict::Failed(message),
                    }
                };
                (test.id.as_str(), verdict)
            })
            .collect();
        let verdicts =
            included().map(|test| (test.id.clone(), test.kind, verdict(suite, &alone, test))).collect();
        Self { edition, verdicts }
    }

    /// How many tests were passed.
    pub(crate) fn counts(&self) -> Counts {
        self.count(|verdict| *verdict == Verdict::Passed)
    }

    /// How many tests there are.
    pub(crate) fn totals(&self) -> Counts {
        self.count(|_| true)
    }

    /// Whether no fewer tests were passed than `least`, and the others are those that the gate
    /// gives a reason for.
    pub(crate) fn stands(&self, least: &Counts, of: &Counts, gate: &Gate, settings: Settings) -> bool {
        let explains = |id| gate.explains(id, self.edition, settings);
        let explained = self.verdicts.iter().all(|(id, _, verdict)| match verdict {
            Verdict::Passed => !explains(id) && !gate.needs_sockets.contains(id),
            Verdict::NeedsSockets => gate.needs_sockets.contains(id),
            _ => explains(id),
        });
        self.counts().reach(least) && self.totals() == *of && explained
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&str, &Verdict)> {
        self.verdicts
            .iter()
            .filter(move |(_, other, _)| *other == kind)
            .map(|(id, _, verdict)| (id.as_str(), verdict))
    }

    fn count(&self, counts: impl Fn(&Verdict) -> bool) -> Counts {
        let of = |kind| self.of_kind(kind).filter(|(_, verdict)| counts(verdict)).count();
        Counts { required: of(Kind::Required), optimal: of(Kind::Optimal), check: of(Kind::Check) }
    }
}

/// What a test's verdict is once the tests that it depends on are judged, too.
fn verdict(suite: &Suite, alone: &BTreeMap<&str, Verdict>, test: &Test) -> Verdict {
    let failed = test.depends_on.iter().find(|id| {
        let dependency = suite.test(id).map(|other| verdict(suite, alone, other));
        dependency != Some(Verdict::Passed)
    });
    match failed {
        Some(id) => Verdict::DependencyFailed(id.clone()),
        None => alone
            .get(test.id.as_str())
            .cloned()
            .unwrap_or_else(|| Verdict::SetupFailed("not in this edition".into())),
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cache-tests, {}:", self.edition)?;
        let (passed, all) = (self.counts(), self.totals());
        write!(f, " required {}/{}", passed.required, all.required)?;
        write!(f, " optimal {}/{}", passed.optimal, all.optimal)?;
        writeln!(f, " check {}/{}", passed.check, all.check)?;
        for (kind, name) in [(Kind::Required, "required"), (Kind::Optimal, "optimal"), (Kind::Check, "check")]
        {
            for (id, verdict) in self.of_kind(kind) {
                match verdict {
                    Verdict::Passed => {}
                    Verdict::Failed(why) => writeln!(f, "  {name} failed      {id}: {why}")?,
                    Verdict::SetupFailed(why) => writeln!(f, "  {name} setup       {id}: {why}")?,
                    Verdict::DependencyFailed(other) => writeln!(f, "  {name} depends     {id}: on {other}")?,
                    Verdict::NeedsSockets => writeln!(f, "  {name} needs sockets {id}")?,
                }
            }
        }
        Ok(())
    }
}
