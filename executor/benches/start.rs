//! How long a container takes from start to exit: the median over runs of `true`. `cargo bench -p executor --bench start`.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use executor::Cancel;
use executor::runtime::{Embedded, Root, Runtime, Spec};
use executor::snapshot::Overlay;

/// Runs that are measured, after some that are not.
const RUNS: usize = 100;
const WARM_UP: usize = 10;

fn main() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    std::os::unix::fs::symlink("busybox", root.join("bin/true")).unwrap();
    let spec = |root| Spec {
        root,
        args: vec!["/bin/true".into()],
        env: vec!["PATH=/bin".into()],
        cwd: "/".into(),
        ..Spec::default()
    };
    let runtime = Embedded::with_shim(env!("CARGO_BIN_EXE_executor"));
    report("directory", &runtime, |_| spec(Root::Dir(root.clone())));
    report("overlay", &runtime, |run| spec(Root::Overlay(overlay(temp.path(), &root, run))));
    report_with("plain process, for comparison", || {
        std::process::Command::new("/bin/true").status().unwrap();
    });
}

fn overlay(temp: &Path, lower: &Path, run: usize) -> Overlay {
    let [upper, work] = ["upper", "work"].map(|name| temp.join(format!("{name}-{run}")));
    std::fs::create_dir(&upper).unwrap();
    std::fs::create_dir(&work).unwrap();
    Overlay { lower: vec![lower.into()], upper, work }
}

fn report(name: &str, runtime: &dyn Runtime, spec: impl Fn(usize) -> Spec) {
    let mut run = 0;
    report_with(name, || {
        run += 1;
        let exit = runtime.run(&spec(run), &|_, _| (), &Cancel::default()).unwrap();
        assert_eq!(exit.code, 0);
    });
}

fn report_with(name: &str, mut once: impl FnMut()) {
    (0..WARM_UP).for_each(|_| once());
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed()
        })
        .collect();
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1000.0;
    println!("{name:32} median {:5.2} ms   p10 {:5.2}   p90 {:5.2}", at(50), at(10), at(90));
}
