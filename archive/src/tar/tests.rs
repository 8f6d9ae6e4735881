//! Entries as different programs write them.

use super::*;

const GNU: &[u8] = b"ustar  \0";
const USTAR: &[u8] = b"ustar\x0000";

/// A header with fields at their places, and its sum.
fn block(kind: u8, size: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = [0; BLOCK];
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    for (at, value) in fields {
        block[*at..at + value.len()].copy_from_slice(value);
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.to_vec()
}

fn entry(kind: u8, data: &[u8], fields: &[(usize, &[u8])]) -> Vec<u8> {
    let padding = data.len().wrapping_neg() % BLOCK;
    [block(kind, data.len(), fields), data.to_vec(), vec![0; padding]].concat()
}

/// Records before an entry.
fn records(records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = format!(" {key}={value}\n");
        let length =
            (1..5).map(|digits| digits + rest.len()).find(|length| length.to_string().len() + rest.len() == *length);
        format!("{}{rest}", length.unwrap())
    };
    entry(b'x', records.iter().map(record).collect::<String>().as_bytes(), &[(0, b"records")])
}

/// All entries with their bytes.
fn read(tar: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let mut entries = Entries::new(tar);
    let mut all = Vec::new();
    while let Some(entry) = entries.next()? {
        let mut data = Vec::new();
        entries.read_to_end(&mut data)?;
        all.push((entry, data));
    }
    Ok(all)
}

fn one(tar: &[u8]) -> (Entry, Vec<u8>) {
    read(tar).unwrap().pop().unwrap()
}

#[test]
fn old_headers_have_directories_by_their_names() {
    let kind = |name: &[u8]| one(&entry(0, b"", &[(0, name)])).0.kind;
    assert_eq!((kind(b"d/"), kind(b"f")), (b'5', b'0'));
}

#[test]
fn fields_that_are_blank_are_zero() {
    let (entry, _) = one(&entry(b'0', b"", &[(0, b"f"), (108, b"        "), (136, b"\0\0")]));
    assert_eq!((entry.uid, entry.modified), (0, (0, 0)));
}

#[test]
fn prefixes_are_those_of_one_format() {
    let name = |magic: &[u8]| one(&entry(b'0', b"", &[(0, b"f"), (257, magic), (345, b"dir")])).0.name;
    assert_eq!((name(USTAR), name(GNU), name(b"")), (b"dir/f".to_vec(), b"f".to_vec(), b"f".to_vec()));
}

#[test]
fn of_extended_headers_the_last_counts() {
    let tar = [records(&[("path", "a"), ("uid", "5")]), records(&[("path", "b")]), entry(b'0', b"x", &[])].concat();
    let (entry, data) = one(&tar);
    assert_eq!((&entry.name[..], entry.uid, &data[..]), (&b"b"[..], 0, &b"x"[..]));
    let attributes = [("SCHILY.xattr.user.a", "1"), ("SCHILY.xattr.user.b", "")];
    let (entry, _) = one(&[records(&attributes), self::entry(b'0', b"", &[])].concat());
    assert_eq!(
        entry.attributes,
        BTreeMap::from([(b"user.a".to_vec(), b"1".to_vec()), (b"user.b".to_vec(), Vec::new())])
    );
    assert!(read(&[records(&[("atime", "x")]), self::entry(b'0', b"", &[])].concat()).is_err());
}

#[test]
fn what_is_said_of_all_is_an_entry_that_changes_none() {
    let mut all = records(&[("path", "a")]);
    all = [all, entry(b'g', b"9 path=b\n", &[(0, b"g")]), entry(b'0', b"", &[(0, b"f")])].concat();
    let kinds: Vec<_> = read(&all).unwrap().into_iter().map(|(entry, _)| (entry.kind, entry.name)).collect();
    assert_eq!(kinds, [(b'g', b"g".to_vec()), (b'0', b"f".to_vec())]);
}

#[test]
fn long_names_count_before_records() {
    let long = entry(b'L', b"long\0", &[]);
    let link = entry(b'K', b"target\0", &[]);
    let (entry, _) = one(&[long, link, records(&[("path", "a"), ("linkpath", "b")]), entry(b'2', b"", &[])].concat());
    assert_eq!((&entry.name[..], &entry.link[..]), (&b"long"[..], &b"target"[..]));
}

#[test]
fn the_sum_may_be_of_signed_bytes() {
    let mut block = block(b'0', 0, &[(0, b"\xff")]);
    let sum: i64 = (0..BLOCK).map(|at| if (148..156).contains(&at) { 32 } else { i64::from(block[at] as i8) }).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    assert_eq!(one(&block).0.name, b"\xff");
    block[148] ^= 1;
    assert!(read(&block).is_err());
}

/// A file of eight bytes, of which two are in the tar, whichever way its map is written.
#[test]
fn sparse_files_have_their_zeros() {
    let size = ("GNU.sparse.size", "8");
    let (count, map) = (("GNU.sparse.numblocks", "2"), ("GNU.sparse.map", "2,2,8,0"));
    let places = [size, ("GNU.sparse.numblocks", "1"), ("GNU.sparse.offset", "2"), ("GNU.sparse.numbytes", "2")];
    let before =
        [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "8"), ("GNU.sparse.name", "f")];
    let mut map_before = b"2\n2\n2\n8\n0\n".to_vec();
    map_before.resize(BLOCK, 0);
    map_before.extend(b"xy");
    let old: &[(usize, &[u8])] = &[
        (0, b"f"),
        (257, GNU),
        (386, b"00000000002\x0000000000002\0"),
        (410, b"00000000010\x0000000000000\0"),
        (483, b"00000000010\0"),
    ];
    for (form, tar) in [
        ("0.0", [records(&places), entry(b'0', b"xy", &[(0, b"f")])].concat()),
        ("0.1", [records(&[size, count, map]), entry(b'0', b"xy", &[(0, b"f")])].concat()),
        ("1.0", [records(&before), entry(b'0', &map_before, &[(0, b"GNUSparseFile.1/f")])].concat()),
        ("old", entry(b'S', b"xy", old)),
    ] {
        let (entry, data) = one(&tar);
        assert_eq!((&entry.name[..], entry.size, &data[..]), (&b"f"[..], 8, &b"\0\0xy\0\0\0\0"[..]), "{form}");
    }
}

#[test]
fn maps_that_are_wrong_are_errors() {
    for (size, count, map) in [
        ("8", "1", "2,7"),
        ("8", "2", "4,1,2,1"),
        ("8", "1", "2,2,3,1"),
        ("8", "1", "2"),
        ("-8", "1", "0,1"),
        ("8", "1", "2,3"),
    ] {
        let map = [("GNU.sparse.size", size), ("GNU.sparse.numblocks", count), ("GNU.sparse.map", map)];
        assert!(read(&[records(&map), entry(b'0', b"xy", &[(0, b"f")])].concat()).is_err(), "{map:?}");
    }
}

#[test]
fn files_that_are_cut_are_errors() {
    let tar = entry(b'0', b"abc", &[(0, b"f")]);
    assert_eq!(one(&tar[..BLOCK + 3]).1, b"abc");
    assert_eq!(read(&tar[..BLOCK + 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
