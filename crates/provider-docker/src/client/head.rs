//! The head of an archive's entry, taken from one archive into another under a longer path: owners,
//! times, modes, capabilities and whatever else a reader may not know go along untouched.

use super::ApiError;
use super::tar::{BLOCK, TarWriter, number, pax_record};

/// A head as it came.
#[derive(Debug, Clone)]
pub struct Head {
    pub(super) block: [u8; BLOCK],
    /// The extension records before it: name and value. GNU's long names are among them.
    pub(super) records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Head {
    pub(super) const EMPTY: Self = Self { block: [0; BLOCK], records: Vec::new() };

    /// Notes what an extension header says.
    pub(super) fn take(records: &mut Vec<(Vec<u8>, Vec<u8>)>, kind: u8, data: &[u8]) {
        match kind {
            b'L' => records.push((b"path".to_vec(), until_nul(data).to_vec())),
            b'K' => records.push((b"linkpath".to_vec(), until_nul(data).to_vec())),
            _ => {
                let mut rest = data;
                while let Some((record, behind)) = pax_record(rest) {
                    rest = behind;
                    if let Some(at) = record.iter().position(|b| *b == b'=') {
                        records.push((record[..at].to_vec(), record[at + 1..].to_vec()));
                    }
                }
            }
        }
    }

    /// Ids of owner and group.
    ///
    /// # Errors
    /// When they are no numbers.
    pub(super) fn owner(&self) -> Result<(u64, u64), ApiError> {
        let id = |name: &[u8], field: &[u8]| match self.record(name) {
            Some(value) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| ApiError::protocol("an archive with an owner that is none")),
            None => number(field),
        };
        Ok((id(b"uid", &self.block[108..116])?, id(b"gid", &self.block[116..124])?))
    }

    /// The head of the same entry in an archive of a folder further up: `folder` is where its own
    /// archive would be unpacked, without slashes at either end.
    ///
    /// # Errors
    /// Never for what was read from an archive.
    pub fn within(&self, folder: &str) -> Result<Vec<u8>, ApiError> {
        let path = self.record(b"path").map_or_else(|| self.own_path(), <[u8]>::to_vec);
        let mut records: Vec<(&[u8], Vec<u8>)> = vec![(b"path", join(folder, &path))];
        let link = self.record(b"linkpath").unwrap_or_else(|| until_nul(&self.block[157..257]));
        match self.block[156] {
            // A hard link names another entry, a symbolic link is text.
            b'1' => records.push((b"linkpath", join(folder, link))),
            b'2' => records.push((b"linkpath", link.to_vec())),
            _ => {}
        }
        let others = self.records.iter().filter(|(name, _)| name != b"path" && name != b"linkpath");
        records.extend(others.map(|(name, value)| (name.as_slice(), value.clone())));
        let mut data = Vec::new();
        for (name, value) in records {
            push_record(&mut data, name, &value);
        }
        let mut writer = TarWriter::new();
        writer.header("PaxHeaders.0/entry", b'x', 0o644, data.len() as u64)?;
        let mut out = writer.into_bytes();
        out.extend_from_slice(&data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out.extend_from_slice(&self.renamed());
        Ok(out)
    }

    /// The block with a name that says nothing: the record before it counts.
    fn renamed(&self) -> [u8; BLOCK] {
        let mut block = self.block;
        block[..100].fill(0);
        // A folder is told from a file by its kind and by its slash.
        let name: &[u8] = if block[156] == b'5' { b"entry/" } else { b"entry" };
        block[..name.len()].copy_from_slice(name);
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[345..500].fill(0);
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    fn record(&self, name: &[u8]) -> Option<&[u8]> {
        self.records.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    fn own_path(&self) -> Vec<u8> {
        let name = until_nul(&self.block[..100]);
        let prefix = until_nul(&self.block[345..500]);
        if &self.block[257..262] != b"ustar" || self.block[263] != b'0' || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|b| *b == 0).unwrap_or(field.len())]
}

fn join(folder: &str, path: &[u8]) -> Vec<u8> {
    if folder.is_empty() { path.to_vec() } else { [folder.as_bytes(), b"/", path].concat() }
}

/// `length name=value\n`, where the length counts its own digits too.
fn push_record(data: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let rest = name.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    data.extend_from_slice(format!("{length} ").as_bytes());
    data.extend_from_slice(name);
    data.push(b'=');
    data.extend_from_slice(value);
    data.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::body::tests::pieces;
    use super::super::{EntryKind, TarReader};
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [1, 80, 90, 91, 92, 93, 985, 990, 5000] {
            let mut data = Vec::new();
            push_record(&mut data, b"path", &vec![b'x'; length]);
            let (record, rest) = pax_record(&data).unwrap();
            assert_eq!((record.len(), rest.len()), (length + 5, 0));
        }
    }

    /// The system's own tar reads what was moved.
    #[tokio::test]
    async fn what_is_moved_keeps_everything_but_its_path() {
        let dir = std::env::temp_dir().join(format!("patchyard-head-{}", std::process::id()));
        let inner = dir.join("in/app");
        std::fs::create_dir_all(&inner).unwrap();
        let long = "n".repeat(180);
        let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"caf\xe9");
        for (name, data) in [(long.as_str(), "long"), ("a", "one")] {
            std::fs::write(inner.join(name), data).unwrap();
        }
        std::fs::write(inner.join(odd), "latin").unwrap();
        std::fs::hard_link(inner.join("a"), inner.join("b")).unwrap();
        std::os::unix::fs::symlink("a", inner.join("l")).unwrap();
        let sh = |script: &str| {
            let output = Command::new("sh").args(["-ec", script]).current_dir(&dir).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        sh("chmod 4751 in/app/a; find in -exec touch -h -d 2001-02-03T04:05:06Z {} +; mkdir -p out");
        for format in ["pax", "gnu"] {
            let archive =
                sh(&format!("tar --format={format} --sort=name --owner=3000000 --group=33 -C in -cf - app"));
            let mut reader = TarReader::new(pieces(&archive, 777));
            let mut moved = Vec::new();
            while let Some(entry) = reader.next().await.unwrap() {
                moved.extend(reader.head().within("srv/www").unwrap());
                if entry.kind == EntryKind::File {
                    moved.extend(reader.data(100).await.unwrap());
                    moved.resize(moved.len().next_multiple_of(BLOCK), 0);
                }
            }
            moved.resize(moved.len() + 2 * BLOCK, 0);
            std::fs::write(dir.join("moved.tar"), moved).unwrap();
            sh("rm -rf out/*; tar -C out --numeric-owner -xpf moved.tar");
            let tree = |root: &str| {
                let what = "'%y %m %n %TY%Tm%Td%TH%TM%TS %l %p\\n'";
                sh(&format!("cd {root}; find app -printf {what} | sort"))
            };
            assert_eq!(
                String::from_utf8_lossy(&tree("in")),
                String::from_utf8_lossy(&tree("out/srv/www")),
                "{format}"
            );
            sh(
                "cd out/srv/www/app; test a -ef b; test $(stat -c %u:%g a) = 3000000:33; cmp a ../../../../in/app/a",
            );
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
