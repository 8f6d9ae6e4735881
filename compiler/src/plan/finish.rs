//! The end of planning for a platform: the image as it is exported.

use std::rc::Rc;

use oci::Platform;

use super::Purpose;
use super::image::env_entries;
use super::planner::Planner;
use super::stages::StageId;
use super::stop::Stop;
use crate::Output;

impl Planner<'_> {
    /// The result of a stage; `None` when it is not known.
    pub(super) fn output(&mut self, target: StageId, scan: crate::Scan) -> Option<Output> {
        let shipment = match self.shipment() {
            Ok(shipment) => shipment,
            Err(stop) => {
                self.report(stop);
                return None;
            }
        };
        let mut state = self.stages[target].state.take()?;
        for (key, value) in &self.settings.labels {
            state.image_mut().config.labels.insert((*key).to_owned(), (*value).to_owned());
        }
        let mut image = Rc::unwrap_or_clone(state.image);
        image.config.env = env_entries(&state.image_env);
        if !self.target.implicit {
            overwrite(&mut image.platform, &self.target.platform);
        }
        if !image.platform.is_normal() {
            image.platform = image.platform.normalize();
        }
        let history = self.shared.history.until(state.history);
        let is_late = |entry: &&oci::History| entry.created.is_some_and(|time| !time.is_printable());
        if self.request.purpose == Purpose::Build && history.iter().any(is_late) {
            let message = "failed to marshal image config: json: error calling MarshalJSON for type *time.Time: \
                           Time.MarshalJSON: year outside of range [0,9999]";
            let help = "SOURCE_DATE_EPOCH counts seconds, not milliseconds";
            self.report(Stop::error(message).help(help).nowhere(None));
            return None;
        }
        Some(Output {
            platform: self.target.platform.normalize(),
            edge: state.root,
            image: image.to_json_with(&history),
            base_image: state.base_image,
            listed: self.settings.multi_platform,
            epoch: self.epoch,
            scan,
            bill: None,
            needs: crate::Needs::default(),
            exports: Vec::new(),
            shipment,
        })
    }
}

/// What an image says it runs on, once somebody asked for a platform.
fn overwrite(platform: &mut Platform, target: &Platform) {
    let same = platform.os == target.os && platform.architecture == target.architecture;
    platform.os.clone_from(&target.os);
    platform.architecture.clone_from(&target.architecture);
    if !target.variant.is_empty() || !same {
        platform.variant.clone_from(&target.variant);
    }
    if !target.os_version.is_empty() || !same {
        platform.os_version.clone_from(&target.os_version);
    }
    if !target.os_features.is_empty() {
        platform.os_features.clone_from(&target.os_features);
    }
}
