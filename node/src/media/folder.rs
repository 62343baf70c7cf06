//! Blobs in a folder: for one machine, or for several that share a file system.
//!
//! What must hold: a blob that was taken is there after a failure of the power, too, and with it its name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::fs;

use super::blobs::{BlobError, BlobKey, BlobStore, Pieces};
use super::spool::pieces;

/// A folder with one folder for each tenant. It is made with the first blob.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// This folder.
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        Folder(path.into())
    }

    fn path(&self, key: &BlobKey) -> PathBuf {
        self.0.join(key.tenant.as_str()).join(&key.id)
    }
}

#[async_trait]
impl BlobStore for Folder {
    async fn put(&self, key: &BlobKey, file: &Path) -> Result<(), BlobError> {
        let target = self.path(key);
        let folder = target.parent().expect("it is in its tenant's folder");
        fs::create_dir_all(folder).await.map_err(BlobError::unavailable)?;
        match fs::rename(file, &target).await {
            // Another file system: copied beside its place first, so that it is there whole or not at all.
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let beside = target.with_extension("part");
                let copied = async {
                    fs::copy(file, &beside).await?;
                    fs::File::open(&beside).await?.sync_all().await?;
                    fs::rename(&beside, &target).await
                };
                let copied = copied.await;
                if copied.is_err() {
                    // A full disk keeps nothing of it.
                    let _ = fs::remove_file(&beside).await;
                }
                copied.map_err(BlobError::unavailable)?;
            }
            done => done.map_err(BlobError::unavailable)?,
        }
        // Its bytes are on disk already; the names of it and of its folder are, when these are.
        for named_in in [folder, &self.0] {
            let folder = fs::File::open(named_in).await.map_err(BlobError::unavailable)?;
            folder.sync_all().await.map_err(BlobError::unavailable)?;
        }
        Ok(())
    }

    async fn get(&self, key: &BlobKey) -> Result<Pieces, BlobError> {
        match fs::File::open(self.path(key)).await {
            Ok(file) => Ok(pieces(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(BlobError::Missing(key.clone())),
            Err(error) => Err(BlobError::unavailable(error)),
        }
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match fs::remove_file(self.path(key)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(BlobError::unavailable(error)),
            _ => Ok(()),
        }
    }
}
