//! A registry is not trusted, and its network neither.

use std::io::Read;

use oci::{Descriptor, Digest, media};

use super::server::{Asked, Reply, Server};
use super::{client, image, reference};
use crate::registry::credentials::Place;
use crate::registry::hosts::{Host, Hosts};
use crate::registry::{Asking, Client, Config};
use crate::store::{Blobs, MemoryBlobs};
use crate::{Cancel, Error};

fn app(server: &Server) -> oci::Reference {
    reference(&format!("{}/app:1", server.host))
}

/// The message of fetching `app:1`'s manifest from a server.
fn manifest_error(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (String, Server) {
    let server = Server::start(handler);
    let error = client().manifest(&app(&server), &Cancel::default()).unwrap_err().to_string();
    (error.replace(&server.host, "HOST"), server)
}

/// Downloads a blob of these bytes.
fn download(server: &Server, bytes: &[u8]) -> crate::Result<()> {
    let blobs = MemoryBlobs::default();
    let descriptor = Descriptor::of(media::OCI_LAYER, bytes);
    client().download(&app(server), &descriptor, &blobs, &Cancel::default())?;
    assert_eq!(blobs.size(&descriptor.digest).unwrap(), Some(bytes.len() as u64));
    Ok(())
}

#[test]
fn missing() {
    let (error, server) = manifest_error(|_| Reply::status(404));
    assert_eq!(error, "HOST/app:1: not found");
    assert_eq!(server.log(), ["GET /v2/app/manifests/1"]);
}

#[test]
fn a_server_that_recovers() {
    let (manifest, ..) = image(b"layer");
    let bytes = manifest.clone();
    let server = Server::start(move |asked| match asked.number {
        0 => Reply::status(503),
        1 => Reply::Nothing,
        2 => Reply::Truncated(bytes.len() as u64, bytes[..5].to_vec()),
        _ => Reply::ok(bytes.clone()),
    });
    let fetched = client().manifest(&app(&server), &Cancel::default()).unwrap();
    assert_eq!(fetched.bytes, manifest);
    assert_eq!(fetched.descriptor, Descriptor::of(media::OCI_MANIFEST, &manifest));
}

#[test]
fn a_server_that_does_not_recover() {
    let (error, server) =
        manifest_error(|_| Reply::Full(500, vec![], br#"{"errors":[{"code":"UNKNOWN","message":"boom"}]}"#.to_vec()));
    assert_eq!(
        error,
        "HOST/app:1: unexpected status from GET http://HOST/v2/app/manifests/1: 500 Internal Server Error: UNKNOWN: boom"
    );
    assert_eq!(server.log().len(), 5);
}

#[test]
fn who_asks_once_asks_once() {
    let server = Server::start(|_| Reply::status(500));
    let client = Client::new(Config { asking: Asking::Once, ..Config::default() });
    assert!(client.manifest(&app(&server), &Cancel::default()).is_err());
    assert_eq!(server.log().len(), 1);
}

#[test]
fn too_many_requests_are_not_repeated() {
    let (error, server) = manifest_error(|_| Reply::status(429));
    assert!(error.contains("429 Too Many Requests"), "{error}");
    assert_eq!(server.log().len(), 1);
}

#[test]
fn manifests_are_bounded() {
    let (error, _) = manifest_error(|_| Reply::Endless);
    assert_eq!(error, "HOST/app:1: manifest is longer than 4194304 bytes");
}

#[test]
fn manifests_that_are_none() {
    let (error, _) = manifest_error(|_| Reply::ok("<html>"));
    assert!(error.starts_with("HOST/app:1: malformed manifest: "), "{error}");
    let (error, _) = manifest_error(|_| Reply::ok(r#"{"schemaVersion": 1, "fsLayers": []}"#));
    assert!(error.contains("schema 1 has been removed"), "{error}");
}

#[test]
fn a_manifest_with_another_digest() {
    let server = Server::start(|_| Reply::ok(image(b"other").0));
    let wanted = app(&server).with_digest(Digest::sha256(&image(b"layer").0));
    let error = client().manifest(&wanted, &Cancel::default()).unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
}

#[test]
fn a_blob_with_another_digest() {
    let server = Server::start(|_| Reply::ok("other"));
    let error = download(&server, b"layer").unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
}

#[test]
fn a_blob_of_another_size() {
    let server = Server::start(|_| Reply::ok("layer and more"));
    let error = download(&server, b"layer").unwrap_err().to_string();
    assert!(error.contains("has 5 bytes, but the registry sends 14"), "{error}");
    let server = Server::start(|_| Reply::Endless);
    let error = download(&server, &[b'x'; 100]).unwrap_err().to_string();
    assert!(error.contains("sends more than 100 bytes"), "{error}");
}

#[test]
fn a_blob_is_resumed_where_it_broke_off() {
    let blob: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let bytes = blob.clone();
    let server = Server::start(move |asked| {
        let start = asked.header("range").trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
        let rest = &bytes[start..];
        match asked.number {
            0 => Reply::Truncated(rest.len() as u64, rest[..1000].to_vec()),
            // Broken before it sent a byte.
            1 => Reply::Nothing,
            _ => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::Full(206, vec![("Content-Range", range)], rest.to_vec())
            }
        }
    });
    download(&server, &blob).unwrap();
    let ranges: Vec<_> = server.asked().iter().map(|asked| asked.header("range").to_owned()).collect();
    assert_eq!(ranges, ["", "bytes=1000-", "bytes=1000-"]);
}

#[test]
fn a_blob_is_resumed_from_a_server_without_ranges() {
    let blob = vec![7; 50_000];
    let bytes = blob.clone();
    let server = Server::start(move |asked| match asked.number {
        0 => Reply::Truncated(50_000, bytes[..1000].to_vec()),
        _ => Reply::ok(bytes.clone()),
    });
    download(&server, &blob).unwrap();
}

#[test]
fn a_blob_that_always_breaks_off() {
    let server = Server::start(|_| Reply::Truncated(10, vec![]));
    let error = download(&server, b"0123456789").unwrap_err().to_string();
    assert!(error.contains("broke off at 0 of 10 bytes"), "{error}");
}

#[test]
fn a_cancelled_download_stops() {
    let server = Server::start(|_| Reply::ok("layer"));
    let cancel = Cancel::default();
    let mut reader = client().blob(&app(&server), &Descriptor::of(media::OCI_LAYER, b"layer"), &cancel).unwrap();
    cancel.cancel();
    let error = reader.read(&mut [0; 8]).unwrap_err().downcast::<Error>().unwrap();
    assert!(matches!(error, Error::Cancelled));
    assert!(matches!(client().head(&app(&server), &cancel), Err(Error::Cancelled)));
}

/// A client with a password for one host.
fn with_password(directory: &std::path::Path, host: &str) -> Client {
    with_entry(directory, host, r#"{"username": "me", "password": "secret"}"#)
}

/// A client with an entry of `config.json` for one host.
fn with_entry(directory: &std::path::Path, host: &str, entry: &str) -> Client {
    let file = directory.join("config.json");
    std::fs::write(&file, format!(r#"{{"auths": {{"{host}": {entry}}}}}"#)).unwrap();
    Client::new(Config { credentials: Place::file(file), ..Config::default() })
}

const BASIC: &str = "Basic bWU6c2VjcmV0";

#[test]
fn credentials_stay_with_their_host() {
    let elsewhere = Server::start(|_| Reply::ok("layer"));
    let target = format!("http://{}/blob", elsewhere.host);
    let server = Server::start(move |asked| match asked.header("authorization") {
        "" => Reply::Full(401, vec![("WWW-Authenticate", "Basic realm=x".into())], vec![]),
        _ => Reply::Full(307, vec![("Location", target.clone())], vec![]),
    });
    let directory = tempfile::tempdir().unwrap();
    let client = with_password(directory.path(), &server.host);
    let blobs = MemoryBlobs::default();
    client.download(&app(&server), &Descriptor::of(media::OCI_LAYER, b"layer"), &blobs, &Cancel::default()).unwrap();
    assert_eq!(server.asked()[1].header("authorization"), BASIC);
    assert_eq!(elsewhere.asked()[0].header("authorization"), "");
}

#[test]
fn a_host_that_is_redirected_to_gets_no_credentials_for_the_asking() {
    let elsewhere = Server::start(|_| Reply::Full(401, vec![("WWW-Authenticate", "Basic realm=x".into())], vec![]));
    let target = format!("http://{}/x", elsewhere.host);
    let server = Server::start(move |_| Reply::Full(302, vec![("Location", target.clone())], vec![]));
    let directory = tempfile::tempdir().unwrap();
    let client = with_password(directory.path(), &server.host);
    let error = client.manifest(&app(&server), &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("pull access denied"), "{error}");
    assert_eq!(elsewhere.asked().len(), 1);
    assert_eq!(elsewhere.asked()[0].header("authorization"), "");
}

#[test]
fn redirects_end() {
    let (error, server) = manifest_error(|asked| Reply::Full(302, vec![("Location", asked.target.clone())], vec![]));
    assert!(error.contains("more than 10 redirects"), "{error}");
    assert_eq!(server.log().len(), 11);
}

/// A registry with a token server that knows POST or only GET.
fn token_server(knows_post: bool) -> Server {
    let (manifest, ..) = image(b"layer");
    Server::start(move |asked| match (asked.method.as_str(), asked.target.split('?').next().unwrap_or_default()) {
        ("POST", "/token") if knows_post => Reply::ok(r#"{"access_token": "posted", "expires_in": 300}"#),
        ("POST", "/token") => Reply::status(404),
        ("GET", "/token") => Reply::ok(r#"{"token": "got"}"#),
        _ if asked.header("authorization").starts_with("Bearer ") => Reply::ok(manifest.clone()),
        _ => {
            let realm = format!(
                r#"Bearer realm="http://{}/token",service="svc",scope="repository:app:pull""#,
                asked.header("host")
            );
            Reply::Full(401, vec![("WWW-Authenticate", realm)], vec![])
        }
    })
}

#[test]
fn anonymous_tokens() {
    let server = token_server(true);
    let client = client();
    client.manifest(&app(&server), &Cancel::default()).unwrap();
    client.manifest(&app(&server), &Cancel::default()).unwrap();
    let token = "GET /token?service=svc&scope=repository%3Aapp%3Apull";
    assert_eq!(server.log(), ["GET /v2/app/manifests/1", token, "GET /v2/app/manifests/1", "GET /v2/app/manifests/1"]);
    assert_eq!(server.asked()[3].header("authorization"), "Bearer got");
}

#[test]
fn tokens_for_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let server = token_server(true);
    with_password(directory.path(), &server.host).manifest(&app(&server), &Cancel::default()).unwrap();
    let form = String::from_utf8(server.asked()[1].body.clone()).unwrap();
    assert_eq!(
        form,
        "service=svc&client_id=llbc&scope=repository%3Aapp%3Apull&grant_type=password&username=me&password=secret"
    );
    assert_eq!(server.asked()[2].header("authorization"), "Bearer posted");

    let server = token_server(false);
    with_password(directory.path(), &server.host).manifest(&app(&server), &Cancel::default()).unwrap();
    assert_eq!(server.asked()[2].header("authorization"), BASIC);
    assert_eq!(server.asked()[3].header("authorization"), "Bearer got");
}

#[test]
fn identity_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let check = |knows_post, entry: &str, asked: &str, shown: &str| {
        let server = token_server(knows_post);
        with_entry(directory.path(), &server.host, entry).manifest(&app(&server), &Cancel::default()).unwrap();
        let requests = server.asked();
        let post = requests.iter().find(|request| request.method == "POST").unwrap();
        let form = String::from_utf8(post.body.clone()).unwrap();
        assert!(form.ends_with("grant_type=refresh_token&refresh_token=t"), "{form}");
        let token = requests.iter().rfind(|request| request.target.starts_with("/token")).unwrap();
        assert_eq!((token.method.as_str(), token.header("authorization")), (asked, shown));
    };
    check(true, r#"{"identitytoken": "t"}"#, "POST", "");
    check(true, r#"{"password": "t"}"#, "POST", "");
    // "Basic" of ":t".
    check(false, r#"{"identitytoken": "t"}"#, "GET", "Basic OnQ=");
}

#[test]
fn an_identity_token_that_is_not_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|asked| {
        let realm = format!(r#"Bearer realm="http://{}/token""#, asked.header("host"));
        Reply::Full(401, vec![("WWW-Authenticate", realm)], vec![])
    });
    let client = with_entry(directory.path(), &server.host, r#"{"identitytoken": "t"}"#);
    let error = client.manifest(&app(&server), &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("server message: the identity token was not accepted; log in again"), "{error}");
}

#[test]
fn a_registry_token_is_shown_as_it_is_and_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = token_server(true);
    let client = with_entry(directory.path(), &server.host, r#"{"registrytoken": "t"}"#);
    for _ in 0..2 {
        client.manifest(&app(&server), &Cancel::default()).unwrap();
    }
    let shown: Vec<_> = server.asked().iter().map(|asked| asked.header("authorization").to_owned()).collect();
    assert_eq!(shown, ["", "Bearer t", "Bearer t"]);
}

#[test]
fn answers_of_token_servers() {
    let check = |answer: &'static str, expected: &str| {
        let (manifest, ..) = image(b"layer");
        let server = Server::start(move |asked| match asked.header("authorization") {
            _ if asked.target.starts_with("/token") => Reply::ok(answer),
            "Bearer good" => Reply::ok(manifest.clone()),
            _ => {
                let realm = format!(r#"Bearer realm="http://{}/token""#, asked.header("host"));
                Reply::Full(401, vec![("WWW-Authenticate", realm)], vec![])
            }
        });
        let said = client().manifest(&app(&server), &Cancel::default());
        let said = said.map_or_else(|error| error.to_string(), |_| "taken".to_owned());
        assert!(said.ends_with(expected), "{answer}: {said}");
    };
    check(r#"{"token": "good"}"#, "taken");
    check(r#"{"token": "bad", "access_token": "good"}"#, "taken");
    check(r#"{"token": "good", "access_token": ""}"#, "taken");
    check(r#"{"token": "good", "expires_in": -5}"#, "taken");
    check(r#"{"token": "good", "expires_in": 9223372036854775807}"#, "taken");
    check(r#"{"token": "good"} more"#, "taken");
    check(r#"{"token": "good", "expires_in": "300"}"#, "expected i64 at line 1 column 37");
    check(r#"{"token": ""}"#, "sent no token: neither token nor access_token");
    check("", "sent no token: an empty answer");
    check("<html>", "sent no token: expected value at line 1 column 1");
}

#[test]
fn a_token_that_is_never_good_enough() {
    let server = Server::start(|asked| match asked.target.starts_with("/token") {
        true => Reply::ok(r#"{"token": "bad"}"#),
        false => {
            let realm = format!(r#"Bearer realm="http://{}/token""#, asked.header("host"));
            let body = br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec();
            Reply::Full(401, vec![("WWW-Authenticate", realm)], body)
        }
    });
    let error = client().manifest(&app(&server), &Cancel::default()).unwrap_err().to_string();
    assert!(error.ends_with("pull access denied, repository does not exist or may require authorization: server message: DENIED: no: authorization failed"), "{error}");
    assert!(server.log().len() <= 6, "{:?}", server.log());
}

#[test]
fn mirrors_are_asked_first_and_passed_over() {
    let (manifest, ..) = image(b"layer");
    let broken = Server::start(|_| Reply::status(404));
    let bytes = manifest.clone();
    let mirror = Server::start(move |_| Reply::ok(bytes.clone()));
    let host = Host { mirrors: vec![broken.host.clone(), format!("{}/hub", mirror.host)], ..Host::default() };
    let hosts = Hosts { registries: [("docker.io".to_owned(), host)].into() };
    let client = Client::new(Config { hosts, ..Config::default() });
    assert_eq!(client.manifest(&reference("alpine"), &Cancel::default()).unwrap().bytes, manifest);
    assert_eq!(broken.log(), ["GET /v2/library/alpine/manifests/latest?ns=docker.io"]);
    assert_eq!(mirror.log(), ["GET /v2/hub/library/alpine/manifests/latest?ns=docker.io"]);
}

#[test]
fn a_head_without_digest_is_made_up_for() {
    let (manifest, ..) = image(b"layer");
    let digest = Digest::sha256(&manifest);
    let (bytes, known) = (manifest.clone(), digest.to_string());
    let server = Server::start(move |asked| match asked.target.as_str() {
        "/v2/app/manifests/1" => Reply::ok(bytes.clone()),
        _ => Reply::Full(
            200,
            vec![
                ("Docker-Content-Digest", known.clone()),
                ("Content-Type", format!("{}; charset=utf-8", media::OCI_MANIFEST)),
                ("Content-Length", "7".into()),
            ],
            vec![],
        ),
    });
    assert_eq!(client().head(&app(&server), &Cancel::default()).unwrap().digest, digest);
    let other = reference(&format!("{}/app:2", server.host));
    assert_eq!(client().head(&other, &Cancel::default()).unwrap(), Descriptor::new(media::OCI_MANIFEST, digest, 7));
    assert_eq!(server.log(), ["HEAD /v2/app/manifests/1", "GET /v2/app/manifests/1", "HEAD /v2/app/manifests/2"]);
}

#[test]
fn foreign_layers_come_from_their_address_without_credentials() {
    let elsewhere = Server::start(|_| Reply::ok("layer"));
    let server = Server::start(|_| Reply::status(404));
    let directory = tempfile::tempdir().unwrap();
    let client = with_password(directory.path(), &elsewhere.host);
    let mut descriptor = Descriptor::of(media::DOCKER_LAYER_FOREIGN_GZIP, b"layer");
    descriptor.urls = vec!["file:///etc/passwd".into(), format!("http://{}/layer", elsewhere.host)];
    client.download(&app(&server), &descriptor, &MemoryBlobs::default(), &Cancel::default()).unwrap();
    assert_eq!(elsewhere.asked()[0].header("authorization"), "");
}

#[test]
fn foreign_layers_are_not_fetched_from_where_a_registry_may_not_send_us() {
    let server = Server::start(|_| Reply::status(404));
    let mut descriptor = Descriptor::of(media::DOCKER_LAYER_FOREIGN_GZIP, b"layer");
    descriptor.urls = vec!["http://169.254.169.254/layer".into()];
    let error = client().download(&app(&server), &descriptor, &MemoryBlobs::default(), &Cancel::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("an address that only neighbours and cloud providers serve: refused"), "{error}");
}

/// A registry that reads no more than `half` of a layer's upload the first time, and answers with `broken`; `resumes` says
/// whether it knows how far it got.
fn breaking(resumes: bool, half: usize, broken: Reply) -> Server {
    Server::start_hasty("127.0.0.1:0", half, move |asked| {
        let uploads = |number: usize| vec![("Location", format!("/v2/app/blobs/uploads/{number}"))];
        match (asked.method.as_str(), asked.target.as_str()) {
            ("HEAD", _) => Reply::status(404),
            ("POST", _) => Reply::Full(202, uploads(asked.number), vec![]),
            ("GET", _) if resumes => {
                let range = ("Range", format!("0-{}", half - 1));
                Reply::Full(204, [uploads(99), vec![range]].concat(), vec![])
            }
            ("GET", _) => Reply::status(404),
            ("PUT", target) if target.contains("/manifests/") => Reply::status(201),
            // The config is one request; the layer breaks off at the first.
            ("PUT", _) if asked.body.len() > 1000 && asked.header("content-range").is_empty() && asked.number < 6 => {
                broken.clone()
            }
            _ => Reply::status(201),
        }
    })
}

/// Pushes an image with a layer. **Shape**: how it ended, and the requests that carried the layer.
fn push_layer(server: &Server, layer: &[u8]) -> (crate::Result<()>, Vec<Asked>) {
    push_layer_of(server, layer, &[])
}

/// Pushes an image with a layer that these repositories are said to have.
fn push_layer_of(server: &Server, layer: &[u8], origins: &[oci::Reference]) -> (crate::Result<()>, Vec<Asked>) {
    let (manifest, config, layer) = image(layer);
    let blobs = MemoryBlobs::default();
    for bytes in [&manifest, &config, &layer] {
        crate::store::write_blob(&blobs, &mut bytes.as_slice(), None).unwrap();
    }
    let vertex = crate::progress::Vertex { sink: &crate::progress::Silent, digest: Digest::sha256(b"") };
    let push = crate::registry::Push {
        repository: &app(server).without_object(),
        tags: &["1"],
        blobs: &blobs,
        origins: &|_| origins.to_vec(),
        progress: &vertex,
        cancel: &Cancel::default(),
    };
    let pushed = client().push(&Descriptor::of(media::OCI_MANIFEST, &manifest), &push);
    let puts = |asked: &Asked| asked.method == "PUT" && asked.target.contains(Digest::sha256(&layer).hex());
    (pushed, server.asked().into_iter().filter(puts).collect())
}

#[test]
fn an_upload_that_breaks_off_goes_on_where_it_stood() {
    for broken in [Reply::Nothing, Reply::status(500), Reply::status(503)] {
        let (pushed, sent) = push_layer(&breaking(true, 3000, broken), &[7; 5000]);
        pushed.unwrap();
        assert_eq!(sent.len(), 2);
        assert!(sent[1].target.starts_with("/v2/app/blobs/uploads/99?digest="), "{}", sent[1].target);
        assert_eq!((sent[1].header("content-range"), sent[1].body.len()), ("3000-4999", 2000));
    }
}

#[test]
fn a_server_that_fails_long_before_the_end_of_an_upload_is_asked_how_far_it_got() {
    // More than what connections hold: the answer comes while bytes are still being sent.
    let layer = vec![7; 32 << 20];
    let (pushed, sent) = push_layer(&breaking(true, 1 << 20, Reply::status(500)), &layer);
    pushed.unwrap();
    assert_eq!((sent.len(), sent[1].header("content-range")), (2, "1048576-33554431"));
}

#[test]
fn an_upload_that_breaks_off_begins_anew_where_nobody_knows() {
    for broken in [Reply::Nothing, Reply::status(500)] {
        let (pushed, sent) = push_layer(&breaking(false, 5000, broken), &[7; 5000]);
        pushed.unwrap();
        assert_eq!(sent.iter().map(|asked| asked.body.len()).collect::<Vec<_>>(), [5000, 5000]);
        assert_ne!(sent[0].target, sent[1].target, "the address of an upload is good for one try");
    }
}

#[test]
fn what_cannot_be_mounted_is_sent() {
    // How the registry and its token server answer who asks for a repository that is not the caller's, or that is gone.
    for (token, mount) in [(403, 201), (401, 201), (200, 202), (200, 403), (200, 404)] {
        let server = Server::start(move |asked| {
            let realm = format!(r#"Bearer realm="http://{}/token",service="registry""#, asked.header("host"));
            match (asked.method.as_str(), asked.target.as_str()) {
                ("GET", target) if target.contains("other") && token != 200 => Reply::status(token),
                ("GET", _) => Reply::ok(r#"{"token": "t"}"#),
                _ if asked.header("authorization") != "Bearer t" => {
                    Reply::Full(401, vec![("WWW-Authenticate", realm)], vec![])
                }
                ("HEAD", _) => Reply::status(404),
                ("POST", target) if target.contains("mount=") && mount != 202 => Reply::status(mount),
                ("POST", _) => Reply::Full(202, vec![("Location", "/v2/app/blobs/uploads/1".into())], vec![]),
                _ => Reply::status(201),
            }
        });
        let other = reference(&format!("{}/other", server.host));
        let (pushed, sent) = push_layer_of(&server, &[7; 5000], &[other]);
        pushed.unwrap_or_else(|error| panic!("{token} {mount}: {error}: {:?}", server.log()));
        assert_eq!(sent.last().unwrap().body.len(), 5000);
        assert!(server.log().iter().any(|line| line.contains("mount=")), "{:?}", server.log());
    }
}

/// A registry that answers whatever carries a layer's bytes with `answer`.
fn never_takes(answer: Reply) -> Server {
    Server::start(move |asked| {
        let uploads = vec![("Location", format!("/v2/app/blobs/uploads/{}", asked.number))];
        match asked.method.as_str() {
            "POST" => Reply::Full(202, uploads, vec![]),
            "PUT" if asked.body.len() > 1000 => answer.clone(),
            "PUT" => Reply::status(201),
            _ => Reply::status(404),
        }
    })
}

#[test]
fn an_upload_that_always_fails_ends_and_nothing_gets_a_name() {
    let said = br#"{"errors": [{"code": "UNKNOWN", "message": "no space left on device"}]}"#;
    let server = never_takes(Reply::Full(500, Vec::new(), said.to_vec()));
    let (pushed, sent) = push_layer(&server, &[7; 5000]);
    let error = pushed.unwrap_err().to_string();
    let error = error.replace(&server.host, "HOST");
    assert!(error.starts_with("HOST/app: unexpected status from PUT http://HOST/v2/app/blobs/uploads/"), "{error}");
    assert!(error.ends_with(": 500 Internal Server Error: UNKNOWN: no space left on device"), "{error}");
    assert_eq!(sent.len(), 5);
    assert!(!server.log().iter().any(|line| line.contains("/manifests/")), "{:?}", server.log());
}

#[test]
fn an_upload_that_is_refused_is_not_repeated() {
    for (status, code) in [(400, "DIGEST_INVALID"), (413, "SIZE_INVALID"), (416, "BLOB_UPLOAD_INVALID")] {
        let said = format!(r#"{{"errors": [{{"code": "{code}", "message": "no"}}]}}"#);
        let (pushed, sent) = push_layer(&never_takes(Reply::Full(status, Vec::new(), said.into())), &[7; 5000]);
        let error = pushed.unwrap_err().to_string();
        assert!(error.contains(&status.to_string()) && error.ends_with(&format!("{code}: no")), "{error}");
        assert_eq!(sent.len(), 1);
    }
}

#[test]
fn an_upload_that_the_registry_forgot_begins_anew() {
    let (pushed, sent) = push_layer(&breaking(false, 5000, Reply::status(404)), &[7; 5000]);
    pushed.unwrap();
    assert_eq!(sent.len(), 2);
    let (pushed, sent) = push_layer(&never_takes(Reply::status(404)), &[7; 5000]);
    let error = pushed.unwrap_err().to_string();
    assert!(error.ends_with("the registry does not know the upload that it began"), "{error}");
    assert_eq!(sent.len(), 5);
}

#[test]
fn a_manifest_that_a_server_fails_at_is_sent_again() {
    let server = Server::start(|asked| match (asked.method.as_str(), asked.target.contains("/manifests/")) {
        ("HEAD", _) => Reply::ok(""),
        ("PUT", true) if asked.number < 4 => Reply::status(500),
        _ => Reply::status(201),
    });
    let (pushed, _) = push_layer(&server, b"layer");
    pushed.unwrap();
    let tries = server.log().iter().filter(|line| *line == "PUT /v2/app/manifests/1").count();
    assert!(tries > 1, "{:?}", server.log());
}
