//! What can be wrong with a policy. The exchange itself has no errors: whatever a header says, there is an answer.

use std::error::Error as StdError;

/// A setting that makes no sense. The message names it and the remedy.
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
                "`{text}` is no lifetime: say seconds (90), a duration (1h30m), an HTTP-date, never, immediately or do-not-store"
            ),
            source: None,
        }
    }

    pub(crate) fn pattern(pattern: &str, source: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            message: format!(
                "`{pattern}` is no URL pattern: say a glob (example.com/api/*) or a regular expression"
            ),
            source: Some(Box::new(source)),
        }
    }
}
