//! Images in OCI layouts, as people write them: `DIRECTORY[:TAG][@DIGEST]`.

/// The directory, and what of it is meant: `:TAG@DIGEST`, as far as it is there.
pub fn split(place: &str) -> (&str, &str) {
    let named = place.split_once('@').map_or(place, |(named, _)| named);
    let end = match named.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') => directory.len(),
        _ => named.len(),
    };
    place.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_what_is_meant() {
        assert_eq!(split("a/b"), ("a/b", ""));
        assert_eq!(split("a/b:v1"), ("a/b", ":v1"));
        assert_eq!(split("a:1/b"), ("a:1/b", ""));
        assert_eq!(split("a/b@sha256:0"), ("a/b", "@sha256:0"));
        assert_eq!(split("a:1/b:v1@sha256:0"), ("a:1/b", ":v1@sha256:0"));
    }
}
