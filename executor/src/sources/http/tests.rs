//! Downloads from a scripted server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::*;
use crate::registry::tests::server::{Asked, Reply, Server};
use crate::registry::{Asking, Client, Config, Patience};
use crate::session::Secret;
use crate::sources::signature::tests::Keys;
use crate::sources::tests::Place;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn source(server: &Server, path: &str, attrs: &[(&str, &str)]) -> llb::Source {
    let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    llb::Source { identifier: format!("http://{}{path}", server.host), attrs }
}

/// Key, and what is there: `name mode mtime content`.
fn build(place: &Place, source: &llb::Source) -> Result<(String, String)> {
    place.with(|context| {
        let pinned = HttpSource.pin(source, &Platform::new("linux", "amd64"), context)?;
        let Some(Key::Stable(key)) = pinned.key(0, context)? else { panic!("no key") };
        assert_eq!(pinned.key(1, context)?, None);
        let tree = pinned.fetch(context)?;
        let dir = context.snapshots.layer(&tree.layers[0])?;
        let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [path] = &files[..] else { panic!("{files:?}") };
        let metadata = fs::metadata(path).unwrap();
        let (name, content) = (path.file_name().unwrap().display(), fs::read_to_string(path).unwrap());
        Ok((key, format!("{name} {:o} {} {content}", metadata.mode() & 0o7777, metadata.mtime())))
    })
}

/// A server with a tag and a date.
fn tagged(asked: &Asked) -> Reply {
    if asked.header("if-none-match") == "\"1\"" {
        return Reply::Full(304, vec![], vec![]);
    }
    Reply::Full(200, vec![("ETag", "W/\"1\"".into()), ("Last-Modified", DATE.into())], b"hello".to_vec())
}

#[test]
fn a_file_is_downloaded_once() {
    let server = Server::start(tagged);
    let place = Place::new();
    let source = source(&server, "/dir/file.txt?q", &[]);
    let (key, file) = build(&place, &source).unwrap();
    assert_eq!(file, "file.txt 600 784111777 hello");
    let digest = Digest::sha256(b"hello");
    let parts =
        format!(r#"{{"Filename":"file.txt","Perm":0,"UID":0,"GID":0,"Checksum":"{digest}","LastModTime":"{DATE}"}}"#);
    assert_eq!(key, Digest::sha256(parts.as_bytes()).to_string());
    assert_eq!(build(&place, &source).unwrap(), (key, file));
    let tags: Vec<_> = server.asked().iter().map(|asked| asked.header("if-none-match").to_owned()).collect();
    assert_eq!(tags, ["", "\"1\""]);
    place.with(|context| assert_eq!(meta(&source, context).unwrap().time(), Some(784_111_777)));
}

/// Without a time of the server's, an archive has that of its newest file.
#[test]
fn the_time_of_an_archive() {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, time) in [("a", 1_700_000_100), ("b", 1_700_000_200), ("c", 1_700_000_000)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mtime(time);
        archive.append_data(&mut header, name, &b"x"[..]).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let zstd = zstd::encode_all(&archive[..], 19).unwrap();
    let cut = zstd[..zstd.len() / 2].to_vec();
    let dated = vec![("Last-Modified", DATE.to_owned())];
    let place = Place::new();
    for (headers, body, expected) in [
        (vec![], archive.clone(), Some(1_700_000_200)),
        (vec![], zstd, Some(1_700_000_200)),
        (vec![], cut, None),
        (vec![], b"hello".to_vec(), None),
        (dated, archive, Some(784_111_777)),
    ] {
        let server = Server::start(move |_| Reply::Full(200, headers.clone(), body.clone()));
        let source = source(&server, "/a.tar", &[]);
        place.with(|context| assert_eq!(crate::sources::time(&source, context).unwrap(), expected));
    }
}

#[test]
fn a_server_that_ignores_the_question() {
    let server = Server::start(|_| Reply::Full(200, vec![("ETag", "\"1\"".into())], b"hello".to_vec()));
    let place = Place::new();
    let source = source(&server, "/f", &[]);
    assert_eq!(build(&place, &source).unwrap(), build(&place, &source).unwrap());
    assert_eq!(build(&place, &source).unwrap().1, "f 600 0 hello");
}

#[test]
fn a_file_that_changes() {
    let server = Server::start(|asked| {
        let text = if asked.number == 0 { "old" } else { "new" };
        Reply::Full(200, vec![("ETag", format!("\"{text}\""))], text.into())
    });
    let place = Place::new();
    let source = source(&server, "/f", &[]);
    let (old, _) = build(&place, &source).unwrap();
    let (new, file) = build(&place, &source).unwrap();
    assert_ne!(old, new);
    assert_eq!(file, "f 600 0 new");
}

#[test]
fn a_file_that_changes_during_a_build() {
    let server = Server::start(|asked| {
        let text = if asked.number == 0 { "old" } else { "new" };
        Reply::Full(200, vec![("ETag", format!("\"{text}\""))], text.into())
    });
    let place = Place::new();
    let source = source(&server, "/f", &[]);
    place.with(|context| {
        let Meta::File { digest, .. } = meta(&source, context).unwrap() else { panic!("it is a file") };
        assert_eq!(digest, Digest::sha256(b"old"));
        let pinned = HttpSource.pin(&source, &Platform::new("linux", "amd64"), context).unwrap();
        let layer = context.snapshots.layer(&pinned.fetch(context).unwrap().layers[0]).unwrap();
        assert_eq!(fs::read_to_string(layer.join("f")).unwrap(), "old", "what was looked at is what is built");
    });
    assert_eq!(build(&place, &source).unwrap().1, "f 600 0 new");
}

#[test]
fn with_a_checksum_nobody_is_asked_twice() {
    let server = Server::start(tagged);
    let place = Place::new();
    let digest = Digest::sha256(b"hello").to_string();
    let source =
        source(&server, "/f", &[("http.checksum", &digest), ("http.perm", "0o755"), ("http.filename", "a/named")]);
    let (key, file) = build(&place, &source).unwrap();
    assert_eq!(file, "named 755 784111777 hello");
    let parts = format!(r#"{{"Filename":"named","Perm":493,"UID":0,"GID":0,"Checksum":"{digest}"}}"#);
    assert_eq!(key, Digest::sha256(parts.as_bytes()).to_string());
    build(&place, &source).unwrap();
    assert_eq!(server.log().len(), 1);
}

#[test]
fn failures() {
    let check = |reply: Reply, attrs: &[(&str, &str)], expected: &str| {
        let server = Server::start(move |_| reply.clone());
        let error = build(&Place::new(), &source(&server, "/f?secret", attrs)).unwrap_err().to_string();
        assert!(error.replace(&server.host, "HOST").starts_with(expected), "{error}");
    };
    check(Reply::status(404), &[], "http://HOST/f: invalid response status 404");
    let nowhere = "http://HOST/f: invalid response status 302: a redirect that does not say where to";
    check(Reply::Full(302, vec![], b"moved".to_vec()), &[], nowhere);
    let part = "http://HOST/f: invalid response status 206: a part of the file, where all of it was asked for";
    check(Reply::Full(206, vec![("Content-Range", "bytes 0-2/9".into())], b"abc".to_vec()), &[], part);
    check(Reply::Full(304, vec![], vec![]), &[], "http://HOST/f?secret: invalid not-modified ETag: ");
    let other = Digest::sha256(b"other");
    let mismatch = format!("http://HOST/f?secret: digest mismatch {other}: {}", Digest::sha256(b"hello"));
    check(Reply::ok("hello"), &[("http.checksum", other.as_str())], &mismatch);
    check(Reply::ok("hello"), &[("http.checksum", "x")], "invalid checksum digest format");
    check(Reply::ok("hello"), &[("http.perm", "rw")], "http.perm: \"rw\" is no number");
    let both = "http signature verification requires both pubkey and signature";
    check(Reply::ok("hello"), &[("http.sig.pubkey", "k")], both);
    check(Reply::ok("hello"), &[("http.sig.signature", "s")], both);
    check(Reply::ok("hello"), &[("http.sig.other", "x")], "http.sig.other: no such rule for signatures is known");
    check(
        Reply::ok("hello"),
        &[("http.authheadersecret", "s")],
        "failed to retrieve HTTP auth secret s: secret s: not found",
    );
    check(Reply::Truncated(100, b"hello".to_vec()), &[], "http://HOST/f?secret: broke off after 5 of 100 bytes: ");
}

/// A server of a file that ends its answers before the file does, `length` bytes further each time.
fn breaking(
    file: &'static [u8],
    length: usize,
    headers: &[(&'static str, &'static str)],
    knows_ranges: bool,
) -> Server {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Server::start(move |asked| {
        let start =
            asked.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
        let validator = asked.header("if-range");
        let is_same =
            headers.iter().any(|(name, value)| ["ETag", "Last-Modified"].contains(name) && value == validator);
        let start = start.filter(|_| knows_ranges && is_same);
        let end = match knows_ranges {
            true => start.unwrap_or(0) + length,
            false => (asked.number + 1) * length,
        };
        let rest = &file[start.unwrap_or(0)..];
        let sent = &rest[..rest.len().min(end - start.unwrap_or(0))];
        let mut head = String::from("HTTP/1.1 200 OK\r\n");
        if let Some(start) = start {
            let (last, whole) = (file.len() - 1, file.len());
            head = format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{last}/{whole}\r\n");
        }
        for (name, value) in &headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", rest.len());
        Reply::Cut([head.as_bytes(), sent].concat())
    })
}

#[test]
fn what_breaks_off_goes_on() {
    let check = |headers: &[(&'static str, &'static str)], knows_ranges: bool, expected: &[&str]| {
        let server = breaking(b"hello, world", 5, headers, knows_ranges);
        let (_, built) = build(&Place::new(), &source(&server, "/f", &[])).unwrap();
        assert!(built.starts_with("f 600 ") && built.ends_with(" hello, world"), "{headers:?}: {built}");
        let ranges: Vec<_> = server.asked().iter().map(|asked| asked.header("range").to_owned()).collect();
        assert_eq!(ranges, expected, "{headers:?}");
    };
    let tag = ("ETag", "\"1\"");
    check(&[tag], true, &["", "bytes=5-", "bytes=10-"]);
    check(&[("Last-Modified", DATE), ("Date", "Sun, 06 Nov 1994 08:59:37 GMT")], true, &["", "bytes=5-", "bytes=10-"]);
    // What may have changed meanwhile is sent anew, and so it is by who knows no ranges.
    check(&[tag], false, &["", "bytes=5-", "bytes=10-"]);
    check(&[("ETag", "W/\"1\"")], false, &["", "", ""]);
    check(&[("Last-Modified", DATE), ("Date", "Sun, 06 Nov 1994 08:49:40 GMT")], false, &["", "", ""]);
    check(&[], false, &["", "", ""]);
}

#[test]
fn what_breaks_off_for_ever_is_given_up() {
    let server = breaking(b"hello, world", 0, &[], true);
    let error = build(&Place::new(), &source(&server, "/f", &[])).unwrap_err().to_string();
    assert!(error.contains("/f: broke off after 0 of 12 bytes: "), "{error}");
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn what_breaks_off_and_changes_is_another_file() {
    let server = Server::start(|asked| match asked.number {
        0 => Reply::Cut(b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 9\r\n\r\nold".to_vec()),
        1 => Reply::Full(206, vec![("Content-Range", "bytes 0-3/4".into())], b"part".to_vec()),
        _ => Reply::Full(200, vec![("ETag", "\"2\"".into())], b"new".to_vec()),
    });
    let place = Place::new();
    assert_eq!(build(&place, &source(&server, "/f", &[])).unwrap().1, "f 600 0 new");
    let ranges: Vec<_> = server.asked().iter().map(|asked| asked.header("if-range").to_owned()).collect();
    assert_eq!(ranges, ["", "\"1\"", ""]);
    build(&place, &source(&server, "/f", &[])).unwrap();
    assert_eq!(server.asked()[3].header("if-none-match"), "\"2\"", "what is remembered is of the whole file");
}

#[test]
fn a_server_that_falls_silent() {
    let check = |start: &str, expected: &str| {
        let start = start.as_bytes().to_vec();
        let server = Server::start(move |_| Reply::Silence(start.clone()));
        let mut place = Place::new();
        let patience = Patience { silence: Duration::from_millis(100), ..Patience::default() };
        let config = Config { patience, asking: Asking::Once, ..Config::default() };
        place.session.registries = Client::new(config);
        let error = build(&place, &source(&server, "/f", &[])).unwrap_err().to_string();
        assert_eq!(error.replace(&server.host, "HOST"), expected);
    };
    let unsaid = "http://HOST/f: GET http://HOST/f: the server has not answered, and said nothing for 100ms";
    check("", unsaid);
    check("HTTP/1.1 200 OK\r\nContent-", unsaid);
    let stopped = "http://HOST/f: broke off after 3 of 9 bytes: the server is there, and sends nothing any more";
    check("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", stopped);
}

#[test]
fn signatures() {
    let keys = Keys::new();
    keys.make("Me", "ed25519");
    keys.make("Other", "ed25519");
    let (me, other) = (keys.public(&["Me"]), keys.public(&["Other"]));
    let (right, wrong) = (keys.sign("Me", b"hello"), keys.sign("Me", b"other"));
    let digest = Digest::sha256(b"hello").to_string();
    let server = Server::start(tagged);
    let signed = |key: &str, signature: &str, attrs: &[(&str, &str)]| {
        let attrs = [&[("http.sig.pubkey", key), ("http.sig.signature", signature)], attrs].concat();
        source(&server, "/f", &attrs)
    };
    let failed = "/f: failed to verify pgp signature: ";
    let place = Place::new();
    let check = |source: &llb::Source, expected: &str| {
        let error = build(&place, source).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert_eq!(place.with(|context| meta(source, context)).unwrap_err().to_string(), error);
    };
    // What arrives is not kept for those who ask for a signature, nor is what was there before.
    for _ in 0..2 {
        check(&signed(&other, &right, &[]), failed);
        check(&signed(&me, &wrong, &[]), failed);
        check(&signed("", "", &[]), failed);
        check(&signed(&me, &wrong, &[("http.checksum", &digest)]), failed);
        let plain = build(&place, &source(&server, "/f", &[])).unwrap();
        assert_eq!(build(&place, &signed(&me, &right, &[])).unwrap(), plain, "the key does not tell");
        let pinned = build(&place, &signed(&me, &right, &[("http.checksum", &digest)])).unwrap();
        assert_eq!(pinned, plain, "it has the time of the file, which one with a checksum alone has not");
    }
    let other = Digest::sha256(b"other").to_string();
    check(&signed(&me, &right, &[("http.checksum", &other)]), &format!("digest mismatch {other}: {digest}"));
}

#[test]
fn headers_and_secrets() {
    let elsewhere = Server::start(|_| Reply::ok("there"));
    let target = format!("http://{}/g", elsewhere.host);
    let server = Server::start(move |_| Reply::Full(302, vec![("Location", target.clone())], vec![]));
    let mut place = Place::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "token\n").unwrap();
    place.session.secrets.insert("HTTP_AUTH_TOKEN_127.0.0.1".into(), Secret::File(file.path().into()));
    let attrs = [("http.header.accept", "text/x"), ("http.header.cookie", "no")];
    assert_eq!(build(&place, &source(&server, "/f", &attrs)).unwrap().1, "f 600 0 there");
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.header("authorization"), asked.header("accept"), asked.header("cookie")),
        ("Bearer token", "text/x", "")
    );
    assert_eq!(elsewhere.asked()[0].header("authorization"), "", "a secret stays with its host");
}

/// What a server is asked for a file at `address`, whose `HOST` is its own, and what is in the file's place.
fn asked(
    address: &str,
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Vec<Asked>, Result<(String, String)>) {
    let server = Server::start(answer);
    let source = llb::Source { identifier: address.replace("HOST", &server.host), ..llb::Source::default() };
    let built = build(&Place::new(), &source);
    (server.asked(), built)
}

#[test]
fn addresses_are_sent_as_requests_can_hold_them() {
    let check = |address: &str, target: &str, name: &str| {
        let (asked, built) = asked(address, |_| Reply::ok("x"));
        assert_eq!(built.unwrap().1, format!("{name} 600 0 x"));
        assert_eq!(asked[0].target, target);
    };
    check("http://HOST/c d", "/c%20d", "c d");
    check("http://HOST/a/grüße?q=ü#f", "/a/gr%C3%BC%C3%9Fe?q=%C3%BC", "grüße");
    check("http://HOST/\"<>^{|}`", "/%22%3C%3E%5E%7B%7C%7D%60", "\"<>^{|}`");
    let (requests, built) = asked("http://HOST/%zz", |_| Reply::ok("x"));
    assert_eq!(requests.len(), 0);
    let error = built.unwrap_err().to_string();
    assert!(error.ends_with("/%zz\": invalid URL escape \"%zz\""), "{error}");
}

#[test]
fn redirects_are_sent_as_requests_can_hold_them() {
    let check = |location: &'static str, expected: &str| {
        let (requests, built) = asked("http://HOST/a", move |asked| match asked.number {
            0 => Reply::Full(302, vec![("Location", location.to_owned())], vec![]),
            _ => Reply::ok("x"),
        });
        match built {
            Ok(_) => assert_eq!(requests[1].target, expected),
            Err(error) => assert!(error.to_string().ends_with(expected), "{error}"),
        }
    };
    check("/x y", "/x%20y");
    check("grün", "/gr%C3%BCn");
    check("/%zz", "failed to parse Location header \"/%zz\": invalid URL escape \"%zz\"");
}

#[test]
fn a_password_in_an_address_is_sent_and_not_shown() {
    let (requests, built) = asked("http://u:p%40w@HOST/f", |asked| match asked.number {
        0 => Reply::Full(302, vec![("Location", "/g".into())], vec![]),
        _ => Reply::ok("x"),
    });
    built.unwrap();
    for request in requests {
        assert_eq!(request.header("authorization"), "Basic dTpwQHc=", "u:p@w, also where the server sends us on");
    }
    let other = Digest::sha256(b"other").to_string();
    for (path, status, checksum) in
        [("/f", 404, None), ("/f", 304, None), ("/f", 400, None), ("/f", 200, Some(other)), ("/%zz", 200, None)]
    {
        let server = Server::start(move |_| Reply::status(status));
        let attrs = checksum.iter().map(|checksum| ("http.checksum", checksum.as_str())).collect();
        let identifier = format!("http://u:p%40w@{}{path}", server.host);
        let error = build(&Place::new(), &llb::Source { identifier, attrs }).unwrap_err().to_string();
        assert!(error.contains(&format!("http://u:xxxxx@{}", server.host)) && !error.contains("p%40w"), "{error}");
    }
}
