//! Errors in a policy. An exchange has no errors: every header leads to a decision.

use std::error::Error as StdError;

/// An invalid setting. The message names the setting and a valid form.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn expire(text: &str) -> Self {
        Self {
            message: format!(
                "`{text}` is not a lifetime: use seconds (90), a duration (1h30m), an HTTP-date, never, immediately or do-not-store"
            ),
            source: None,
        }
    }

    pub(crate) fn pattern(pattern: &str, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            message: format!(
                "`{pattern}` is not a URL pattern: use a glob (example.com/api/*) or a regular expression"
            ),
            source: Some(Box::new(source)),
        }
    }
}
