//! Resealing a whole store, for the rotation of keys and for a change of suite.

use crate::storage::reseal::SuiteChoice;
use crate::{Cache, Error, Key, Pass, RecordKind, Resealing};

/// A record that [`Cache::reseal`] or [`Cache::rekey`] has handled.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResealedRow<'a> {
    /// The record's key.
    pub key: &'a Key,
    /// The record's kind; if it does not open, as the store claims it.
    pub kind: RecordKind,
    /// The outcome.
    pub outcome: &'a Resealing,
}

/// The number of records by outcome; see [`Resealing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its `Resealing`")]
#[non_exhaustive]
pub struct Resealed {
    pub done: u64,
    pub already: u64,
    pub lapsed: u64,
    pub overtaken: u64,
    pub refused: u64,
}

impl Cache {
    /// Reseals every record that is not sealed with the primary key and the suite in use, chunks
    /// and evidence included, and calls `report` for each record. Other processes may use the store
    /// meanwhile. Afterwards no other key is needed, unless a record was refused. A suite that was
    /// in use before must be [accepted](crate::Builder::also_accept). An encrypted record never
    /// becomes readable.
    ///
    /// # Errors
    /// The store fails. Records resealed until then stay resealed.
    pub async fn reseal(
        &self,
        pass: Pass,
        report: &mut (dyn FnMut(ResealedRow<'_>) + Send),
    ) -> Result<Resealed, Error> {
        self.reseal_all(pass, SuiteChoice::Change, report).await
    }

    /// Reseals every record that is not sealed with the primary key, each with its own suite:
    /// readable records stay readable, encrypted ones encrypted. Otherwise as
    /// [`reseal`](Self::reseal), but no suite need be accepted.
    ///
    /// # Errors
    /// The store fails. Records resealed until then stay resealed.
    pub async fn rekey(
        &self,
        pass: Pass,
        report: &mut (dyn FnMut(ResealedRow<'_>) + Send),
    ) -> Result<Resealed, Error> {
        self.reseal_all(pass, SuiteChoice::Insert, report).await
    }

    async fn reseal_all(
        &self,
        pass: Pass,
        suite_choice: SuiteChoice,
        report: &mut (dyn FnMut(ResealedRow<'_>) + Send),
    ) -> Result<Resealed, Error> {
        let vault = &self.storage.vault;
        let mut counts = Resealed::default();
        vault.learn_namespaces().await;
        let mut walk = vault.walk();
        while let Some(page) =
            walk.page(|row| vault.reseal_plan(&row, suite_choice, self.storage.now())).await?
        {
            for (key, kind, right) in page {
                let outcome = match right {
                    true => Resealing::Already,
                    false => vault.reseal(&key, pass, suite_choice, self.storage.now()).await?,
                };
                counts.count(&outcome);
                report(ResealedRow { key: &key, kind, outcome: &outcome });
            }
        }
        Ok(counts)
    }
}

impl Resealed {
    fn count(&mut self, outcome: &Resealing) {
        *match outcome {
            Resealing::Done => &mut self.done,
            Resealing::Already => &mut self.already,
            Resealing::Lapsed => &mut self.lapsed,
            Resealing::Overtaken => &mut self.overtaken,
            Resealing::Refused(_) => &mut self.refused,
        } += 1;
    }
}
