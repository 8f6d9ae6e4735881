//! Pins an image to the digest its tag has now.

use super::{Action, Place, insert, rewrite};
use crate::features::hover::{known_image, reference_of};
use crate::features::links;
use crate::file::View;

pub(super) fn action(view: &View<'_>, place: &Place<'_>) -> Option<Action> {
    let touched = |image: &&ast::Str| image.span.start <= place.range.end && place.range.start <= image.span.end;
    let images = links::images(place.step);
    let image = images.iter().copied().find(touched).or_else(|| images.first().copied())?;
    let reference = reference_of(view, place.step, image)?;
    // A digest behind a variable would be that of one value only.
    if reference.digest().is_some() || image.raw().contains(&b'$') {
        return None;
    }
    let digest = known_image(view, &reference)?.digest.as_ref()?;
    let tag = if image.raw().lossy().rsplit('/').next()?.contains(':') { "" } else { ":latest" };
    let edit = insert(image.span.end, format!("{tag}@{digest}"));
    Some(rewrite(format!("Pin {} to its digest", reference.familiar()), vec![edit]))
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::{check, check_none};
    use crate::testing::DIGEST;

    #[test]
    fn an_image_that_is_known() {
        check("FROM alpine:3.20┃ AS a\n", "Pin alpine:3.20", &format!("FROM alpine:3.20@{DIGEST} AS a\n"));
        check_none("FROM debian┃\n", "Pin");
        check_none("ARG V=3.20\nFROM alpine:$V┃\n", "Pin");
    }
}
