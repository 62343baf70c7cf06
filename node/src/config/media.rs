//! Section `media`: where files wait, how large they may be and how long they are kept.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::Authority;

use super::ConfigError;
use super::fields::Reader;
use crate::media::S3Options;

/// Section `media`.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Where files are gathered, and where they stay when there is no bucket.
    pub directory: PathBuf,
    /// Where they stay; `None` is the directory.
    pub bucket: Option<S3Options>,
    /// Largest file that is taken, in bytes.
    pub max_bytes: u64,
    /// How long uploaded files are kept.
    pub retention: Duration,
    /// What takes stills out of films.
    pub ffmpeg: Option<PathBuf>,
    /// Where files are uploaded to; empty for where WhatsApp says.
    pub upload_hosts: Vec<String>,
}

/// WhatsApp's own limit for a file.
const LARGEST: u64 = 2 << 30;
/// Most hosts that are tried.
const HOSTS: usize = 8;

pub(super) fn read(reader: &Reader<'_>) -> Result<MediaConfig, ConfigError> {
    let bucket = match reader.0.text("media", "store") {
        "folder" => None,
        "s3" => Some(bucket(reader)?),
        _ => return Err(reader.invalid("media", "store", "must be folder or s3")),
    };
    let max_bytes = parse_bytes(reader.0.text("media", "max_bytes"));
    let max_bytes = max_bytes.filter(|bytes| (1..=LARGEST).contains(bytes)).ok_or_else(|| {
        reader.invalid(
            "media",
            "max_bytes",
            "must be a size with a unit, as 500KiB, 100MiB or 1GiB, at most 2GiB",
        )
    })?;
    let retention = match reader.duration("media", "retention")? {
        short if short < Duration::from_secs(60) => {
            return Err(reader.invalid("media", "retention", "must be at least 60s"));
        }
        retention => retention,
    };
    let directory = reader.optional("media", "directory").map(PathBuf::from);
    let directory = directory.ok_or_else(|| reader.invalid("media", "directory", "must name a directory"))?;
    let ffmpeg = reader.optional("media", "ffmpeg").map(PathBuf::from);
    if ffmpeg.as_deref().is_some_and(|path| !path.is_absolute() || !can_be_run(path)) {
        return Err(reader.invalid(
            "media",
            "ffmpeg",
            "must be the absolute path of a program that can be run",
        ));
    }
    let upload_hosts = hosts(reader.0.text("media", "upload_hosts"))
        .ok_or_else(|| reader.invalid("media", "upload_hosts", "must be at most 8 of host or host:port"))?;
    Ok(MediaConfig { directory, bucket, max_bytes, retention, ffmpeg, upload_hosts })
}

/// Hosts with commas between; `None` when one is none.
fn hosts(text: &str) -> Option<Vec<String>> {
    let named = text.split(',').map(str::trim).filter(|_| !text.is_empty());
    let hosts: Vec<String> = named.map(str::to_owned).collect();
    let is_host = |host: &String| host.parse().is_ok_and(|host: Authority| !host.as_str().contains('@'));
    (hosts.len() <= HOSTS && hosts.iter().all(is_host)).then_some(hosts)
}

/// Whether it is a file that somebody may execute; whether we may is seen when it is run.
fn can_be_run(path: &Path) -> bool {
    let is_program = |about: Metadata| about.is_file() && about.permissions().mode() & 0o111 != 0;
    std::fs::metadata(path).is_ok_and(is_program)
}

fn bucket(reader: &Reader<'_>) -> Result<S3Options, ConfigError> {
    let needed = |key| {
        let why = "is needed when media.store is s3";
        reader.optional("media", key).ok_or_else(|| reader.invalid("media", key, why))
    };
    let path = PathBuf::from(needed("s3_secret_key_file")?);
    let secret_key = std::fs::read_to_string(&path).map_err(|source| ConfigError::NamedFile {
        field: "media.s3_secret_key_file".into(),
        path,
        source,
    })?;
    Ok(S3Options {
        endpoint: needed("s3_endpoint")?,
        bucket: needed("s3_bucket")?,
        region: needed("s3_region")?,
        access_key: needed("s3_access_key")?,
        secret_key: secret_key.trim().to_owned(),
    })
}

/// A number of bytes with a unit: `B`, `KiB`, `MiB`, `GiB`. `None` when it is not one.
fn parse_bytes(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::super::layers::Layers;
    use super::*;

    fn config(text: &str) -> Result<MediaConfig, ConfigError> {
        let mut layers = Layers::defaults();
        layers.file(text).expect("known keys");
        read(&Reader(&layers))
    }

    #[test]
    fn the_defaults_are_a_folder_for_three_days() {
        let config = config("").expect("good");
        assert_eq!((config.max_bytes, config.retention), (100 << 20, Duration::from_secs(72 * 3600)));
        assert!(config.bucket.is_none() && config.ffmpeg.is_none() && config.upload_hosts.is_empty());
    }

    #[test]
    fn hosts_for_uploads_are_named_in_the_order_in_which_they_are_tried() {
        let config = config("[media]\nupload_hosts = \"a.example, b.example:8443\"\n").expect("good");
        assert_eq!(config.upload_hosts, ["a.example", "b.example:8443"]);
    }

    #[test]
    fn a_program_that_is_there_may_take_stills() {
        let config = config("[media]\nffmpeg = \"/bin/sh\"\n").expect("good");
        assert_eq!(config.ffmpeg, Some(PathBuf::from("/bin/sh")));
    }

    #[test]
    fn a_refused_field_is_named() {
        for (text, field) in [
            ("max_bytes = \"100\"", "media.max_bytes"),
            ("max_bytes = \"3GiB\"", "media.max_bytes"),
            ("max_bytes = \"0B\"", "media.max_bytes"),
            ("retention = \"1s\"", "media.retention"),
            ("directory = \"\"", "media.directory"),
            ("store = \"floppy\"", "media.store"),
            ("store = \"s3\"", "media.s3_secret_key_file"),
            ("upload_hosts = \"https://a.example\"", "media.upload_hosts"),
            ("upload_hosts = \"a.example,\"", "media.upload_hosts"),
            ("upload_hosts = \"me@a.example\"", "media.upload_hosts"),
            ("upload_hosts = \"a,b,c,d,e,f,g,h,i\"", "media.upload_hosts"),
            ("ffmpeg = \"/nonexistent/ffmpeg\"", "media.ffmpeg"),
            ("ffmpeg = \"bin/sh\"", "media.ffmpeg"),
            ("ffmpeg = \"/dev\"", "media.ffmpeg"),
            ("ffmpeg = \"/etc/passwd\"", "media.ffmpeg"),
        ] {
            let error = config(&format!("[media]\n{text}\n")).expect_err("refused").to_string();
            assert!(error.starts_with(field), "{text}: {error}");
        }
    }

    #[test]
    fn a_bucket_has_its_secret_in_a_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hush\n").expect("written");
        let text = format!(
            "[media]\nstore = \"s3\"\ns3_endpoint = \"https://s3.example\"\ns3_bucket = \"b\"\ns3_access_key = \"k\"\n\
             s3_secret_key_file = \"{}\"\n",
            file.path().display()
        );
        let bucket = config(&text).expect("good").bucket.expect("a bucket");
        assert_eq!((bucket.secret_key.as_str(), bucket.region.as_str()), ("hush", "us-east-1"));
        assert!(!format!("{bucket:?}").contains("hush"));
    }
}
