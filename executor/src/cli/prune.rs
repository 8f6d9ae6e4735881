//! `executor du` and `executor prune`, with the flags of `docker buildx` and `buildctl`.

use std::io::Write as _;
use std::time::SystemTime;

use oci::Time;

use super::args::StoreArgs;
use super::images::{ago, bytes};
use super::signals;
use crate::prune::{Amount, Filter, Limits, Record, Request, Usage, duration, prune, usage};
use crate::store::Store;
use crate::{Cancel, Result, snapshot};

/// What is typed for `du`.
#[derive(clap::Args)]
pub(super) struct DuArgs {
    /// Only records that match: `type==exec.cachemount`, `description~=^pulled`, `shared`, `until=24h`; conditions with a
    /// comma between all hold; may be repeated, any counts
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// All that is known of each record
    #[arg(short, long)]
    verbose: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// What is typed for `prune`.
#[derive(clap::Args)]
pub(super) struct PruneArgs {
    /// Layers of named images, too; the images keep their blobs
    #[arg(short, long)]
    all: bool,
    /// Only records that match: `type==exec.cachemount`, `description~=^pulled`, `shared`, `until=24h`; conditions with a
    /// comma between all hold; may be repeated, any counts
    #[arg(long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// Keep records that were used within this time
    #[arg(long, value_name = "DURATION", default_value = "0")]
    keep_duration: String,
    /// Prune until no more than this is used by what can be pruned: `10GB`, `20%` of the disk
    #[arg(long, value_name = "SIZE")]
    max_used_space: Option<String>,
    /// Prune until this much of the disk is free
    #[arg(long, value_name = "SIZE")]
    min_free_space: Option<String>,
    /// Keep this much whatever happens
    #[arg(long, alias = "keep-storage", value_name = "SIZE")]
    reserved_space: Option<String>,
    /// Nothing is asked anyway; for scripts that say it
    #[arg(short, long, hide = true)]
    force: bool,
    /// All that is known of each record
    #[arg(short, long)]
    verbose: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// `executor du`.
pub(super) fn du(args: &DuArgs) -> Result<()> {
    let store = Store::open_when_full(args.store.directory())?;
    let snapshots = snapshot::open(store.root())?;
    let mut usage = usage(&store, &*snapshots)?;
    let filters = filters(&args.filters)?;
    if !filters.is_empty() {
        let now = SystemTime::now();
        usage.records.retain(|record| filters.iter().any(|filter| filter.matches_at(record, now)));
        usage.images = 0;
    }
    // What is looked for stands at the end: the largest.
    usage.records.sort_by(|one, other| (one.size, &one.id).cmp(&(other.size, &other.id)));
    super::print_bytes(&print(&usage.records, Shape::of(args.verbose, args.json), Some(&usage)))
}

/// `executor prune`.
pub(super) fn run(args: &PruneArgs) -> Result<()> {
    let cancel = Cancel::default();
    signals::cancel_on_signal(&cancel)?;
    let store = Store::open_when_full(args.store.directory())?;
    let snapshots = snapshot::open(store.root())?;
    let amount = |text: &Option<String>| match text {
        Some(text) => Amount::parse(text)?.on(store.root()),
        None => Ok(0),
    };
    let request = Request {
        all: args.all,
        filters: filters(&args.filters)?,
        keep_duration: duration(&args.keep_duration)?,
        limits: Limits {
            max_used: amount(&args.max_used_space)?,
            reserved: amount(&args.reserved_space)?,
            min_free: amount(&args.min_free_space)?,
        },
    };
    if store.try_alone()?.is_none() {
        super::say("waiting for builds that use the store");
    }
    let removed = prune(&store, &*snapshots, &request, &cancel)?;
    super::print_bytes(&print(&removed, Shape::of(args.verbose, args.json), None))
}

fn filters(texts: &[String]) -> Result<Vec<Filter>> {
    let filters = texts.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
    for (field, meant) in filters.iter().flat_map(Filter::unknown) {
        let advice = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        super::say(&format!("warning: no record has the field {field} of the filter{advice}"));
    }
    Ok(filters)
}

#[derive(Clone, Copy)]
enum Shape {
    Table,
    Verbose,
    Json,
}

impl Shape {
    fn of(verbose: bool, json: bool) -> Self {
        match (json, verbose) {
            (true, _) => Self::Json,
            (false, true) => Self::Verbose,
            (false, false) => Self::Table,
        }
    }
}

/// Records, and what they are together; of a whole usage also what an image keeps.
fn print(records: &[Record], shape: Shape, usage: Option<&Usage>) -> Vec<u8> {
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| match shape {
        Shape::Table => table(records, out),
        Shape::Verbose => records.iter().try_for_each(|record| verbose(record, out)),
        Shape::Json => records.iter().try_for_each(|record| writeln!(out, "{}", json(record))),
    };
    write(&mut out).expect("writing to memory does not fail");
    if !matches!(shape, Shape::Json) {
        totals(records, usage, &mut out).expect("writing to memory does not fail");
    }
    out
}

fn table(records: &[Record], out: &mut Vec<u8>) -> std::io::Result<()> {
    let width = records.iter().map(|record| record.id.len()).max().unwrap_or(0).max(2);
    writeln!(out, "{:width$}  {:19}  RECLAIMABLE  {:>10}  LAST ACCESSED", "ID", "TYPE", "SIZE")?;
    for record in records {
        let (id, kind) = (&record.id, record.kind.name());
        let (free, size) = (!record.shared, bytes(record.size));
        writeln!(out, "{id:width$}  {kind:19}  {free:<11}  {size:>10}  {}", ago(age(record.last_used)))?;
    }
    Ok(())
}

fn verbose(record: &Record, out: &mut Vec<u8>) -> std::io::Result<()> {
    writeln!(out, "ID:           {}", record.id)?;
    if !record.parents.is_empty() {
        writeln!(out, "Parents:      {}", record.parents.join(";"))?;
    }
    writeln!(out, "Type:         {}", record.kind.name())?;
    if !record.description.is_empty() {
        writeln!(out, "Description:  {}", record.description)?;
    }
    writeln!(out, "Size:         {}", bytes(record.size))?;
    writeln!(out, "Created at:   {}", time(record.created))?;
    writeln!(out, "Last used:    {}", ago(age(record.last_used)))?;
    writeln!(out, "Usage count:  {}", record.usage)?;
    writeln!(out, "Mutable:      {}", record.is_mutable())?;
    writeln!(out, "Shared:       {}", record.shared)?;
    writeln!(out, "Reclaimable:  {}\n", !record.shared)
}

fn json(record: &Record) -> serde_json::Value {
    serde_json::json!({
        "ID": record.id,
        "Type": record.kind.name(),
        "Description": record.description,
        "Size": record.size,
        "CreatedAt": time(record.created),
        "LastUsedAt": time(record.last_used),
        "UsageCount": record.usage,
        "Parents": record.parents,
        "Mutable": record.is_mutable(),
        "Shared": record.shared,
        "Reclaimable": !record.shared,
    })
}

fn totals(records: &[Record], usage: Option<&Usage>, out: &mut Vec<u8>) -> std::io::Result<()> {
    let sum =
        |shared: bool| records.iter().filter(|record| record.shared == shared).map(|record| record.size).sum::<u64>();
    if let Some(usage) = usage {
        writeln!(out, "Images:       {}", bytes(usage.images))?;
        writeln!(out, "Shared:       {}", bytes(sum(true)))?;
        writeln!(out, "Reclaimable:  {}", bytes(sum(false)))?;
    }
    let images = usage.map_or(0, |usage| usage.images);
    writeln!(out, "Total:        {}", bytes(sum(true) + sum(false) + images))
}

/// Seconds from then to now.
fn age(then: SystemTime) -> i64 {
    let since = SystemTime::now().duration_since(then).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn time(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), 0).to_string()
}
