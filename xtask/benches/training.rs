//! What releases are trained with (`cargo xtask release`): both corpora compiled in process, checked and put in order.

use xtask::conformance;
use xtask::frontend;

/// That of `llbc`.
#[path = "../../cli/src/allocator.rs"]
mod allocator;

/// Compiling counts so many times as much as all else that is asked of a text.
const ROUNDS: usize = 5;

fn main() {
    let corpus = conformance::corpus();
    let images = conformance::images(&corpus).expect("the corpus can be read").into();
    let cases = [conformance::cases(&corpus, ""), conformance::hlb::cases(&corpus, "")];
    for folder in cases.into_iter().flat_map(|cases| cases.expect("the corpus can be read")) {
        // Whether all is right is for tests to say: here it is only done, and what is wrong has a way of its own.
        let _ = conformance::run_case(&folder, &images);
    }
    for mut text in frontend::texts(&[]).expect("the corpus can be read") {
        (0..ROUNDS).for_each(|_| drop(std::hint::black_box(text.compile())));
    }
}
