//! What is built.

/// A build to measure.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) dockerfile: fn() -> String,
    /// Whether everything comes from the cache.
    pub(super) cached: bool,
}

/// The image they all build on.
pub(super) const BASE: &str = "bench-base:1";

pub(super) const ALL: &[Workload] = &[
    Workload { name: "one RUN step", dockerfile: || runs(1), cached: false },
    Workload { name: "20 RUN steps", dockerfile: || runs(20), cached: false },
    Workload { name: "20 RUN steps, all cached", dockerfile: || runs(20), cached: true },
    Workload { name: "16 stages of `sleep 0.5`, copied together", dockerfile: stages, cached: false },
];

fn runs(count: usize) -> String {
    let steps = (0..count).map(|step| format!("RUN echo {step} > /file-{step}\n"));
    format!("FROM {BASE}\n{}", steps.collect::<String>())
}

fn stages() -> String {
    let stages = (0..16).map(|stage| format!("FROM {BASE} AS s{stage}\nRUN sleep 0.5; echo {stage} > /out\n"));
    let copies = (0..16).map(|stage| format!("COPY --from=s{stage} /out /out-{stage}\n"));
    format!("{}FROM {BASE}\n{}", stages.collect::<String>(), copies.collect::<String>())
}
