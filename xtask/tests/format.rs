//! Formatting keeps what is built: the definition and the image configs of every case of the corpus are the same before
//! and after, byte for byte, as the case is and with its layout in disorder. Only places in the text may differ.

use std::path::Path;
use std::sync::Arc;

use ast::Source;
use xtask::conformance::{self, Case, CorpusWorld};

/// What a text compiles to, without places in it; `None` if it does not compile.
fn built(case: &Case, world: &CorpusWorld, bytes: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let source = Source::new(case.source.name.clone(), bytes);
    let outcome = compiler::compile(&source, &case.options, compiler::Facts::default(), world);
    let plan = outcome.plan?;
    let mut definition = llb::encode(&plan.graph).ok()?;
    definition.source = None;
    Some((definition.to_bytes(), plan.outputs.into_iter().map(|output| output.image).collect()))
}

fn formatted(case: &Case, bytes: &[u8]) -> Vec<u8> {
    let source = Source::new(case.source.name.clone(), bytes);
    let edits = compiler::format(&source).expect("a Dockerfile can be formatted");
    ast::apply(bytes, &edits)
}

/// A fixed sequence of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The text with blanks and blank lines put in at starts and ends of lines.
fn disordered(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split_inclusive(|b| *b == b'\n') {
        if random.below(4) == 0 {
            out.extend_from_slice(
                [&b"  "[..], b"\t", b"\n\n", b" \n", b"# note \n", b"  # note\n"][random.below(6) as usize],
            );
        }
        let (content, end) = line.split_at(line.len() - usize::from(line.ends_with(b"\n")));
        out.extend_from_slice(content);
        if random.below(3) == 0 {
            out.extend_from_slice([&b"  "[..], b"\t", b"\r", b" \t"][random.below(4) as usize]);
        }
        out.extend_from_slice(end);
    }
    out
}

fn check(folder: &Path, images: &Arc<compiler::Lock>, random: &mut Random) -> usize {
    let case = Case::read(folder).expect("the case can be read");
    let world = CorpusWorld::new(&case, images.clone()).expect("the case has a world");
    let mut compared = 0;
    for bytes in [case.source.bytes.to_vec(), disordered(&case.source.bytes, random)] {
        let Some(before) = built(&case, &world, &bytes) else { continue };
        let text = formatted(&case, &bytes);
        assert!(built(&case, &world, &text).as_ref() == Some(&before), "{}: {text:?}", Case::name_of(folder));
        assert!(formatted(&case, &text) == text, "{}: formatting again changes it", Case::name_of(folder));
        compared += 1;
    }
    compared
}

#[test]
fn what_is_built_stays() {
    let corpus = conformance::corpus();
    let images = Arc::new(conformance::images(&corpus).expect("the images of the corpus"));
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let cases = conformance::cases(&corpus, "").expect("the cases of the corpus");
    let compared: usize = cases.iter().map(|folder| check(folder, &images, &mut random)).sum();
    // About a seventh of the cases are errors, and disorder makes errors of some others.
    assert!(compared > 1000, "only {compared} texts compile");
}
