//! Secrets that give themselves away by their look, wherever they stand.

use regex::bytes::Regex;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// The id of an AWS access key: `AKIA…`.
    AwsAccessKey,
    /// What follows `Basic` or `Bearer`.
    Authorization,
    /// `ghp_…`, `github_pat_…` and their like.
    GithubToken,
    /// `glpat-…`.
    GitlabToken,
    /// `AIza…`.
    GoogleApiKey,
    /// A JSON web token: `eyJ….eyJ….…`.
    Jwt,
    /// `sk-…`, as services of language models give them out.
    ModelApiKey,
    /// `npm_…` or `pypi-…`: whoever has it publishes packages.
    PackageToken,
    /// A private key in PEM.
    PrivateKey,
    /// `SG.….…`.
    SendgridKey,
    /// `xoxb-…`, or the URL of a webhook.
    SlackToken,
    /// `sk_live_…`, `whsec_…`.
    StripeKey,
    /// The path of a Telegram bot.
    TelegramToken,
}

impl Shape {
    /// Its name, for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwsAccessKey => "aws-access-key",
            Self::Authorization => "authorization",
            Self::GithubToken => "github-token",
            Self::GitlabToken => "gitlab-token",
            Self::GoogleApiKey => "google-api-key",
            Self::Jwt => "jwt",
            Self::ModelApiKey => "model-api-key",
            Self::PackageToken => "package-token",
            Self::PrivateKey => "private-key",
            Self::SendgridKey => "sendgrid-key",
            Self::SlackToken => "slack-token",
            Self::StripeKey => "stripe-key",
            Self::TelegramToken => "telegram-token",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The texts in `text` that have a shape, in no order. The work is linear in the length of `text`.
pub(crate) fn shapes(text: &[u8]) -> impl Iterator<Item = (Shape, Range<usize>)> {
    PATTERNS.iter().flat_map(move |(shape, pattern)| {
        let found = pattern.find_iter(text).filter(|found| is_random(found.as_bytes()));
        found.map(|found| (*shape, found.range()))
    })
}

/// Prose such as "basic configuration-management" has no digit; a secret this long has.
fn is_random(text: &[u8]) -> bool {
    text.starts_with(b"-----BEGIN") || text.iter().any(u8::is_ascii_digit)
}

static PATTERNS: LazyLock<Vec<(Shape, Regex)>> = LazyLock::new(|| {
    // Each of them compiles: the tests find all shapes.
    SHAPES.iter().filter_map(|(shape, pattern)| Some((*shape, Regex::new(pattern).ok()?))).collect()
});

const SHAPES: [(Shape, &str); 13] = [
    (Shape::AwsAccessKey, r"(?-u)\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (Shape::Authorization, r"(?i-u)\b(?:basic|bearer)(?: |%20|\+)+[a-z0-9._~+/-]{16,}=*"),
    (Shape::GithubToken, r"(?-u)\b(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
    (Shape::GitlabToken, r"(?-u)\bglpat-[A-Za-z0-9_-]{20,}"),
    (Shape::GoogleApiKey, r"(?-u)\bAIza[A-Za-z0-9_-]{35}"),
    (Shape::Jwt, r"(?-u)\beyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
    (Shape::ModelApiKey, r"(?-u)\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"),
    (Shape::PackageToken, r"(?-u)\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})"),
    (Shape::PrivateKey, r"(?-u)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=:,\s\\-]*"),
    (Shape::SendgridKey, r"(?-u)\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    (
        Shape::SlackToken,
        r"(?-u)\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
    ),
    (Shape::StripeKey, r"(?-u)\b(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}"),
    (Shape::TelegramToken, r"(?-u)\bbot[0-9]{8,10}:[A-Za-z0-9_-]{35}"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, put together here so that no scanner of repositories takes them for real.
    fn examples() -> Vec<(Shape, String)> {
        let random = |length: usize| "a1B2c3D4e5F6g7H8".chars().cycle().take(length).collect::<String>();
        vec![
            (Shape::AwsAccessKey, format!("AKIA{}", random(16).to_uppercase())),
            (Shape::Authorization, format!("bearer {}", random(20))),
            (Shape::GithubToken, format!("ghp_{}", random(36))),
            (Shape::GithubToken, format!("github_pat_{}", random(60))),
            (Shape::GitlabToken, format!("glpat-{}", random(20))),
            (Shape::GoogleApiKey, format!("AIza{}", random(35))),
            (Shape::Jwt, format!("eyJ{}.eyJ{}.{}", random(20), random(20), random(20))),
            (Shape::ModelApiKey, format!("sk-ant-{}", random(40))),
            (Shape::PackageToken, format!("npm_{}", random(36))),
            (Shape::PackageToken, format!("pypi-{}", random(60))),
            (
                Shape::PrivateKey,
                format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", random(64)),
            ),
            (Shape::SendgridKey, format!("SG.{}.{}", random(22), random(43))),
            (Shape::SlackToken, format!("xoxb-{}", random(24))),
            (Shape::SlackToken, format!("hooks.slack.com/services/{}", random(24))),
            (Shape::StripeKey, format!("sk_live_{}", random(24))),
            (Shape::TelegramToken, format!("bot12345678:{}", random(35))),
        ]
    }

    #[test]
    fn every_shape_is_found_whole_and_alone() {
        assert_eq!(PATTERNS.len(), SHAPES.len());
        for (shape, secret) in examples() {
            let text = format!("x=\"{secret}\", y");
            let found: Vec<_> = shapes(text.as_bytes()).collect();
            assert_eq!(found, [(shape, 3..3 + secret.len())], "{secret}");
        }
        let seen: Vec<Shape> = examples().into_iter().map(|(shape, _)| shape).collect();
        assert!(SHAPES.iter().all(|(shape, _)| seen.contains(shape)));
    }

    #[test]
    fn prose_and_identifiers_have_no_shape() {
        for text in [
            "a basic configuration-management",
            "Bearer realm=\"example.com\", error=\"invalid_token\"",
            "Basic realm=\"a\"",
            "risk-management-of-a-large-and-growing-company",
            "/v1/bot/messages?eyJ=1",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "550e8400-e29b-41d4-a716-446655440000",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            assert_eq!(shapes(text.as_bytes()).count(), 0, "{text}");
        }
    }
}
