//! Any bytes parse and check as HLB, what holds for modules holds, and printing keeps its own form.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let language = frontends::detect("x.hlb").expect("HLB is a language");
    frontends::invariants::check(language, bytes);
});
