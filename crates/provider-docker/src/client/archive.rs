//! Files of a container, running or not, without starting a process in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{ApiError, Body, Client, Entry, EntryKind, TarReader, TarWriter};

/// How many symbolic links are followed from one path.
const LINKS: usize = 8;

/// What a path in a container is, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// Size in bytes.
    pub size: u64,
    /// Go's file mode: permission bits below, one bit a kind of file above.
    pub mode: u32,
    /// When it was changed, RFC 3339.
    pub mtime: String,
    /// Where a symbolic link points, resolved by the engine.
    pub link: String,
}

impl PathStat {
    /// Whether it is a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    /// Whether it holds data: neither a directory nor a device, a pipe or a socket.
    #[must_use]
    pub const fn holds_data(&self) -> bool {
        const NO_DATA: u32 = 1 << 31 | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21;
        self.mode & NO_DATA == 0
    }

    /// Whether it is a regular file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.holds_data() && !self.is_symlink()
    }

    /// Whether it is a socket: no archive has those.
    #[must_use]
    pub const fn is_socket(&self) -> bool {
        self.mode & (1 << 24) != 0
    }

    /// When it was changed, to the second: times in archives have no more.
    #[must_use]
    pub fn second(&self) -> Option<&str> {
        self.mtime.get(..19)
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub const fn is_symlink(&self) -> bool {
        self.mode & (1 << 27) != 0
    }
}

impl Client {
    /// A path of a container as an archive: the file, or the folder with everything in it. Its entries
    /// start with the path's last part. Symbolic links are archived, not followed.
    ///
    /// # Errors
    /// [`ApiError::is_not_found`] when there is no such path (or container).
    pub async fn archive(&self, container: &str, path: &str) -> Result<TarReader, ApiError> {
        let body = self.get(&["containers", container, "archive"]).query("path", path).stream().await?;
        Ok(TarReader::new(body))
    }

    /// The same as a body, to be unpacked elsewhere.
    ///
    /// # Errors
    /// As [`Client::archive`].
    pub async fn archive_body(&self, container: &str, path: &str) -> Result<Body, ApiError> {
        let body = self.get(&["containers", container, "archive"]).query("path", path).stream().await?;
        Ok(body.into_body())
    }

    /// Unpacks an archive in a folder of a container, which must exist.
    ///
    /// # Errors
    /// [`ApiError::is_not_found`] when there is no such folder.
    pub async fn unpack(&self, container: &str, folder: &str, archive: Body) -> Result<(), ApiError> {
        self.unpack_within(container, folder, archive, std::time::Duration::from_secs(600)).await
    }

    /// The same with a limit of its own.
    ///
    /// # Errors
    /// As [`Client::unpack`].
    pub async fn unpack_within(
        &self,
        container: &str,
        folder: &str,
        archive: Body,
        limit: std::time::Duration,
    ) -> Result<(), ApiError> {
        self.put(&["containers", container, "archive"])
            .query("path", folder)
            .query("noOverwriteDirNonDir", "1")
            .body("application/x-tar", archive)
            .timeout(limit)
            .done()
            .await
    }

    /// Unpacks an archive made by [`TarWriter`].
    ///
    /// # Errors
    /// As [`Client::unpack`].
    pub async fn write(&self, container: &str, folder: &str, archive: TarWriter) -> Result<(), ApiError> {
        let body = super::reader_body(std::io::Cursor::new(archive.finish()));
        self.unpack(container, folder, body).await
    }

    /// A regular file of a container, symbolic links followed within it, with its data still to be read;
    /// `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::archive`], except that a missing path is none.
    pub async fn open_file(
        &self,
        container: &str,
        path: &str,
    ) -> Result<Option<(Entry, TarReader)>, ApiError> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let mut archive = match self.archive(container, &path).await {
                Err(error) if error.is_no_such_path() => return Ok(None),
                archive => archive?,
            };
            match archive.next().await? {
                Some(entry) if entry.kind == EntryKind::File => return Ok(Some((entry, archive))),
                Some(Entry { kind: EntryKind::Symlink, link, .. }) => path = follow(&path, &link),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The same, read.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] beyond `limit` bytes.
    pub async fn read_file(
        &self,
        container: &str,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        match self.open_file(container, path).await? {
            Some((_, mut archive)) => archive.data(limit).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a path of a container is; `None` when there is none, or no such container: an answer without
    /// a body does not tell.
    ///
    /// # Errors
    /// When the engine's answer makes no sense.
    pub async fn stat(&self, container: &str, path: &str) -> Result<Option<PathStat>, ApiError> {
        let asked = self.head(&["containers", container, "archive"]).query("path", path).headers().await;
        let headers = match asked {
            Err(error) if error.is_not_found() => return Ok(None),
            headers => headers?,
        };
        let read = || {
            let header = headers.get("x-docker-container-path-stat")?;
            let json: Value = serde_json::from_slice(&STANDARD.decode(header.as_bytes()).ok()?).ok()?;
            Some(PathStat {
                size: json["size"].as_u64()?,
                mode: u32::try_from(json["mode"].as_u64()?).ok()?,
                mtime: json["mtime"].as_str()?.to_owned(),
                link: json["linkTarget"].as_str().unwrap_or_default().to_owned(),
            })
        };
        read().map(Some).ok_or_else(|| ApiError::protocol(format!("no path stat for {path}")))
    }
}

/// Where a link points, as a path of the container; it cannot lead out of it.
pub(crate) fn follow(path: &str, link: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let joined = if link.starts_with('/') { link.to_owned() } else { format!("{folder}/{link}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::follow;

    #[test]
    fn links_are_resolved_within_the_container() {
        assert_eq!(follow("/etc/os-release", "../usr/lib/os-release"), "/usr/lib/os-release");
        assert_eq!(follow("/etc/a", "/b"), "/b");
        assert_eq!(follow("/etc/a", "../../../../x"), "/x");
    }
}
