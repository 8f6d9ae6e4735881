//! A tree in a tar, one line a path: type, mode, owner, whether it is new or when it was changed.

use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use oci::Digest;

/// So old may a file be that a build made, seconds.
const NEW: u64 = 24 * 3600;

pub(crate) fn of_tar(path: &Path) -> String {
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let mut lines: Vec<String> = archive.entries().unwrap().map(|entry| line(&mut entry.unwrap())).collect();
    lines.sort();
    lines.concat()
}

fn line(entry: &mut tar::Entry<'_, impl Read>) -> String {
    let path = entry.path().unwrap().display().to_string();
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let link = entry.link_name().unwrap().map(|name| name.display().to_string()).unwrap_or_default();
    let header = entry.header().clone();
    let what = match header.entry_type() {
        tar::EntryType::Link => return format!("{path} hard link to {link}\n"),
        tar::EntryType::Symlink => format!("link to {link}"),
        tar::EntryType::Directory => "directory".to_owned(),
        tar::EntryType::Regular => {
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            format!("file {} {}", data.len(), &Digest::sha256(&data).hex()[..8])
        }
        other => format!("{other:?}"),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let time = header.mtime().unwrap();
    let time = if now.abs_diff(time) < NEW { "new".to_owned() } else { format!("@{time}") };
    let mode = if link.is_empty() { header.mode().unwrap() & 0o7777 } else { 0o777 };
    format!("{path} {what} {mode:o} {}:{} {time}\n", header.uid().unwrap(), header.gid().unwrap())
}
