//! Tar archives as the engine's archive calls speak them: read as a stream, written in memory.
//!
//! Read are ustar, the pax records `path`, `linkpath` and `size`, and GNU long names; that is what
//! engines write. Everything that comes in is untrusted: names are data, never opened as paths here.

use super::head::Head;
use super::{ApiError, BodyReader};

/// Archives are made of blocks.
pub(super) const BLOCK: usize = 512;
/// The most that a pax header or a long name may take.
const NAME_LIMIT: u64 = 1024 * 1024;

/// What kind of thing an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A hard link to an earlier entry.
    HardLink,
    /// A device, a pipe.
    Other,
}

/// The head of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Size of its data in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Ids of its owner and group.
    pub owner: (u64, u64),
    /// Where a link points.
    pub link: String,
}

/// Reads an archive as it arrives.
pub struct TarReader {
    body: BodyReader,
    head: Head,
    /// Data of the present entry that has not been read yet, and the padding behind it.
    left: u64,
    padding: u64,
}

impl TarReader {
    /// Reads the archive in `body`.
    #[must_use]
    pub const fn new(body: BodyReader) -> Self {
        Self { body, head: Head::EMPTY, left: 0, padding: 0 }
    }

    /// The head of the present entry as it came.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The next entry; what is left of the present one is passed over. `None` at the end.
    ///
    /// # Errors
    /// [`ApiError::Protocol`] when it is no archive.
    pub async fn next(&mut self) -> Result<Option<Entry>, ApiError> {
        let mut names = Names::default();
        let mut records = Vec::new();
        loop {
            self.skip().await?;
            let mut block = [0; BLOCK];
            if !self.body.fill(&mut block).await? || block == [0; BLOCK] {
                // What follows the end mark is padding; reading it lets the connection be used again.
                while self.body.chunk().await?.is_some() {}
                return Ok(None);
            }
            let mut size = header_size(&block)?;
            match block[156] {
                b'x' | b'L' | b'K' => {
                    self.begin(size);
                    let data = self.data(NAME_LIMIT).await?;
                    names.take(block[156], &data);
                    Head::take(&mut records, block[156], &data);
                }
                b'g' => self.begin(size),
                kind => {
                    let kind = entry_kind(kind);
                    self.head = Head { block, records };
                    size = names.size.take().unwrap_or(size);
                    // Links carry no data, whatever their size says.
                    let has_data = matches!(kind, EntryKind::File | EntryKind::Other);
                    self.begin(if has_data { size } else { 0 });
                    return Ok(Some(Entry {
                        path: names.path.take().unwrap_or_else(|| header_path(&block)),
                        link: names.link.take().unwrap_or_else(|| text(&block[157..257])),
                        kind,
                        size,
                        mode: u32::try_from(octal(&block[100..108])?).unwrap_or(0) & 0o7777,
                        owner: self.head.owner()?,
                    }));
                }
            }
        }
    }

    /// The next piece of the present entry's data; `None` behind its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, ApiError> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        match self.body.chunk_up_to(most).await? {
            Some(chunk) => {
                self.left -= chunk.len() as u64;
                Ok(Some(chunk))
            }
            None => Err(ApiError::Lost { reason: "an archive ends early".to_owned() }),
        }
    }

    /// All of the present entry's data, at most `limit` bytes.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] beyond the limit, before anything is read.
    pub async fn data(&mut self, limit: u64) -> Result<Vec<u8>, ApiError> {
        if self.left > limit {
            return Err(ApiError::too_large(self.body.what().to_owned(), limit));
        }
        let mut out = Vec::with_capacity(usize::try_from(self.left).unwrap_or(0));
        while let Some(chunk) = self.chunk().await? {
            out.extend_from_slice(&chunk);
        }
        Ok(out)
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    async fn skip(&mut self) -> Result<(), ApiError> {
        while self.chunk().await?.is_some() {}
        self.left = std::mem::take(&mut self.padding);
        while self.chunk().await?.is_some() {}
        Ok(())
    }
}

/// What extension headers say about the entry behind them.
#[derive(Default)]
struct Names {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Names {
    fn take(&mut self, kind: u8, data: &[u8]) {
        match kind {
            b'L' => self.path = Some(text(data)),
            b'K' => self.link = Some(text(data)),
            _ => {
                // Records of `length key=value\n`, the length counting all of it.
                let mut rest = data;
                while let Some((record, behind)) = pax_record(rest) {
                    rest = behind;
                    let Some(at) = record.iter().position(|b| *b == b'=') else { continue };
                    let value = String::from_utf8_lossy(&record[at + 1..]).into_owned();
                    match &record[..at] {
                        b"path" => self.path = Some(value),
                        b"linkpath" => self.link = Some(value),
                        b"size" => self.size = value.parse().ok(),
                        _ => {}
                    }
                }
            }
        }
    }
}

pub(super) fn pax_record(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = data.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    Some((record, &data[length..]))
}

fn entry_kind(kind: u8) -> EntryKind {
    match kind {
        b'0' | 0 | b'7' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'5' => EntryKind::Directory,
        _ => EntryKind::Other,
    }
}

/// Text up to the first NUL.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn header_path(block: &[u8; BLOCK]) -> String {
    let name = text(&block[..100]);
    let prefix = if &block[257..262] == b"ustar" && block[263] == b'0' {
        text(&block[345..500])
    } else {
        String::new()
    };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn octal(field: &[u8]) -> Result<u64, ApiError> {
    let digits = text(field);
    let digits = digits.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| ApiError::protocol("an archive with a header that is none"))
}

/// Checks the header's checksum, so that what is no archive is noticed, and reads its size.
fn header_size(block: &[u8; BLOCK]) -> Result<u64, ApiError> {
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum::<u64>()
        - block[148..156].iter().map(|b| u64::from(*b)).sum::<u64>()
        + 8 * u64::from(b' ');
    if octal(&block[148..156])? != sum {
        return Err(ApiError::protocol("what should be an archive is none"));
    }
    number(&block[124..136])
}

/// A number in a header: octal digits, or base 256 where these do not reach.
pub(super) fn number(field: &[u8]) -> Result<u64, ApiError> {
    if field.first().is_none_or(|first| first & 0x80 == 0) {
        return octal(field);
    }
    let number = field[field.len().saturating_sub(8)..].iter().fold(0u64, |n, b| (n << 8) | u64::from(*b));
    // The topmost bit says only that it is base 256.
    let number = if field.len() == 8 { number & (u64::MAX >> 1) } else { number };
    if number <= i64::MAX as u64 { Ok(number) } else { Err(ApiError::protocol("a number beyond measure")) }
}

/// Writes a small archive in memory; everything in it belongs to root.
#[derive(Debug, Default)]
pub struct TarWriter {
    out: Vec<u8>,
}

impl TarWriter {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// When the path is longer than 255 bytes or cannot be split as ustar wants it.
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<(), ApiError> {
        self.header(&format!("{}/", path.trim_end_matches('/')), b'5', mode, 0)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`TarWriter::directory`].
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) -> Result<(), ApiError> {
        self.header(path, b'0', mode, data.len() as u64)?;
        self.out.extend_from_slice(data);
        self.out.resize(self.out.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    /// What was written so far, without an end.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// The finished archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.resize(self.out.len() + 2 * BLOCK, 0);
        self.out
    }

    /// The head of a file of `size` bytes alone, for archives that are streamed: the data, padded to
    /// 512 bytes, and 1024 zero bytes have to follow.
    ///
    /// # Errors
    /// As [`TarWriter::directory`].
    pub fn file_head(path: &str, mode: u32, size: u64) -> Result<Vec<u8>, ApiError> {
        let mut writer = Self::new();
        writer.header(path, b'0', mode, size)?;
        Ok(writer.out)
    }

    /// A finished head of any kind, for [`Head`].
    pub(super) fn header(&mut self, path: &str, kind: u8, mode: u32, size: u64) -> Result<(), ApiError> {
        let mut block = [0u8; BLOCK];
        let (prefix, name) = split_path(path)
            .ok_or_else(|| ApiError::protocol(format!("the path '{path}' is too long for an archive")))?;
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
        let mut field = |at: usize, text: String| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        field(100, format!("{:07o}", mode & 0o7777));
        field(108, format!("{:07o}", 0));
        field(116, format!("{:07o}", 0));
        // Eleven octal digits hold 8 GiB.
        if size >= 1 << 33 {
            return Err(ApiError::too_large(format!("the file {path}"), (1 << 33) - 1));
        }
        field(124, format!("{size:011o}"));
        field(136, format!("{:011o}", 0));
        field(148, " ".repeat(8));
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.out.extend_from_slice(&block);
        Ok(())
    }
}

/// Splits a path as ustar stores it: up to 155 bytes, a slash, up to 100 bytes.
fn split_path(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    path.match_indices('/')
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100 && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::body::tests::pieces;

    #[tokio::test]
    async fn what_is_written_is_read_back_however_it_is_cut() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let mut writer = TarWriter::new();
        writer.directory("etc", 0o755).unwrap();
        writer.file("etc/a", 0o600, b"hello").unwrap();
        writer.file(&long, 0o644, &[7; 1000]).unwrap();
        let bytes = writer.finish();
        for size in [1, 511, 512, 513, 10_000] {
            let mut reader = TarReader::new(pieces(&bytes, size));
            assert_eq!(reader.next().await.unwrap().unwrap().kind, EntryKind::Directory);
            let entry = reader.next().await.unwrap().unwrap();
            assert_eq!((entry.path.as_str(), entry.mode, entry.size), ("etc/a", 0o600, 5));
            assert_eq!(reader.data(5).await.unwrap(), b"hello");
            // Not read: passed over.
            assert_eq!(reader.next().await.unwrap().unwrap().path, long);
            assert_eq!(reader.next().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn data_beyond_the_limit_is_not_read() {
        let mut writer = TarWriter::new();
        writer.file("big", 0o644, &[0; 5000]).unwrap();
        let mut reader = TarReader::new(pieces(&writer.finish(), 512));
        reader.next().await.unwrap();
        assert!(matches!(reader.data(4999).await, Err(ApiError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn what_is_no_archive_is_refused() {
        for bad in [vec![b'x'; 2048], b"short".to_vec()] {
            assert!(TarReader::new(pieces(&bad, 100)).next().await.is_err());
        }
    }

    #[tokio::test]
    async fn archives_of_the_systems_tar_are_read() {
        let dir = std::env::temp_dir().join(format!("patchyard-tar-{}", std::process::id()));
        let name = "n".repeat(180);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(&name), "long").unwrap();
        std::os::unix::fs::symlink("t".repeat(150), dir.join("link")).unwrap();
        for format in ["pax", "gnu"] {
            let output = std::process::Command::new("tar")
                .args(["--sort=name", "--format", format, "-C"])
                .arg(&dir)
                .args(["-cf", "-", "."])
                .output()
                .unwrap();
            let mut reader = TarReader::new(pieces(&output.stdout, 333));
            assert_eq!(reader.next().await.unwrap().unwrap().path, "./");
            assert_eq!(reader.next().await.unwrap().unwrap().link, "t".repeat(150));
            assert_eq!(reader.next().await.unwrap().unwrap().path, format!("./{name}"));
            assert_eq!(reader.data(100).await.unwrap(), b"long");
            assert_eq!(reader.next().await.unwrap(), None);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
