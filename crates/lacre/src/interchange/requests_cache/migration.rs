//! Importing a whole cache of requests-cache.

use super::{Imported, Importer, Response, Serializer, Source, Stored};
use crate::{Clock, Error, ErrorKind};
use std::collections::BTreeMap;

/// The outcomes of an import.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Migration {
    /// The number of entries that were stored.
    pub stored: usize,
    /// The number of entries that the cache had already, at least as new.
    pub known: usize,
    /// The entries that were not stored, because they are too stale or the caching rules forbid it:
    /// each with its key and the reason.
    pub not_stored: Vec<(String, &'static str)>,
    /// The entries that could not be read: each with its key and the error.
    pub refused: Vec<(String, Error)>,
}

/// The reason for entries that are too stale to be of use.
const STALE_TOO_LONG: &str = "stale-too-long";

impl Importer {
    /// Imports every response of `source` that `serializer` accepts. An entry that cannot be read
    /// does not stop the import. `progress` is called twice for each entry: the responses are first
    /// sorted by age, so that the newest of several responses to one request stays, and they are
    /// read twice, since all of them at once may not fit into memory.
    ///
    /// # Errors
    /// The store fails.
    pub async fn import_all(
        &self,
        source: &Source,
        serializer: &Serializer,
        clock: &dyn Clock,
        progress: &mut (dyn FnMut() + Send),
    ) -> Result<Migration, Error> {
        let mut migration = Migration::default();
        let mut by_age = Vec::new();
        for index in 0..source.len() {
            match read(source, serializer, index) {
                Ok(response) => by_age.push((response.created, index)),
                Err(refused) => migration.refused.push(refused),
            }
            progress();
        }
        by_age.sort_unstable();
        for (_, index) in by_age {
            match read(source, serializer, index) {
                Ok(response) => match self.import(&response, clock.now()).await {
                    Ok(imported) => migration.count(imported, || source.read(index).key),
                    Err(error) if error.kind() == ErrorKind::Broken => {
                        migration.refused.push((source.read(index).key, error));
                    }
                    Err(error) => return Err(error),
                },
                Err(refused) => migration.refused.push(refused),
            }
            progress();
        }
        Ok(migration)
    }
}

/// The response at `index`, or its key and the error.
fn read(source: &Source, serializer: &Serializer, index: usize) -> Result<Response, (String, Error)> {
    let Stored { key, value } = source.read(index);
    value.and_then(|value| serializer.decode(&value)).map_err(|error| (key, error))
}

impl Migration {
    fn count(&mut self, imported: Imported, key: impl FnOnce() -> String) {
        match imported {
            Imported::Stored => self.stored += 1,
            Imported::Known => self.known += 1,
            Imported::Ended => self.not_stored.push((key(), STALE_TOO_LONG)),
            Imported::Declined(why) => self.not_stored.push((key(), why.as_str())),
        }
    }

    /// The number of entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.stored + self.known + self.not_stored.len() + self.refused.len()
    }

    /// The number of entries that were not stored for each reason.
    #[must_use]
    pub fn reasons(&self) -> BTreeMap<&'static str, usize> {
        let mut reasons = BTreeMap::new();
        for (_, why) in &self.not_stored {
            *reasons.entry(*why).or_default() += 1;
        }
        reasons
    }
}
