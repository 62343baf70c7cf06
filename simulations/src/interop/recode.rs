//! The codecs of the real clients, without a connection.

use serde_json::json;

use super::event::ClientEvent;
use super::{InteropError, RealClient};

impl RealClient {
    /// Lets the library's codec read stanzas and write them again. Returns the plaintexts of frames, or why not.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn recode(&mut self, trees: &[Vec<u8>]) -> Result<Vec<Result<Vec<u8>, String>>, InteropError> {
        let trees: Vec<String> = trees.iter().map(hex::encode).collect();
        match self.ask("recode", json!({ "cmd": "recode", "trees": trees })).await? {
            ClientEvent::Recoded { trees, .. } => {
                let read = |text: String| hex::decode(&text).map_err(|_| text);
                Ok(trees.into_iter().map(read).collect())
            }
            other => unreachable!("a recode is answered as one: {other:?}"),
        }
    }
}
