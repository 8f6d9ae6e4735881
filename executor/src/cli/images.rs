//! `executor images`: what the store holds by name.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use oci::{Document, Reference};

use super::args::StoreArgs;
use crate::store::{Image, Store, read_blob};
use crate::{Cancel, Error, Result, text};

/// What is typed.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub(super) store: StoreArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List images
    #[command(alias = "list")]
    Ls(Ls),
    /// Remove names of images; layers stay as cache
    #[command(alias = "remove")]
    Rm {
        /// Names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Import a tar of a tree, an OCI layout or archive, or a Docker archive
    Import {
        /// The file, or the directory of a layout
        path: PathBuf,
        /// Name of the image [default: the name in the file]
        name: Option<String>,
    },
}

#[derive(clap::Args)]
struct Ls {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Names only
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let directory = args.store.directory();
    let store = match &args.command {
        Command::Import { .. } => Store::open(directory)?,
        Command::Ls(_) | Command::Rm { .. } => Store::open_when_full(directory)?,
    };
    match &args.command {
        Command::Ls(ls) => list(&store, ls),
        Command::Import { path, name } => import(&store, path, name.as_deref()),
        Command::Rm { names } => names.iter().try_for_each(|name| store.remove_image(&reference(name)?)),
    }
}

fn import(store: &Store, path: &Path, name: Option<&str>) -> Result<()> {
    let name = name.map(reference).transpose()?;
    let _in_use = store.in_use(&Cancel::default())?;
    for image in crate::import::import(store, path, name.as_ref())? {
        super::print(&format!("{} {}", image.name.familiar(), image.target.digest))?;
    }
    Ok(())
}

fn reference(name: &str) -> Result<Reference> {
    Reference::parse(name).map_err(|error| Error::Invalid(format!("{name}: {error}")))
}

fn list(store: &Store, args: &Ls) -> Result<()> {
    let rows: Vec<_> = store.images()?.iter().map(|image| row(store, image)).collect();
    let mut text = Vec::new();
    if args.quiet {
        rows.iter().try_for_each(|row| writeln!(text, "{}", row.name))
    } else if args.json {
        rows.iter().try_for_each(|row| writeln!(text, "{}", row.json()))
    } else {
        table(&rows, &mut text)
    }
    .expect("writing to memory does not fail");
    super::print_bytes(&text)
}

/// What is shown of an image.
struct Row {
    name: String,
    digest: String,
    /// **Unit**: seconds since the epoch.
    created: i64,
    /// **Unit**: bytes; compressed layers, of all platforms.
    size: u64,
}

impl Row {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({"name": self.name, "digest": self.digest, "created": self.created, "size": self.size})
    }
}

/// One that is damaged is not in the way of the others.
fn row(store: &Store, image: &Image) -> Row {
    let name = image.name.familiar();
    let size = size(store, &image.target.digest).unwrap_or_else(|error| {
        super::say(&format!("WARN: the image {name} is damaged: {error}; `executor images rm {name}` removes it"));
        0
    });
    Row { name, digest: image.target.digest.to_string(), created: image.created, size }
}

/// Bytes of the layers of everything a manifest or an index names, each manifest once.
fn size(store: &Store, digest: &oci::Digest) -> Result<u64> {
    let mut total = 0;
    let mut seen = BTreeSet::new();
    let mut waiting = vec![digest.clone()];
    while let Some(digest) = waiting.pop() {
        if !seen.insert(digest.clone()) {
            continue;
        }
        let bytes = read_blob(store.blobs(), &digest, text::LONGEST_DOCUMENT)?;
        match Document::parse(&bytes).map_err(|error| Error::Invalid(format!("{digest}: {error}")))? {
            Document::Manifest(manifest) => total += manifest.layers.iter().map(|layer| layer.size).sum::<u64>(),
            Document::Index(index) => waiting.extend(index.manifests.into_iter().map(|entry| entry.digest)),
        }
    }
    Ok(total)
}

fn table(rows: &[Row], out: &mut Vec<u8>) -> std::io::Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  {:19}  {:>10}  CREATED", "NAME", "DIGEST", "SIZE")?;
    for row in rows {
        let digest = row.digest.get(..19).unwrap_or(&row.digest);
        let age = ago(now.saturating_sub(row.created));
        writeln!(out, "{:width$}  {digest:19}  {:>10}  {age}", row.name, bytes(row.size))?;
    }
    Ok(())
}

pub(super) fn bytes(size: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{size} B") } else { format!("{value:.1} {}", units[unit]) }
}

pub(super) fn ago(seconds: i64) -> String {
    let (number, unit) = match seconds {
        ..60 => (seconds.max(0), "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_named_before_or_after_what_is_done() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            args: Args,
        }
        let root = |line: &str| {
            let program = <Program as clap::Parser>::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{e}"));
            program.args.store.root
        };
        for line in ["images --root there ls", "images ls --root there", "images import base.tar base:1 --root there"] {
            assert_eq!(root(line), Some("there".into()), "{line}");
        }
    }

    #[test]
    fn sizes_and_ages_for_people() {
        assert_eq!([bytes(999), bytes(1000), bytes(1_250_000)], ["999 B", "1.0 kB", "1.2 MB"]);
        assert_eq!(
            [ago(1), ago(59), ago(61), ago(7200), ago(90_000)],
            ["1 second ago", "59 seconds ago", "1 minute ago", "2 hours ago", "1 day ago"]
        );
    }

    #[test]
    fn names_line_up() {
        let row = |name: &str| Row {
            name: name.into(),
            digest: "sha256:0123456789abcdef".into(),
            created: i64::MAX,
            size: 5,
        };
        let mut out = Vec::new();
        table(&[row("a:1"), row("long/name:2")], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let columns: Vec<_> = text.lines().map(|line| line.find("sha256").or(line.find("DIGEST")).unwrap()).collect();
        assert_eq!(columns, [13, 13, 13]);
    }
}
