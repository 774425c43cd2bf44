//! What readers show as proven durable is a promise of its own.

use std::sync::Arc;

use ironwal::{Environment, ReaderOptions, Visibility, WalReader};

use super::{Trouble, World};
use crate::invariant::Invariant;
use crate::model::{Found, Violation};
use crate::oracle::told;
use crate::sim_storage::SimStorage;

impl World {
    /// The log ends here, and a reader beside it looks once more: what it shows as proven durable has to
    /// survive, whatever is lost of the rest.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn show_proven(&mut self, disk: &SimStorage, trouble: Trouble) -> Result<(), Violation> {
        // A copy, that is not in the way of the operations that are counted.
        let environment = Environment::new(Arc::new(disk.kill()));
        let options = ReaderOptions::new().visibility(Visibility::Proven);
        let reader = WalReader::open_in(environment, options);
        let keys: Vec<String> = self.model.keys().map(str::to_owned).collect();
        for key in keys {
            match shown(&reader, &key) {
                Ok(found) => self.model.proven(&key, &found)?,
                // What a failed sync has dropped may be missed until a recovery.
                Err(_) if trouble == Trouble::Expected => {}
                Err(error) => {
                    let what = told(&format!("{key}: what is proven durable"), &error);
                    return Err(Violation::new(Invariant::I12, what));
                }
            }
        }
        Ok(())
    }
}

fn shown(reader: &WalReader, key: &str) -> ironwal::Result<Found> {
    let stream = reader.stream(key)?;
    let first = stream.first_seq()?;
    let entries = stream.iter(first..)?.map(|entry| entry.map(|entry| entry.data));
    Ok(Found { first, entries: entries.collect::<ironwal::Result<_>>()? })
}
