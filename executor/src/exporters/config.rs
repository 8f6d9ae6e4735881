//! The image config that is exported: what the frontend wrote, completed by what only the result knows.
//!
//! parity: top-level keys come out sorted, everything inside them as the frontend wrote it (`config`, unknown keys);
//! `rootfs` and `history` are written anew, `created` is filled in or moved back to the epoch.

use oci::json::RawObject;
use oci::{History, ImageConfig, Platform, RootFs, Time};

use super::layers::LayerBlob;
use crate::{Error, Result};

/// Says who added a history entry that the frontend did not write.
const COMMENT: &str = "buildkit.exporter.image.v0";
/// Where a config has the cache that led to the image.
const CACHE: &str = "moby.buildkit.cache.v0";
/// Search path of images that have none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Completes a config. `base` is that of the image it was built on.
pub(super) fn complete(
    config: Option<&[u8]>,
    base: Option<&[u8]>,
    platform: &Platform,
    layers: &[LayerBlob],
    epoch: Option<i64>,
) -> Result<Vec<u8>> {
    let default;
    let bytes = match config {
        Some(bytes) => bytes,
        None => {
            default = default_config(platform);
            &default
        }
    };
    let invalid = |error: &dyn std::fmt::Display| Error::Invalid(format!("invalid image config for export: {error}"));
    if bytes.trim_ascii() == b"null" {
        return Err(Error::Invalid("invalid null image config for export".into()));
    }
    let mut object = RawObject::parse(bytes).map_err(|error| invalid(&error))?;
    let read = ImageConfig::from_json(bytes).map_err(|error| invalid(&error))?;
    match (read.platform.os.as_str(), read.platform.architecture.as_str()) {
        ("", "") => return Err(invalid(&"missing os and architecture")),
        ("", _) | (_, "") => {
            return Err(Error::Invalid("invalid image config: os and architecture must be specified together".into()));
        }
        _ => {}
    }
    let base = base.and_then(|bytes| ImageConfig::from_json(bytes).ok());
    // Where nobody says what the base was: its entries are those that came with a time.
    let timed = read.history.iter().take_while(|entry| entry.created.is_some()).count();
    let mut history = with_times(read.history, layers);
    if let Some(epoch) = epoch {
        let of_base = base.map_or(timed, |base| common(&history, &base.history));
        clamp(&mut history[of_base..], epoch);
    }
    let diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>();
    let diff_ids = (!diff_ids.is_empty()).then_some(diff_ids);
    object.set_rootfs(&RootFs { kind: "layers".into(), diff_ids });
    // Go prints a list that was never there as null.
    match history.is_empty() && object.get("history").is_none() {
        true => object.set("history", &None::<()>),
        false => object.set_history(&history),
    }
    match (read.created, epoch) {
        (Some(created), Some(epoch)) if is_after(created, epoch) => object.set("created", &at(epoch)),
        (None, _) if object.get("created").is_none() => {
            object.set("created", &history.iter().filter_map(|entry| entry.created).next_back());
        }
        _ => {}
    }
    Ok(object.to_vec())
}

/// Puts what the cache knows of the layers into a config.
pub(super) fn with_cache(config: &[u8], records: &[u8]) -> Result<Vec<u8>> {
    let mut object = RawObject::parse(config)
        .map_err(|error| Error::Invalid(format!("invalid image config for export: {error}")))?;
    object.set(CACHE, &oci::base64::encode(records));
    Ok(object.to_vec())
}

fn default_config(platform: &Platform) -> Vec<u8> {
    let mut config = ImageConfig::empty(platform.clone());
    config.config.working_dir = "/".into();
    if platform.os != "windows" {
        config.config.env = vec![PATH.into()];
    }
    config.to_json()
}

/// One entry for each layer, each with a time: that of its layer, else of the first new layer after it, else of the entry
/// before.
fn with_times(mut history: Vec<History>, layers: &[LayerBlob]) -> Vec<History> {
    let mut counted = 0;
    for entry in &mut history {
        entry.empty_layer |= counted >= layers.len();
        counted += usize::from(!entry.empty_layer);
    }
    for layer in &layers[counted..] {
        let (created, comment) = (layer.created, COMMENT.into());
        let created_by = layer.made_by.clone().unwrap_or_default();
        history.push(History { created, created_by, comment, ..History::default() });
    }
    let mut layers = layers.iter();
    for entry in history.iter_mut().filter(|entry| !entry.empty_layer) {
        let layer = layers.next().expect("there are as many entries as layers");
        entry.created = entry.created.or(layer.created);
    }
    let first_new = history.iter().position(|entry| entry.created.is_none());
    let mut created = match first_new {
        Some(at) => {
            let after = history[at..].iter().find_map(|entry| entry.created);
            after.or(history.iter().filter_map(|entry| entry.created).next_back())
        }
        None => None,
    };
    let mut missing = false;
    for entry in &mut history {
        match entry.created {
            Some(time) if missing => created = Some(time),
            Some(_) => {}
            None => {
                missing = true;
                entry.created = created;
            }
        }
    }
    history
}

/// Entries at the beginning that are those of the base image.
fn common(history: &[History], base: &[History]) -> usize {
    history.iter().zip(base).take_while(|(entry, base)| entry == base).count()
}

/// Moves times after the epoch back to it.
fn clamp(history: &mut [History], epoch: i64) {
    for entry in history {
        if entry.created.is_none_or(|created| is_after(created, epoch)) {
            entry.created = Some(at(epoch));
        }
    }
}

fn at(seconds: i64) -> Time {
    Time::from_unix(seconds, 0)
}

fn is_after(time: Time, epoch: i64) -> bool {
    (time.unix_seconds(), time.nanos()) > (epoch, 0)
}

#[cfg(test)]
mod tests {
    use oci::{Descriptor, Digest, media};

    use super::*;

    fn layers(times: &[i64]) -> Vec<LayerBlob> {
        let layer = |time: &i64| LayerBlob {
            diff_id: Digest::sha256(b""),
            blob: Descriptor::of(media::OCI_LAYER, b""),
            created: Some(at(*time)),
            made_by: (*time == 7).then(|| "mkdir /a".to_owned()),
        };
        times.iter().map(layer).collect()
    }

    fn check(config: &str, base: Option<&str>, times: &[i64], epoch: Option<i64>, expected: &str) {
        let platform = Platform::new("linux", "amd64");
        let bytes =
            complete(Some(config.as_bytes()), base.map(str::as_bytes), &platform, &layers(times), epoch).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace(Digest::sha256(b"").as_str(), "D");
        assert_eq!(text, expected);
    }

    #[test]
    fn keys_are_sorted_and_config_keeps_its_bytes() {
        check(
            r#"{"os":"linux","config":{"Z":"<","Env":["A=1"]},"x":1,"architecture":"amd64","created":"2020-01-01T00:00:00Z"}"#,
            None,
            &[],
            None,
            r#"{"architecture":"amd64","config":{"Z":"\u003c","Env":["A=1"]},"created":"2020-01-01T00:00:00Z","history":null,"os":"linux","rootfs":{"type":"layers","diff_ids":null},"x":1}"#,
        );
    }

    #[test]
    fn layers_without_history_get_entries() {
        check(
            r#"{"os":"linux","architecture":"amd64","history":[{"created_by":"a"},{"created_by":"e","empty_layer":true}]}"#,
            None,
            &[5, 7],
            None,
            r#"{"architecture":"amd64","created":"1970-01-01T00:00:07Z","history":[{"created":"1970-01-01T00:00:05Z","created_by":"a"},{"created":"1970-01-01T00:00:07Z","created_by":"e","empty_layer":true},{"created":"1970-01-01T00:00:07Z","created_by":"mkdir /a","comment":"buildkit.exporter.image.v0"}],"os":"linux","rootfs":{"type":"layers","diff_ids":["D","D"]}}"#,
        );
    }

    #[test]
    fn entries_without_layers_are_empty() {
        check(
            r#"{"os":"linux","architecture":"amd64","history":[{"created_by":"a","created":"2020-01-01T00:00:00Z"}]}"#,
            None,
            &[],
            None,
            r#"{"architecture":"amd64","created":"2020-01-01T00:00:00Z","history":[{"created":"2020-01-01T00:00:00Z","created_by":"a","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#,
        );
    }

    #[test]
    fn times_after_the_epoch_are_moved_but_for_the_base() {
        let base = r#"{"history":[{"created":"2030-01-01T00:00:00Z","created_by":"base"}]}"#;
        // Whether the base is known, or only seen by its entries' times.
        for base in [Some(base), None] {
            check(
                r#"{"os":"linux","architecture":"amd64","created":"2031-01-01T00:00:00Z","history":[{"created":"2030-01-01T00:00:00Z","created_by":"base"},{"created_by":"a"},{"created_by":"e","empty_layer":true}]}"#,
                base,
                &[5, 2_000_000_000],
                Some(10),
                r#"{"architecture":"amd64","created":"1970-01-01T00:00:10Z","history":[{"created":"2030-01-01T00:00:00Z","created_by":"base"},{"created":"1970-01-01T00:00:10Z","created_by":"a"},{"created":"1970-01-01T00:00:10Z","created_by":"e","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":["D","D"]}}"#,
            );
        }
    }

    #[test]
    fn nothing_written_by_a_frontend() {
        let bytes = complete(None, None, &Platform::new("linux", "arm64"), &layers(&[3]), None).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(r#""config":{"Env":["PATH=/usr/local/sbin:"#), "{text}");
        assert!(text.contains(r#""architecture":"arm64""#), "{text}");
    }

    #[test]
    fn what_is_no_config() {
        let check = |config: &str, expected: &str| {
            let error = complete(Some(config.as_bytes()), None, &Platform::new("linux", "amd64"), &[], None);
            assert_eq!(error.unwrap_err().to_string(), format!("invalid {expected}"));
        };
        check(r#"{"architecture":"amd64"}"#, "image config: os and architecture must be specified together");
        check(r#"{"os":"linux"}"#, "image config: os and architecture must be specified together");
        check("{}", "image config for export: missing os and architecture");
        check("null", "null image config for export");
    }
}
