//! The database of a run: the model, and the facts of what it did.
//!
//! What must hold: a fact is recorded at the moment of its commit, by the database and never by who asked,
//! so that a lost answer hides nothing. Every call is over when it returns: it waits for nothing.

mod devices;
mod directory;
mod imported;
mod ledger;
mod media;
mod polls;
mod protocol;

use std::sync::Arc;

use roost_placement::ledger::Beaten;
use roost_proto::id::Life;

use super::Record;
use crate::history::What;
use crate::model::Model;

/// The database. Cloning gives the same one.
#[derive(Clone)]
pub(crate) struct Database {
    /// Its rows.
    pub(crate) model: Arc<Model>,
    record: Record,
}

impl Database {
    /// One that records into `record`.
    pub(crate) fn new(model: Arc<Model>, record: Record) -> Database {
        Database { model, record }
    }

    /// The answer to a heartbeat has reached who asked.
    pub(crate) fn told(&self, life: &Life, answer: &Beaten) {
        if matches!(answer, Beaten::Renewed(_)) {
            self.record.fact(What::HeardRenewed(life.clone()));
        }
    }
}
