//! What holds for any word, whatever its bytes.

use super::pieces::extent;
use super::{Mode, Piece, Word, is_plain};

/// Reads `raw` in every mode and checks what holds for any word: for tests and fuzzing.
///
/// Panics when something does not hold.
pub fn check(raw: &[u8], escape: u8) {
    for mode in [Mode::Word, Mode::Name, Mode::Document, Mode::Delimiter, Mode::Line] {
        let word = Word::parse(raw, escape, mode);
        check_pieces(&word, &word.pieces);
        let mentioned = word.references();
        assert!(mentioned.iter().all(|reference| word.text.contains(reference.name)));
        // `words_unset` evaluates everything but what depends on a value.
        assert_eq!(word.words_unset().is_none(), word.first_fault().is_some(), "{raw:?} {mode:?}");
    }
    if is_plain(raw, escape) {
        let word = Word::parse(raw, escape, Mode::Word);
        let text: String = word.pieces.iter().map(|piece| word.slice(&extent(std::slice::from_ref(piece)))).collect();
        assert_eq!(text.as_bytes(), raw);
    }
}

fn check_pieces(word: &Word<'_>, pieces: &[Piece]) {
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            // Slicing panics outside the text and inside a character.
            Piece::Text(range) | Piece::Literal(range) => drop(word.slice(range).len()),
            Piece::Quoted(inner) => check_pieces(word, inner),
            Piece::Variable(variable) => {
                assert!(variable.range.start <= variable.name.start && variable.name.end <= variable.range.end);
                assert!(word.slice(&variable.range).starts_with('$'));
                variable.operands().for_each(|operand| check_pieces(word, operand));
            }
            Piece::Fault(_) => assert_eq!(index + 1, pieces.len(), "a fault is the last piece"),
        }
    }
}
