//! The JSON of predicates.

use oci::{Digest, Platform};
use serde_json::json;

use super::*;

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn image(name: &str, architecture: &str) -> Image {
    let platform = Platform::new("linux", architecture);
    Image { name: name.to_owned(), platform, digest: digest("image"), is_local: false }
}

fn provenance(attrs: &str, opts: &[(&str, &str)], capture: Capture) -> Provenance {
    let opts = opts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let attrs = Attrs::parse(attrs).unwrap();
    let steps = attrs.max.then(|| llb::dump::Steps {
        definition: vec![json!({ "id": "step0", "op": { "Op": { "source": {
            "identifier": "git://h/a", "attrs": { "git.fullurl": "https://me:word@h/a" },
        } } } })],
        digests: [(digest("step"), "step0".to_owned())].into(),
        source: None,
    });
    let asked = Asked { attrs, frontend: "dockerfile.v0".to_owned(), opts, ..Asked::default() };
    Provenance {
        asked: Arc::new(asked),
        capture,
        steps,
        invocation: "id".to_owned(),
        started: Time::from_unix(1, 0),
        builder: Platform::new("linux", "amd64"),
        environment: serde_json::Map::new(),
    }
}

fn told(provenance: &Provenance) -> Value {
    let layers = Layers::from([("step0:0".to_owned(), vec![vec![Descriptor::of("t", b"layer")]])]);
    provenance.predicate(Time::from_unix(2, 500_000_000), &layers).unwrap()
}

fn of_a_repository() -> Capture {
    let mut capture = Capture::default();
    capture.add(Material::Git {
        url: "https://me:word@example.com/a.git#main".to_owned(),
        commit: "c".repeat(40),
        bundle: None,
        secrets: vec!["GIT_AUTH_TOKEN".to_owned()],
        ssh: None,
    });
    capture.add(Material::Http { url: "https://example.com/f".to_owned(), digest: digest("file") });
    capture.add_secret("token".to_owned(), true);
    capture.add_secret("token".to_owned(), false);
    capture.add_ssh(String::new(), true);
    capture
}

const OPTS: [(&str, &str); 8] = [
    ("context", "https://me:word@example.com/a.git#main:sub"),
    ("filename", "Dockerfile"),
    ("build-arg:PROXY", "http://me:word@proxy"),
    ("label:l", "x"),
    ("target", "app"),
    ("platform", "linux/amd64"),
    ("attest:provenance", "mode=max"),
    ("vcs:revision", "abc"),
];

#[test]
fn all_that_is_known() {
    let said = told(&provenance("builder-id=me,reproducible=true", &OPTS, of_a_repository()));
    let commit = json!({ "sha1": "c".repeat(40) });
    let expected = json!({
        "buildDefinition": {
            "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
            "resolvedDependencies": [
                { "uri": "https://xxxxx:xxxxx@example.com/a.git#main", "digest": commit },
                { "uri": "https://example.com/f", "digest": { "sha256": digest("file").hex() } },
            ],
            "externalParameters": {
                "configSource": {
                    "uri": "https://xxxxx:xxxxx@example.com/a.git#main:sub",
                    "digest": commit,
                    "path": "Dockerfile",
                },
                "request": {
                    "frontend": "dockerfile.v0",
                    "args": { "build-arg:PROXY": "http://xxxxx:xxxxx@proxy", "label:l": "x", "target": "app" },
                    "secrets": [{ "id": "GIT_AUTH_TOKEN", "optional": true }, { "id": "token" }],
                    "ssh": [{ "id": "default", "optional": true }],
                    "compatibilityVersion": 30,
                },
            },
            "internalParameters": {
                "buildConfig": {
                    "llbDefinition": [{ "id": "step0", "op": { "Op": { "source": {
                        "identifier": "git://h/a", "attrs": { "git.fullurl": "https://xxxxx:xxxxx@h/a" },
                    } } } }],
                    "digestMapping": { digest("step").to_string(): "step0" },
                },
                "builderPlatform": "linux/amd64",
                "llbcVersion": env!("CARGO_PKG_VERSION"),
            },
        },
        "runDetails": {
            "builder": { "id": "me" },
            "metadata": {
                "invocationId": "id",
                "startedOn": "1970-01-01T00:00:01Z",
                "finishedOn": "1970-01-01T00:00:02.5Z",
                "buildkit_metadata": {
                    "vcs": { "revision": "abc" },
                    "layers": { "step0:0": [[Descriptor::of("t", b"layer")]] },
                },
                "buildkit_hermetic": true,
                "buildkit_completeness": { "request": true, "resolvedDependencies": true },
                "buildkit_reproducible": true,
            },
        },
    });
    assert_eq!(said, expected);
}

#[test]
fn the_least_has_no_values_of_the_build() {
    let mut capture = of_a_repository();
    capture.add(Material::Local { name: "context".to_owned() });
    let said = told(&provenance("mode=min", &OPTS, capture));
    let request = json!({
        "frontend": "dockerfile.v0",
        "args": { "target": "app" },
        "locals": [{ "name": "context" }],
        "compatibilityVersion": 30,
    });
    assert_eq!(said["buildDefinition"]["externalParameters"]["request"], request);
    assert_eq!(said["buildDefinition"]["internalParameters"].get("buildConfig"), None);
    let metadata = &said["runDetails"]["metadata"];
    assert_eq!(metadata["buildkit_metadata"], json!({ "vcs": { "revision": "abc" } }));
    assert_eq!(metadata["buildkit_completeness"], json!({ "request": false, "resolvedDependencies": false }));
    assert_eq!(metadata.get("buildkit_hermetic"), None);
    let whole = told(&provenance("mode=min", &[("target", "app")], Capture::default()));
    assert_eq!(whole["runDetails"]["metadata"]["buildkit_completeness"]["request"], true);
}

#[test]
fn a_network_is_not_hermetic() {
    let mut capture = of_a_repository();
    capture.network = true;
    let metadata = told(&provenance("", &[], capture))["runDetails"]["metadata"].take();
    assert_eq!(metadata["buildkit_completeness"]["resolvedDependencies"], true);
    assert_eq!(metadata.get("buildkit_hermetic"), None);
}

#[test]
fn version_02() {
    let provenance = provenance("version=v0.2", &OPTS, of_a_repository());
    assert_eq!(provenance.predicate_type(), "https://slsa.dev/provenance/v0.2");
    let said = told(&provenance);
    assert_eq!(said["buildType"], "https://mobyproject.org/buildkit@v1");
    assert_eq!(said["invocation"]["configSource"]["entryPoint"], "Dockerfile");
    assert_eq!(said["invocation"]["parameters"]["args"]["target"], "app");
    assert_eq!(said["invocation"]["environment"]["platform"], "linux/amd64");
    assert_eq!(said["buildConfig"]["llbDefinition"][0]["id"], "step0");
    assert_eq!(said["materials"][1]["uri"], "https://example.com/f");
    let completeness = json!({ "parameters": true, "environment": true, "materials": true });
    assert_eq!(said["metadata"]["completeness"], completeness);
    assert_eq!(said["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"], true);
    assert_eq!(said["metadata"]["https://mobyproject.org/buildkit@v1#metadata"]["vcs"]["revision"], "abc");
}

#[test]
fn images_are_named_once_by_the_tag_that_was_asked_for() {
    let tag = "docker.io/library/a:1";
    let pinned = format!("{tag}@{}", digest("image"));
    let uris = |platforms: &[&str], looked_up: &[Image], own: &str| {
        let mut capture = Capture::default();
        capture.add(Material::Image(image(&pinned, own)));
        let platforms: Vec<Platform> = platforms.iter().map(|name| Platform::new("linux", name)).collect();
        capture.add_looked_up(looked_up, &platforms, &Platform::new("linux", own));
        let materials = capture.materials().unwrap();
        materials.iter().map(|material| material["uri"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let both = [image(tag, "amd64"), image(tag, "arm64")];
    assert_eq!(uris(&["amd64"], &both[..1], "amd64"), ["pkg:docker/a@1?platform=linux%2Famd64"]);
    assert_eq!(uris(&["amd64", "arm64"], &both, "arm64"), ["pkg:docker/a@1?platform=linux%2Farm64"]);
    // For the platform that builds, not for those of the results.
    let tools = image("docker.io/library/tools:1", "amd64");
    assert_eq!(
        uris(&["arm64", "s390x"], &[tools], "arm64"),
        [
            format!("pkg:docker/a@1?digest={}&platform=linux%2Farm64", digest("image")),
            "pkg:docker/tools@1?platform=linux%2Famd64".to_owned(),
        ]
    );
}

#[test]
fn names_of_layouts_may_be_short() {
    let digest = digest("image");
    let mut capture = Capture::default();
    for name in [format!("docker.io/library/l@{digest}"), format!("l@{digest}")] {
        capture.add(Material::Image(Image { is_local: true, ..image(&name, "amd64") }));
    }
    let uri = format!("pkg:oci/l?digest={digest}&platform=linux%2Famd64");
    let materials = capture.materials().unwrap();
    assert_eq!(materials, [json!({ "uri": uri, "digest": { "sha256": digest.hex() } })]);
}

#[test]
fn what_is_incomplete_is_named() {
    let error = |capture: &Capture| capture.check_complete().err().map(|error| error.to_string());
    let mut capture = of_a_repository();
    assert_eq!(error(&capture), None);
    capture.add(Material::Local { name: "context".to_owned() });
    let said = error(&capture).unwrap();
    assert!(said.starts_with("provenance materials are incomplete: local directories: context went"), "{said}");
}

#[test]
fn options_of_both_spellings() {
    let opts = [("attest:Provenance", "mode=min"), ("build-arg:BUILDKIT_ATTEST_SBOM", ""), ("build-arg:x", "y")];
    let opts = opts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let found: Vec<(String, String)> = options(&opts).into_iter().collect();
    assert_eq!(found, [("provenance".to_owned(), "mode=min".to_owned()), ("sbom".to_owned(), String::new())]);
}
