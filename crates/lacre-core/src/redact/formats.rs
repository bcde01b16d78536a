//! Known formats of secrets, which are recognized under any name.

use regex::bytes::Regex;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

/// A known format of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecretFormat {
    /// AWS access key id: `AKIA…`.
    AwsAccessKey,
    /// The credentials after `Basic` or `Bearer`.
    Authorization,
    /// GitHub token: `ghp_…`, `github_pat_…`.
    GithubToken,
    /// GitLab token: `glpat-…`.
    GitlabToken,
    /// Google API key: `AIza…`.
    GoogleApiKey,
    /// JSON web token: `eyJ….eyJ….…`.
    Jwt,
    /// API key of a language model service: `sk-…`.
    ModelApiKey,
    /// npm or PyPI token: `npm_…`, `pypi-…`.
    PackageToken,
    /// Private key in PEM.
    PrivateKey,
    /// SendGrid API key: `SG.….…`.
    SendgridKey,
    /// Slack token `xoxb-…`, or a Slack webhook URL.
    SlackToken,
    /// Stripe key: `sk_live_…`, `whsec_…`.
    StripeKey,
    /// The path of a Telegram bot, with its token.
    TelegramToken,
}

impl SecretFormat {
    /// The name of the format, for people and programs.
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

impl fmt::Display for SecretFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Finds secrets in known formats, in no particular order. The time is linear in the length of
/// `text`.
pub(crate) fn find_formats(text: &[u8]) -> impl Iterator<Item = (SecretFormat, Range<usize>)> {
    PATTERNS.iter().flat_map(move |(format, pattern)| {
        let found = pattern.find_iter(text).filter(|found| has_digit(found.as_bytes()));
        found.map(|found| (*format, found.range()))
    })
}

/// Whether a match has a digit. Prose such as "basic configuration-management" has none; a real
/// secret of that length does.
fn has_digit(text: &[u8]) -> bool {
    text.starts_with(b"-----BEGIN") || text.iter().any(u8::is_ascii_digit)
}

static PATTERNS: LazyLock<Vec<(SecretFormat, Regex)>> = LazyLock::new(|| {
    // All patterns compile: a test finds every format.
    FORMATS.iter().filter_map(|(format, pattern)| Some((*format, Regex::new(pattern).ok()?))).collect()
});

const FORMATS: [(SecretFormat, &str); 13] = [
    (SecretFormat::AwsAccessKey, r"(?-u)\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (SecretFormat::Authorization, r"(?i-u)\b(?:basic|bearer)(?: |%20|\+)+[a-z0-9._~+/-]{16,}=*"),
    (SecretFormat::GithubToken, r"(?-u)\b(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
    (SecretFormat::GitlabToken, r"(?-u)\bglpat-[A-Za-z0-9_-]{20,}"),
    (SecretFormat::GoogleApiKey, r"(?-u)\bAIza[A-Za-z0-9_-]{35}"),
    (SecretFormat::Jwt, r"(?-u)\beyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
    (SecretFormat::ModelApiKey, r"(?-u)\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"),
    (SecretFormat::PackageToken, r"(?-u)\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,})"),
    (
        SecretFormat::PrivateKey,
        r"(?-u)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=:,\s\\-]*",
    ),
    (SecretFormat::SendgridKey, r"(?-u)\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    (
        SecretFormat::SlackToken,
        r"(?-u)\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
    ),
    (SecretFormat::StripeKey, r"(?-u)\b(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}"),
    (SecretFormat::TelegramToken, r"(?-u)\bbot[0-9]{8,10}:[A-Za-z0-9_-]{35}"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One example of each format, assembled here so that repository scanners do not report them.
    fn examples() -> Vec<(SecretFormat, String)> {
        let random = |length: usize| "a1B2c3D4e5F6g7H8".chars().cycle().take(length).collect::<String>();
        vec![
            (SecretFormat::AwsAccessKey, format!("AKIA{}", random(16).to_uppercase())),
            (SecretFormat::Authorization, format!("bearer {}", random(20))),
            (SecretFormat::GithubToken, format!("ghp_{}", random(36))),
            (SecretFormat::GithubToken, format!("github_pat_{}", random(60))),
            (SecretFormat::GitlabToken, format!("glpat-{}", random(20))),
            (SecretFormat::GoogleApiKey, format!("AIza{}", random(35))),
            (SecretFormat::Jwt, format!("eyJ{}.eyJ{}.{}", random(20), random(20), random(20))),
            (SecretFormat::ModelApiKey, format!("sk-ant-{}", random(40))),
            (SecretFormat::PackageToken, format!("npm_{}", random(36))),
            (SecretFormat::PackageToken, format!("pypi-{}", random(60))),
            (
                SecretFormat::PrivateKey,
                format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", random(64)),
            ),
            (SecretFormat::SendgridKey, format!("SG.{}.{}", random(22), random(43))),
            (SecretFormat::SlackToken, format!("xoxb-{}", random(24))),
            (SecretFormat::SlackToken, format!("hooks.slack.com/services/{}", random(24))),
            (SecretFormat::StripeKey, format!("sk_live_{}", random(24))),
            (SecretFormat::TelegramToken, format!("bot12345678:{}", random(35))),
        ]
    }

    #[test]
    fn every_format_is_found_completely_and_once() {
        assert_eq!(PATTERNS.len(), FORMATS.len());
        for (format, secret) in examples() {
            let text = format!("x=\"{secret}\", y");
            let found: Vec<_> = find_formats(text.as_bytes()).collect();
            assert_eq!(found, [(format, 3..3 + secret.len())], "{secret}");
        }
        let seen: Vec<SecretFormat> = examples().into_iter().map(|(format, _)| format).collect();
        assert!(FORMATS.iter().all(|(format, _)| seen.contains(format)));
    }

    #[test]
    fn prose_and_identifiers_have_no_format() {
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
            assert_eq!(find_formats(text.as_bytes()).count(), 0, "{text}");
        }
    }
}
