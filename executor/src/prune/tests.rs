//! Stores that become smaller: what goes, in which order, and what must not.

use std::collections::BTreeMap;
use std::fs::{self, File};

use oci::{Descriptor, Digest, Manifest, Reference, media};

use super::*;
use crate::snapshot::{Committed, LayerId, Overlayfs};
use crate::store::{Image, Layer, write_blob};

struct Place {
    _dir: tempfile::TempDir,
    store: Store,
    snapshots: Overlayfs,
}

/// A store in which `base` has a layer, `app` one more on top, and `other` one of its own; used in this order.
fn place() -> (Place, [Committed; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let snapshots = Overlayfs::open(store.root()).unwrap();
    let step = |parent: &Committed, name: &str| {
        let active = snapshots.prepare(parent).unwrap();
        fs::write(active.path().unwrap().join(name), vec![1; 8192]).unwrap();
        snapshots.commit(active).unwrap()
    };
    let base = step(&Committed::default(), "base");
    let app = step(&base, "app");
    let other = step(&Committed::default(), "other");
    // Later than they were made.
    let later = i64::try_from(SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    for (age, (key, tree)) in [("app", &app), ("base", &base), ("other", &other)].into_iter().enumerate() {
        let layers = tree.layers.iter().map(|id| &*id.0).collect::<Vec<_>>().join(" ");
        let last = later + 10_000 + age as i64;
        store
            .db()
            .write(|db| {
                db.execute("INSERT INTO key VALUES (?1)", [key])?;
                db.execute("INSERT INTO result VALUES (?1, ?2, 1)", [key, &*layers])?;
                db.execute("INSERT INTO used VALUES (?1, ?2, 1)", rusqlite::params![layers, last])?;
                Ok(())
            })
            .unwrap();
    }
    (Place { _dir: dir, store, snapshots }, [base, app, other])
}

impl Place {
    fn prune(&self, request: &Request) -> Vec<String> {
        let removed = prune(&self.store, &self.snapshots, request, &Cancel::default()).unwrap();
        removed.into_iter().map(|record| record.id).collect()
    }

    fn usage(&self) -> Usage {
        usage(&self.store, &self.snapshots).unwrap()
    }

    fn results(&self) -> i64 {
        self.store.db().read(|db| db.query_row("SELECT count(*) FROM result", [], |row| row.get(0))).unwrap()
    }

    fn looked_at(&self, time: SystemTime) {
        File::create(self.store.root().join(LOOKED)).unwrap().set_modified(time).unwrap();
    }

    /// Names an image whose one layer is this.
    fn name(&self, layer: &LayerId) {
        let put = |bytes: &[u8]| write_blob(self.store.blobs(), &mut &*bytes, None).unwrap();
        put(b"layer");
        put(b"{}");
        let blob = Descriptor::of(media::OCI_LAYER, b"layer");
        let manifest = Manifest::new(Descriptor::of(media::OCI_CONFIG, b"{}"), vec![blob.clone()]).to_json();
        put(&manifest);
        let known = Layer { diff_id: None, blobs: vec![blob], origins: Vec::new() };
        self.store.put_layer(&layer.0, &known).unwrap();
        let target = Descriptor::of(media::OCI_MANIFEST, &manifest);
        let name = Reference::parse("app").unwrap().or_latest();
        self.store.put_image(&Image { name, target, created: 7 }).unwrap();
    }
}

fn top(tree: &Committed) -> String {
    tree.layers.last().unwrap().0.to_string()
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_a_base_after_what_stands_on_it() {
    let (place, [base, app, other]) = place();
    let order: Vec<_> = place.usage().records.into_iter().map(|record| record.id).collect();
    assert_eq!(order, [top(&app), top(&base), top(&other)]);
    let total = place.usage().total();
    let limits = Limits { max_used: total - 1, ..Limits::default() };
    assert_eq!(place.prune(&Request { limits, ..Request::default() }), [top(&app)]);
    assert_eq!(place.results(), 2);
    assert!(place.usage().total() < total);
    assert_eq!(place.prune(&Request { limits, ..Request::default() }), [""; 0]);
    assert_eq!(place.prune(&Request::default()), [top(&base), top(&other)]);
    assert_eq!((place.usage().total(), place.results()), (0, 0));
    let keys: i64 = place.store.db().read(|db| db.query_row("SELECT count(*) FROM key", [], |row| row.get(0))).unwrap();
    assert_eq!(keys, 0);
}

#[test]
fn images_with_a_name_stay() {
    let (place, [base, app, other]) = place();
    place.name(&base.layers[0]);
    write_blob(place.store.blobs(), &mut &b"nobody's"[..], None).unwrap();
    let usage = place.usage();
    assert!(usage.images > 0);
    let shared: Vec<_> = usage.records.iter().filter(|record| record.shared).map(|record| record.id.clone()).collect();
    assert_eq!(shared, [top(&base)]);
    let mut removed = place.prune(&Request::default());
    removed.sort();
    let mut expected = vec![top(&app), top(&other), Digest::sha256(b"nobody's").to_string()];
    expected.sort();
    assert_eq!(removed, expected);
    assert_eq!(place.prune(&Request { all: true, ..Request::default() }), [top(&base)]);
    assert_eq!(place.store.blobs().size(&Digest::sha256(b"layer")).unwrap(), Some(5));
    assert_eq!(place.usage().total(), place.usage().images);
}

#[test]
fn limits_are_about_what_can_go() {
    let (place, [base, app, other]) = place();
    place.name(&base.layers[0]);
    let Usage { records, .. } = place.usage();
    let size = |tree: &Committed| records.iter().find(|record| record.id == top(tree)).unwrap().size;
    let limited = |max_used| Request { limits: Limits { max_used, ..Limits::default() }, ..Request::default() };
    assert_eq!(place.prune(&limited(size(&app) + size(&other))), [""; 0]);
    assert_eq!(place.prune(&limited(size(&other))), [top(&app)]);
    let all = Request { all: true, ..limited(size(&other)) };
    assert_eq!(place.prune(&all), [top(&base)]);
}

#[test]
fn filters_and_times() {
    let (place, [base, app, _]) = place();
    let request = |filter: &str| Request { filters: vec![Filter::parse(filter).unwrap()], ..Request::default() };
    assert_eq!(place.prune(&request("type=exec.cachemount")), [""; 0]);
    let young = Request { keep_duration: Duration::from_secs(3600), ..Request::default() };
    assert_eq!(place.prune(&young), [""; 0]);
    assert_eq!(place.prune(&request("mutable")), [""; 0]);
    assert_eq!(place.prune(&request("colour==red")), [""; 0]);
    assert_eq!(place.prune(&request(&format!("parents=={}", top(&base)))), [top(&app)]);
    assert_eq!(place.prune(&request(&format!("id={}", top(&base)))), [top(&base)]);
}

#[test]
fn cache_mounts_and_repositories() {
    let (place, _) = place();
    let make = |path: &str| {
        let path = place.store.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    };
    make("cache-mounts-v1/abc/0/content/file");
    make("cache-mounts-v1/abc/0/lock");
    make("git-v1/def/llbc.lock");
    let kinds: BTreeMap<_, _> = place.usage().records.into_iter().map(|record| (record.id, record.kind)).collect();
    assert_eq!((kinds["abc/0"], kinds["git-v1/def"]), (Kind::CacheMount, Kind::Git));
    place.prune(&Request::default());
    assert!(!place.store.root().join("cache-mounts-v1/abc/0").exists());
    assert!(!place.store.root().join("git-v1/def").exists());
}

#[test]
fn a_build_keeps_to_the_policy_when_nobody_else_builds() {
    let (place, _) = place();
    let nothing = Policy::new(Amount::Bytes(1), Amount::Bytes(0), Amount::Bytes(0));
    let collect = || collect(&place.store, &place.snapshots, &nothing).unwrap().len();
    let build = place.store.in_use(&Cancel::default()).unwrap();
    assert_eq!(collect(), 0);
    drop(build);
    assert_eq!(collect(), 3);
    // And not again so soon, unless the clock was set back since: nobody waits until it is there again.
    assert_eq!(collect(), 0);
    let ahead = SystemTime::now() + Duration::from_secs(1 << 20);
    place.looked_at(ahead);
    collect();
    assert!(fs::metadata(place.store.root().join(LOOKED)).unwrap().modified().unwrap() < ahead);
}

#[test]
fn a_store_on_a_disk_that_is_short_of_space_is_looked_at_more_often() {
    let (place, _) = place();
    let plenty = Policy::new(Amount::Percent(75), Amount::Bytes(0), Amount::Bytes(0));
    let short = Policy::new(Amount::Percent(75), Amount::Bytes(0), Amount::Percent(100));
    let is_due = || [&plenty, &short].map(|policy| is_due(place.store.root(), policy).unwrap());
    assert_eq!(is_due(), [true, true], "never looked at");
    for (age, due) in [(0, [false, false]), (120, [false, true]), (7200, [true, true])] {
        place.looked_at(SystemTime::now() - Duration::from_secs(age));
        assert_eq!(is_due(), due, "{age} seconds ago");
    }
    // What was built since may have used what was free.
    let free = policy::free(place.store.root()).unwrap();
    for (was_free, due) in [(free / 2, false), (free * 2, true)] {
        fs::write(place.store.root().join(LOOKED), was_free.to_string()).unwrap();
        assert_eq!(is_due(), [false, due], "{was_free} bytes were free, and {free} are");
    }
    fs::remove_file(place.store.root().join(LOOKED)).unwrap();
    collect(&place.store, &place.snapshots, &short).unwrap();
    assert_eq!(is_due(), [false, false], "just looked at");
}
