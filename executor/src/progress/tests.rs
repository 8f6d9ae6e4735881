//! Scripts of events in, text out.
//!
//! A line of a script is `SECONDS WORD STEP REST`: `vertex` (rest: name), `weak` and `strong` (rest: group), `start`,
//! `done`, `cached`, `fail` (rest: error), `log` and `err` (rest: bytes, with `\n`, `\r`, `\e`), `status` (rest: id,
//! current, total), `end-status`, `warn` (step `-` is none), `tick`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci::Digest;

use super::plain::Plain;
use super::raw::Raw;
use super::style::Style;
use super::tty::{Size, Tty};
use super::*;

/// 2023-11-14T22:13:20Z.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn events(script: &str) -> Vec<(SystemTime, Option<Event>)> {
    script.trim().lines().map(|line| event(line.trim())).collect()
}

fn event(line: &str) -> (SystemTime, Option<Event>) {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().unwrap_or("");
    let (seconds, kind, step, rest) = (word(), word(), word(), word());
    let at = UNIX_EPOCH + EPOCH + Duration::from_secs_f64(seconds.parse().unwrap());
    let digest = Digest::sha256(step.as_bytes());
    let end = |cached, error: Option<&str>| Event::Completed {
        digest: digest.clone(),
        at,
        cached,
        error: error.map(str::to_owned),
    };
    let group = |weak| Some(llb::ProgressGroup { id: rest.to_owned(), name: rest.to_owned(), weak });
    let vertex = |name: &str, group| Event::Vertex { digest: digest.clone(), name: name.into(), inputs: vec![], group };
    let data = || rest.replace("\\n", "\n").replace("\\r", "\r").replace("\\e", "\x1b").into_bytes();
    let status = |completed| {
        let mut parts = rest.rsplitn(3, ' ');
        let (total, current) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        let started = UNIX_EPOCH + EPOCH;
        Event::Status { digest: digest.clone(), id: parts.next().unwrap().into(), current, total, started, completed }
    };
    let event = match kind {
        "tick" => return (at, None),
        "vertex" => vertex(rest, None),
        "weak" => vertex("", group(true)),
        "strong" => vertex("", group(false)),
        "start" => Event::Started { digest, at },
        "done" => end(false, None),
        "cached" => end(true, None),
        "fail" => end(false, Some(rest)),
        "log" => Event::Log { digest, stream: 1, data: data(), at },
        "err" => Event::Log { digest, stream: 2, data: data(), at },
        "status" => status(None),
        "end-status" => status(Some(at)),
        "warn" => Event::Warning { digest: (step != "-").then_some(digest), message: rest.into(), about: None },
        _ => panic!("no such event: {line}"),
    };
    (at, Some(event))
}

fn plain(script: &str, want: &str) {
    let mut plain = Plain::default();
    let mut out = String::new();
    let mut last = UNIX_EPOCH;
    for (at, event) in events(script) {
        last = at;
        out += &match event {
            Some(event) => plain.event(&event, at),
            None => plain.tick(at),
        };
    }
    out += &plain.finish(last);
    assert_eq!(out.trim_end(), unindent(want), "\n{out}");
}

/// The last screen of a terminal that shows `*` around colours.
fn screen(script: &str, size: Size, last: bool) -> String {
    let colourless = |name: &str| (name == "NO_COLOR").then(|| "1".to_owned());
    let mut tty = Tty::new(Style::from_environment(colourless));
    let mut now = UNIX_EPOCH;
    for (at, event) in events(script) {
        now = at;
        event.iter().for_each(|event| tty.event(event));
    }
    let drawn = tty.draw(now, size, last);
    let drawn = drawn.strip_prefix("\x1b[?25l\r").unwrap().strip_suffix("\x1b[J\x1b[?25h").unwrap();
    drawn.replace("\x1b[K", "")
}

fn tty(script: &str, (width, height): (usize, usize), want: &str) {
    let screen = screen(script, Size { width, height }, false);
    assert_eq!(screen.trim_end(), unindent(want), "\n{screen}");
}

fn unindent(text: &str) -> String {
    let lines: Vec<&str> = text.trim_matches('\n').lines().collect();
    let indent =
        lines.iter().filter(|l| !l.trim().is_empty()).map(|l| l.len() - l.trim_start().len()).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or("")).collect();
    lines.join("\n").trim_end().to_owned()
}

#[test]
fn plain_steps_have_numbers_times_and_ends() {
    plain(
        "0 vertex a [1/3] FROM base
         0 vertex b [2/3] RUN make
         0 vertex c never started
         0 start a
         0.1 cached a
         1 start b
         1.1234 log b one\\ntw
         1.2 log b o\\r\\n
         12.5 err b three\\n
         112.5 log b no end
         113 done b",
        "
        #1 [1/3] FROM base
        #1 CACHED

        #2 [2/3] RUN make
        #2 0.123 one
        #2 0.200 two
        #2 11.50 three
        #2 112.0 no end
        #2 DONE 112.0s",
    );
}

#[test]
fn plain_failures_and_stops() {
    plain(
        "0 vertex a RUN false
         0 vertex b RUN sleep
         0 start a
         0 start b
         1 fail a exit code: 1
         1 fail b context canceled",
        "
        #1 RUN false
        #1 ERROR: exit code: 1

        #2 RUN sleep
        #2 CANCELED",
    );
}

#[test]
fn plain_parallel_steps_do_not_mix() {
    plain(
        "0 vertex a A
         0 vertex b B
         0 start a
         0 start b
         1 log a a1\\n
         1 log b b1\\n
         2 log a a2\\n
         3 done a
         4 log b b2\\n
         5 done b",
        "
        #1 A
        #1 1.000 a1
        #1 2.000 a2
        #1 DONE 3.0s

        #2 B
        #2 1.000 b1
        #2 4.000 b2
        #2 DONE 5.0s",
    );
}

#[test]
fn plain_a_step_that_waits_is_heard_after_a_while() {
    plain(
        "0 vertex a A
         0 vertex b B
         0 start a
         0 start b
         1 log a a1\\n
         1 log b b1\\n
         3 tick
         7 tick
         8 log a a2\\n
         9 done b
         10 done a",
        "
        #1 A
        #1 1.000 a1
        #1 ...

        #2 B
        #2 1.000 b1
        #2 DONE 9.0s

        #1 A
        #1 8.000 a2
        #1 DONE 10.0s",
    );
}

#[test]
fn plain_amounts_are_repeated_when_they_grew() {
    plain(
        "0 vertex a FROM base
         0 start a
         0 status a sha256:1 0 2000000
         0 tick
         0.1 status a sha256:1 10000 2000000
         0.1 tick
         0.2 status a sha256:1 1500000 2000000
         0.2 tick
         0.5 end-status a sha256:1 2000000 2000000
         0.5 status a transferring context: 999 0
         0.5 tick
         0.6 done a",
        "
        #1 FROM base
        #1 sha256:1 0B / 2.00MB
        #1 sha256:1 1.50MB / 2.00MB 0.2s
        #1 sha256:1 2.00MB / 2.00MB 0.5s done
        #1 transferring context: 999B 0.5s
        #1 DONE 0.6s",
    );
}

#[test]
fn plain_what_begins_and_ends_between_two_looks_is_one_line() {
    plain(
        "0 vertex a exporting
         0 start a
         0.1 tick
         0.1 status a config 0 0
         0.1 end-status a config 0 0
         0.1 status a layer 0 100
         0.1 status a layer 50 100
         0.2 tick
         0.3 end-status a layer 100 100
         0.4 done a",
        "
        #1 exporting
        #1 config 0.1s done
        #1 layer 50B / 100B 0.2s
        #1 layer 100B / 100B 0.3s done
        #1 DONE 0.4s",
    );
}

#[test]
fn plain_a_pull_after_the_end_of_its_step_waits_for_the_word_and_keeps_it() {
    plain(
        "0 vertex a FROM base
         0 vertex b RUN make
         0 start a
         0.1 done a
         0.2 start b
         0.3 status a sha256:1 0 100
         0.3 tick
         0.4 status a sha256:1 50 100
         0.4 tick
         0.5 log b made\\n
         0.6 done b
         0.7 status a sha256:1 80 100
         0.7 tick
         0.8 end-status a sha256:1 100 100
         0.8 tick",
        "
        #1 FROM base
        #1 DONE 0.1s

        #2 RUN make
        #2 0.300 made
        #2 DONE 0.4s

        #1 FROM base
        #1 sha256:1 0B / 100B 0.3s
        #1 sha256:1 50B / 100B 0.4s
        #1 sha256:1 80B / 100B 0.7s
        #1 sha256:1 100B / 100B 0.8s done",
    );
}

#[test]
fn plain_groups_are_one_step() {
    plain(
        "0 weak a G
         0 strong b G
         0 strong c G
         0 start a
         1 done a
         2 start b
         3 done b
         5 start c
         6 cached c",
        "
        #1 G
        #1 DONE 2.0s

        #1 G
        #1 DONE 3.0s",
    );
}

#[test]
fn plain_weak_groups_are_hidden() {
    plain("0 weak a G\n0 start a\n1 done a", "");
}

#[test]
fn plain_warnings() {
    plain(
        "0 warn - the network is the host's
         0 vertex a A
         0 start a
         0 warn a careful
         1 done a",
        "
        WARN: the network is the host's
        #1 A
        #1 WARN: careful
        #1 DONE 1.0s",
    );
}

#[test]
fn tty_shows_ended_and_running_steps() {
    tty(
        "0 vertex a [1/3] FROM base
         0 vertex b [2/3] RUN make
         0 vertex c [3/3] RUN install
         0 start a
         0.02 cached a
         0.1 start b
         0.1 status b sha256:1 1500000 2000000
         0.5 log b \\e[32mcc\\e[0m x.c\\nprogress 10%\\rprogress 20%\\n
         1.2 tick",
        (50, 20),
        "
        [+] Building 1.2s (1/3)
         => CACHED [1/3] FROM base                    0.0s
         => [2/3] RUN make                            1.1s
         => => # cc x.c
         => => # progress 20%
         => => sha256:1 1.50MB / 2.00MB 1.25MB/s      1.2s",
    );
}

#[test]
fn tty_shows_long_lines_whole_and_unfinished_ones() {
    let script = "0 vertex a A
         0 start a
         0 log a first\\n01234567890123456789abc\\n
         0.1 log a 10%\\r
         0.2 log a 20%\\r
         1 tick";
    tty(
        script,
        (30, 20),
        "
        [+] Building 1.0s (0/1)
         => A                     1.0s
         => => # first
         => => # 01234567890123456789
         => => # abc
         => => # 20%",
    );
    // However long it goes on.
    let dots = format!("{script}\n{}", "0.3 log a 0123456789 30%\\r\n".repeat(1000));
    assert!(screen(&dots, Size { width: 30, height: 20 }, false).contains(" => => # 0123456789 30%\n"));
    // No more rows than lines are shown.
    let long = format!("0 vertex a A\n0 start a\n0 log a {}", "x".repeat(900));
    assert_eq!(screen(&long, Size { width: 30, height: 20 }, false).matches("# x").count(), 6);
}

#[test]
fn tty_leaves_out_what_ended_first() {
    let script = "0 vertex a A
         0 vertex b B
         0 vertex c C
         0 start a
         1 fail a context canceled
         1 start b
         2 fail b broken
         2 start c
         3 tick";
    tty(
        script,
        (40, 4),
        "
        [+] Building 3.0s (2/3)
         => ERROR B                         1.0s
         => C                               1.0s",
    );
    let all = screen(script, Size { width: 40, height: 4 }, true);
    assert!(all.contains("=> CANCELED A"), "{all}");
}

#[test]
fn tty_cuts_long_names_and_survives_a_narrow_screen() {
    let script = "0 vertex a 0123456789012345678901234567890123456789
         0 start a
         1 done a";
    tty(
        script,
        (30, 10),
        "
        [+] Building 1.0s (1/1)
         => 01234567890123456789  1.0s",
    );
    tty(script, (12, 10), "[+] Building");
}

#[test]
fn tty_counts_columns() {
    // Wide characters take two, marks none: nothing is wider than the screen.
    let script = format!("0 vertex a {}\n0 start a\n0 log a 日本語日本語e\u{301}日本語\\n", "日".repeat(40));
    tty(
        &script,
        (30, 20),
        &format!(
            "
        [+] Building 0.0s (0/1)
         => {}  0.0s
         => => # 日本語日本語e\u{301}日本語
            ",
            "日".repeat(10)
        ),
    );
    let narrow = screen(&script, Size { width: 15, height: 20 }, false);
    assert!(narrow.contains("# 日本\n => => # 語日\n"), "{narrow}");
}

#[test]
fn tty_shows_no_more_notices_than_fit() {
    let notices: String = (0..20).map(|number| format!("0 warn - notice {number}\n")).collect();
    let shown = screen(&notices, Size { width: 40, height: 6 }, false);
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(shown.contains("notice 19") && !shown.contains("notice 15\n"), "{shown}");
    assert_eq!(screen(&notices, Size { width: 40, height: 6 }, true).lines().count(), 21);
}

#[test]
fn tty_says_when_it_is_over() {
    let drawn = screen("0 vertex a A\n0 start a\n1 done a", Size { width: 80, height: 10 }, true);
    assert!(drawn.starts_with("[+] Building 1.0s (1/1) FINISHED\n"), "{drawn}");
}

#[test]
fn tty_redraws_over_itself() {
    let mut tty = Tty::new(Style::from_environment(|_| None));
    for (_, event) in events("0 vertex a A\n0 start a\n1 done a") {
        event.iter().for_each(|event| tty.event(event));
    }
    let size = Size { width: 80, height: 10 };
    let now = UNIX_EPOCH + EPOCH;
    assert!(!tty.draw(now, size, false).contains("\x1b[2A"));
    let second = tty.draw(now, size, false);
    assert!(second.contains("\x1b[2A\r\x1b[K[+]") && second.contains("\x1b[34m => A"), "{second:?}");
}

#[test]
fn raw_lines_are_solve_status() {
    let mut raw = Raw::default();
    let mut out = String::new();
    for (at, event) in events(
        "0 strong a group
         0.5 start a
         0.5 log a hi\\n
         0.75 end-status a x 1 2
         1 fail a broken
         1 warn - careful",
    ) {
        out += &raw.event(&event.unwrap(), at);
    }
    let a = Digest::sha256(b"a");
    let vertex = format!(r#"{{"digest":"{a}""#);
    let group = r#""progressGroup":{"id":"group","name":"group"}"#;
    let [t0, t1, t2] = ["20.5", "20.75", "21"].map(|second| format!("\"2023-11-14T22:13:{second}Z\""));
    let want = format!(
        r#"{{"vertexes":[{vertex},{group}}}]}}
{{"vertexes":[{vertex},"started":{t0},{group}}}]}}
{{"logs":[{{"vertex":"{a}","stream":1,"data":"aGkK","timestamp":{t0}}}]}}
{{"statuses":[{{"id":"x","vertex":"{a}","total":2,"current":1,"timestamp":{t1},"started":"2023-11-14T22:13:20Z","completed":{t1}}}]}}
{{"vertexes":[{vertex},"started":{t0},"completed":{t2},"error":"broken",{group}}}]}}
{{"warnings":[{{"level":1,"short":"Y2FyZWZ1bA=="}}]}}
"#
    );
    assert_eq!(out, want);
}

#[test]
fn a_step_that_starts_again_is_open_and_counts_what_it_worked() {
    let script = "0 vertex a FROM base
         0 start a
         0.5 done a
         3 start a
         4 status a sha256:abc 4000000 8000000";
    tty(
        script,
        (60, 10),
        "
        [+] Building 4.0s (0/1)
         => FROM base                                           1.5s
         => => sha256:abc 4.00MB / 8.00MB 1.00MB/s              4.0s",
    );
    let ended = format!("{script}\n4 end-status a sha256:abc 8000000 8000000\n5 done a");
    tty(
        &ended,
        (60, 10),
        "
        [+] Building 5.0s (1/1)
         => FROM base                                           2.5s
         => => sha256:abc 8.00MB / 8.00MB                       4.0s",
    );
    plain(
        &ended,
        "
        #1 FROM base
        #1 DONE 0.5s

        #1 FROM base
        #1 sha256:abc 8.00MB / 8.00MB 4.0s done
        #1 DONE 2.5s",
    );
}

#[test]
fn what_others_say_is_no_command_to_the_terminal() {
    let script = "0 vertex a RUN x
         0 warn - no\u{1b}tice
         0 start a
         0 status a down\u{1b}loading 1 0
         0.5 warn a care\u{1b}ful
         1 end-status a down\u{1b}loading 1 0
         1 fail a no user \u{1b}[31m";
    plain(
        script,
        r"
        WARN: no\u{1b}tice
        #1 RUN x
        #1 down\u{1b}loading 1B 0.5s
        #1 WARN: care\u{1b}ful
        #1 down\u{1b}loading 1B 1.0s done
        #1 ERROR: no user \u{1b}[31m",
    );
    assert!(!screen(script, Size { width: 80, height: 20 }, false).contains('\u{1b}'));
}

#[test]
fn programs_get_all_of_a_warning() {
    let source = llb::SourceInfo { filename: "Dockerfile".into(), data: (*b"FROM a").into(), ..Default::default() };
    let at = |line| llb::Position { line, character: 0 };
    let about = About {
        vertex: Some(Digest::sha256(b"")),
        level: 3,
        short: b"short".to_vec(),
        detail: vec![b"one".to_vec(), b"two".to_vec()],
        url: "https://example.com".into(),
        source: Some((source, vec![llb::Range { start: at(2), end: at(4) }])),
    };
    let event = Event::Warning { digest: None, message: "for people".into(), about: Some(Box::new(about)) };
    let line = Raw::default().event(&event, UNIX_EPOCH);
    let expected = format!(
        r#"{{"warnings":[{{"vertex":"{}","level":3,"short":"c2hvcnQ=","detail":["b25l","dHdv"],"url":"https://example.com","sourceInfo":{{"filename":"Dockerfile","data":"RlJPTSBh"}},"range":[{{"start":{{"line":2}},"end":{{"line":4}}}}]}}]}}"#,
        Digest::sha256(b"")
    );
    assert_eq!(line.trim(), expected);
}
