//! The JSON that is hashed is written out: it is what BuildKit's Go types give.

use llb::{CopyAction, Exec, ExecMeta, Mount, NetMode, Owner, SecretMount};

use super::*;

fn host() -> Platform {
    Platform::new("linux", "amd64")
}

fn node(op: Op, inputs: u32) -> Node {
    Node::new(op, (0..inputs).map(|index| llb::NodeId(0).output(index)).collect::<Vec<_>>())
}

/// The key is the digest of `json`, and the inputs are as said: `-` or selector paths, then `:` and content paths.
#[track_caller]
fn check(op: Op, inputs: &[&str], json: &str) {
    let key = of_vertex(&node(op, u32::try_from(inputs.len()).unwrap()), &host()).unwrap();
    assert_eq!(key.digest, Digest::sha256(json.as_bytes()), "digest of {json}");
    for (actual, expected) in key.inputs.iter().zip(inputs) {
        let (selector, content) = expected.split_once(':').unwrap_or((expected, "-"));
        let selector = (selector != "-").then(|| Digest::sha256(selector.replace(',', "\0").as_bytes()));
        assert_eq!(actual.selector, selector, "selector of {expected}");
        let shown = actual
            .content
            .as_ref()
            .map_or("-".to_owned(), |selectors| selectors.iter().map(show).collect::<Vec<_>>().join(","));
        assert_eq!(shown, content, "content of {expected}");
    }
}

fn show(selector: &Selector) -> String {
    let mark = |on, mark: &str| if on { mark.to_owned() } else { String::new() };
    let Selector { path, wildcard, follow_links, include, exclude, .. } = selector;
    format!(
        "{path}{}{}{}{}",
        mark(*wildcard, "*"),
        mark(*follow_links, ">"),
        mark(!include.is_empty(), &format!("+{}", include.join("+"))),
        mark(!exclude.is_empty(), &format!("-{}", exclude.join("-"))),
    )
}

fn root() -> Mount {
    Mount { dest: "/".into(), ..Mount::default() }
}

fn bind(input: i64, dest: &str, selector: &str) -> Mount {
    Mount { input, dest: dest.into(), selector: selector.into(), output: -1, readonly: true, ..Mount::default() }
}

fn exec(mounts: Vec<Mount>) -> Op {
    let meta = ExecMeta { args: vec!["true".into()], cwd: "/".into(), ..ExecMeta::default() };
    Op::Exec(Box::new(Exec { meta, mounts, ..Exec::default() }))
}

fn of_mounts(mounts: &str) -> String {
    format!(
        r#"{{"Type":"buildkit.exec.v0","Exec":{{"meta":{{"args":["true"],"cwd":"/"}}{mounts}}},"OS":"linux","Arch":"amd64"}}"#
    )
}

#[test]
fn the_selector_of_a_whole_input() {
    // As recorded from BuildKit.
    assert!(Digest::sha256(b"/").hex().starts_with("8a5edab2"));
}

#[test]
fn run_with_a_root_alone_is_keyed_without_mounts() {
    check(exec(vec![root()]), &["/"], &of_mounts(""));
}

#[test]
fn everything_of_a_process_but_hosts_addresses_and_proxies() {
    let meta = ExecMeta {
        args: vec!["sh".into(), "-c".into(), "a && b <\u{2028}".into()],
        env: ["A=1".into()].into(),
        cwd: "/w".into(),
        user: "me".into(),
        proxy_env: Some(llb::ProxyEnv { http_proxy: "x".into(), ..llb::ProxyEnv::default() }),
        extra_hosts: vec![llb::HostIp { host: "h".into(), ip: "1.2.3.4".into() }],
        hostname: "n".into(),
        ulimit: vec![llb::Ulimit { name: "nofile".into(), soft: 1, hard: 2 }],
        cgroup_parent: "cg".into(),
        remove_mount_stubs_recursive: true,
        valid_exit_codes: vec![0, 3],
    };
    let op = Op::Exec(Box::new(Exec {
        meta,
        mounts: vec![root()],
        network: NetMode::None,
        security: llb::SecurityMode::Insecure,
        secret_env: vec![llb::SecretEnv { id: "i".into(), name: "N".into(), optional: true }],
        cdi_devices: vec![llb::CdiDevice { name: "d".into(), optional: false }],
    }));
    check(
        op,
        &["/"],
        concat!(
            r#"{"Type":"buildkit.exec.v0","Exec":{"meta":{"args":["sh","-c","a \u0026\u0026 b \u003c\u2028"],"env":["A=1"],"#,
            r#""cwd":"/w","user":"me","extraHosts":[{"Host":"h"}],"hostname":"n","ulimit":[{"Name":"nofile","Soft":1,"#,
            r#""Hard":2}],"cgroupParent":"cg","removeMountStubsRecursive":true,"validExitCodes":[0,3]},"network":2,"#,
            r#""security":1,"secretenv":[{"ID":"i","name":"N","optional":true}],"cdiDevices":[{"name":"d"}]},"#,
            r#""OS":"linux","Arch":"amd64"}"#
        ),
    );
}

#[test]
fn the_platform_of_the_vertex_wins_over_the_host() {
    let mut node = node(exec(vec![root()]), 1);
    node.platform = Some(Platform { variant: "v7".into(), ..Platform::new("linux", "arm") }.into());
    let json = of_mounts("").replace("amd64\"", "arm\",\"Variant\":\"v7\"");
    assert_eq!(of_vertex(&node, &host()).unwrap().digest, Digest::sha256(json.as_bytes()));
}

#[test]
fn mounts_of_every_kind() {
    let secret = |uid| SecretMount { id: "s".into(), uid, gid: 0, mode: 0o400, optional: true };
    let mount = |dest: &str, kind| Mount { input: -1, dest: dest.into(), output: -1, kind, ..Mount::default() };
    let cache = |dest: &str, id: &str, sharing| mount(dest, MountKind::Cache { id: id.into(), sharing });
    let mounts = vec![
        root(),
        mount("/s", MountKind::Secret(secret(1))),
        mount("/h", MountKind::Ssh(secret(0))),
        mount("/t", MountKind::Tmpfs { size: Some(5) }),
        mount("/u", MountKind::Tmpfs { size: None }),
        cache("/c", "/c", CacheSharing::Shared),
        cache("/c", "ns//c", CacheSharing::Shared),
        cache("/c", "/c", CacheSharing::Locked),
        cache("/c", "other", CacheSharing::Shared),
    ];
    check(
        exec(mounts),
        &["/"],
        &of_mounts(concat!(
            r#","mounts":[{"dest":"/"},"#,
            r#"{"input":-1,"dest":"/s","output":-1,"mountType":1,"secretOpt":{"ID":"s","uid":1,"mode":256,"optional":true}},"#,
            r#"{"input":-1,"dest":"/h","output":-1,"mountType":2,"SSHOpt":{"ID":"s","mode":256,"optional":true}},"#,
            r#"{"input":-1,"dest":"/t","output":-1,"mountType":4,"TmpfsOpt":{"size":5}},"#,
            r#"{"input":-1,"dest":"/u","output":-1,"mountType":4},"#,
            r#"{"input":-1,"dest":"/c","output":-1,"mountType":3,"cacheOpt":{"ID":"/c"}},"#,
            r#"{"input":-1,"dest":"/c","output":-1,"mountType":3,"cacheOpt":{"ID":"ns//c"}},"#,
            r#"{"input":-1,"dest":"/c","output":-1,"mountType":3,"cacheOpt":{}},"#,
            r#"{"input":-1,"dest":"/c","output":-1,"mountType":3,"cacheOpt":{}}]"#
        )),
    );
}

#[test]
fn what_a_readonly_mount_selects_is_compared_by_content() {
    check(
        exec(vec![root(), bind(1, "/a", "src/x/.."), bind(1, "/b", "/src/y")]),
        &["/", "/src,/src/y:/src>"],
        &of_mounts(
            r#","mounts":[{"dest":"/"},{"input":1,"dest":"/a","output":-1,"readonly":true},{"input":1,"dest":"/b","output":-1,"readonly":true}]"#,
        ),
    );
}

#[test]
fn siblings_with_a_common_start_are_both_compared() {
    let key = of_vertex(&node(exec(vec![root(), bind(1, "/a", "foo"), bind(1, "/b", "foobar")]), 2), &host()).unwrap();
    let paths: Vec<_> = key.inputs[1].content.iter().flatten().map(|selector| selector.path.as_str()).collect();
    assert_eq!(paths, ["/foo", "/foobar"]);
}

#[test]
fn what_could_be_passed_on_unselected_is_not_compared() {
    let writable = Mount { output: 1, readonly: false, ..bind(1, "/a", "src") };
    let key = |mount: Mount| of_vertex(&node(exec(vec![root(), mount]), 2), &host()).map(|key| key.inputs[1].clone());
    assert_eq!(key(writable.clone()).unwrap().content, None);
    assert_eq!(key(Mount { selector: String::new(), ..writable.clone() }).unwrap().content, Some(vec![]));
    let off = Mount { content_cache: ContentCache::Off, ..bind(1, "/a", "") };
    assert_eq!(key(off).unwrap().content, None);
    let on = key(Mount { content_cache: ContentCache::On, ..writable });
    assert_eq!(on.unwrap_err().to_string(), "invalid definition: invalid mount cache content /a");
}

#[test]
fn what_one_mount_could_pass_on_unselected_is_not_compared_for_another_either() {
    // In BuildKit the last mount says it: a file of `/src` that nothing selects would be missing in what is found.
    let writable = Mount { output: 1, readonly: false, ..bind(1, "/a", "src") };
    let content = |mounts: [Mount; 2]| {
        let mounts = [vec![root()], mounts.to_vec()].concat();
        of_vertex(&node(exec(mounts), 2), &host()).unwrap().inputs[1].content.clone()
    };
    assert_eq!(content([writable.clone(), bind(1, "/b", "other")]), None);
    assert_eq!(content([bind(1, "/b", "other"), writable]), None);
    assert!(content([bind(1, "/b", "other"), bind(1, "/a", "src")]).is_some());
}

#[test]
fn the_content_of_a_root_is_compared_only_when_asked() {
    let on = Mount { content_cache: ContentCache::On, ..root() };
    let key = of_vertex(&node(exec(vec![on]), 1), &host()).unwrap();
    assert_eq!(key.inputs[0].content, Some(vec![]));
}

#[test]
fn an_input_that_is_missing_is_refused() {
    let error = of_vertex(&node(exec(vec![root(), bind(3, "/a", "")]), 2), &host()).unwrap_err();
    assert_eq!(error.to_string(), "invalid definition: input 3 of an operation with 2 inputs");
}

fn copy(src: &str) -> CopyAction {
    CopyAction {
        src: src.into(),
        dest: "/d/".into(),
        mode: -1,
        follow_symlink: true,
        dir_copy_contents: true,
        create_dest_path: true,
        allow_wildcard: true,
        allow_empty_wildcard: true,
        timestamp: -1,
        ..CopyAction::default()
    }
}

fn action(input: i64, secondary_input: i64, output: i64, kind: FileActionKind) -> FileAction {
    FileAction { input, secondary_input, output, kind }
}

fn file(actions: &[&str], indexes: &str) -> String {
    let actions: Vec<_> = actions.iter().map(|text| format!("{:?}", base64::encode(text.as_bytes()))).collect();
    format!(r#"{{"Type":"buildkit.file.v0","Actions":[{}]{indexes}}}"#, actions.join(","))
}

const COPY: &str = r#"{"src":"x","dest":"/d/","mode":-1,"followSymlink":true,"dirCopyContents":true,"createDestPath":true,"allowWildcard":true,"allowEmptyWildcard":true,"timestamp":-1}"#;

#[test]
fn a_copy_is_keyed_by_the_name_of_its_source_alone() {
    let op = Op::File(vec![action(0, 1, 0, FileActionKind::Copy(Box::new(copy("/src/x"))))]);
    check(op, &["-", "/src/x:/src/x>"], &file(&[COPY], ""));
}

#[test]
fn copies_of_several_sources_in_a_chain() {
    let op = Op::File(vec![
        action(0, 1, -1, FileActionKind::Copy(Box::new(copy("/a/x")))),
        action(2, 1, 0, FileActionKind::Copy(Box::new(copy("/b/x")))),
    ]);
    check(op, &["-", "/b/x,/a/x:/a/x>,/b/x>"], &file(&[COPY, COPY], ""));
}

#[test]
fn unusual_indexes_are_part_of_the_key() {
    let op = Op::File(vec![action(-1, 0, 0, FileActionKind::Copy(Box::new(copy("/src/x"))))]);
    check(op, &["/src/x:/src/x>"], &file(&[COPY], r#","indexes":[[-1,0,0]]"#));
}

#[test]
fn a_source_from_an_earlier_action_keeps_its_path_and_selects_nothing() {
    let json = COPY.replace("\"x\"", "\"/src/x\"");
    let op = Op::File(vec![
        action(0, -1, -1, FileActionKind::Rm { path: "/r".into(), allow_not_found: true, allow_wildcard: false }),
        action(0, 1, 0, FileActionKind::Copy(Box::new(copy("/src/x")))),
    ]);
    check(op, &["-"], &file(&[r#"{"path":"/r","allowNotFound":true}"#, &json], r#","indexes":[[0,-1,-1],[0,1,0]]"#));
}

#[test]
fn patterns_stay_with_their_path() {
    let wild = CopyAction { exclude_patterns: vec!["*.md".into()], ..copy("/s/*.c") };
    let op = Op::File(vec![
        action(0, 1, -1, FileActionKind::Copy(Box::new(wild))),
        action(2, 1, 0, FileActionKind::Copy(Box::new(CopyAction { follow_symlink: false, ..copy("/s") }))),
    ]);
    let first = COPY.replace("\"x\"", "\"*.c\"").replace("}", r#","exclude_patterns":["*.md"]}"#);
    let second = COPY.replace("\"x\"", "\"s\"").replace(r#""followSymlink":true,"#, "");
    check(op, &["-", "/s/*.c,/s:/s,/s/*.c*>-*.md"], &file(&[&first, &second], ""));
}

#[test]
fn named_owners_select_the_files_they_are_looked_up_in() {
    let by_name = |input| Some(UserOpt::Name { name: "me".into(), input });
    let owner = Some(Owner { user: by_name(1), group: Some(UserOpt::Id(0)) });
    let owned = CopyAction { owner, ..copy("/src/x") };
    let op = Op::File(vec![action(0, 1, 0, FileActionKind::Copy(Box::new(owned)))]);
    let owner = r#""dest":"/d/","owner":{"user":{"User":{"byName":{"name":"me","input":1}}},"group":{"User":{}}}"#;
    check(op, &["-", "/src/x,/etc/passwd:/etc/passwd>,/src/x>"], &file(&[&COPY.replace(r#""dest":"/d/""#, owner)], ""));
}

#[test]
fn named_owners_of_links_are_selected_where_something_else_is() {
    let owner = Some(Owner { user: Some(UserOpt::Name { name: "me".into(), input: 1 }), group: None });
    let link = FileActionKind::Symlink { oldpath: "a".into(), newpath: "b".into(), owner, timestamp: -1 };
    let json =
        r#"{"oldpath":"a","newpath":"b","owner":{"user":{"User":{"byName":{"name":"me","input":1}}}},"timestamp":-1}"#;
    let copied = action(0, 1, -1, FileActionKind::Copy(Box::new(copy("/src/x"))));
    let op = Op::File(vec![copied, action(2, -1, 0, link.clone())]);
    check(op, &["-", "/src/x,/etc/passwd:/etc/passwd>,/src/x>"], &file(&[COPY, json], ""));
    // parity: where nothing is, the input counts as it is.
    let op = Op::File(vec![action(0, -1, 0, link)]);
    check(op, &["-", "-"], &file(&[json], ""));
}

#[test]
fn the_other_actions() {
    let owner = Some(Owner { user: Some(UserOpt::Id(5)), group: None });
    let op = Op::File(vec![
        action(
            -1,
            -1,
            -1,
            FileActionKind::Mkdir {
                path: "/d".into(),
                mode: 0o755,
                make_parents: true,
                owner: owner.clone(),
                timestamp: -1,
            },
        ),
        action(
            0,
            -1,
            -1,
            FileActionKind::Mkfile { path: "/f".into(), mode: 0o644, data: b"hi".to_vec(), owner: None, timestamp: -1 },
        ),
        action(1, -1, 0, FileActionKind::Symlink { oldpath: "a".into(), newpath: "b".into(), owner, timestamp: 7 }),
    ]);
    let json = file(
        &[
            r#"{"path":"/d","mode":493,"makeParents":true,"owner":{"user":{"User":{"byId":5}}},"timestamp":-1}"#,
            r#"{"path":"/f","mode":420,"data":"aGk=","timestamp":-1}"#,
            r#"{"oldpath":"a","newpath":"b","owner":{"user":{"User":{"byId":5}}},"timestamp":7}"#,
        ],
        r#","indexes":[[-1,-1,-1],[0,-1,-1],[1,-1,0]]"#,
    );
    check(op, &[], &json);
}

#[test]
fn merge_diff_and_passthrough() {
    let merge = r#"{"Type":"buildkit.merge.v0","Merge":{"inputs":[{},{"input":1}]}}"#;
    check(Op::Merge(vec![0, 1]), &["-", "-"], merge);
    let diff = |lower, upper| Op::Diff(llb::Diff { lower, upper });
    let json = r#"{"Type":"buildkit.diff.v0","Diff":{"lower":{},"upper":{"input":1}}}"#;
    check(diff(Some(0), Some(1)), &["-", "-"], json);
    let json = r#"{"Type":"buildkit.diff.v0","Diff":{"lower":{"input":-1},"upper":{}}}"#;
    check(diff(Some(-1), Some(0)), &["-"], json);
    let json = r#"{"Type":"buildkit.passthrough.v0","Passthrough":{"id":"x","outputs":[0,1]}}"#;
    check(Op::Passthrough(llb::Passthrough { id: "x".into(), outputs: vec![0, 1] }), &["-", "-"], json);
}

#[test]
fn a_nested_build() {
    let build = llb::Build {
        builder: -1,
        inputs: [("buildkit.llb.definition".to_owned(), 0)].into(),
        def: None,
        attrs: [("llbbuild.filename".to_owned(), "x".to_owned())].into(),
    };
    check(
        Op::Build(build),
        &["-"],
        r#"{"Type":"buildkit.build.v0","Exec":{"builder":-1,"inputs":{"buildkit.llb.definition":{}},"attrs":{"llbbuild.filename":"x"}}}"#,
    );
}
