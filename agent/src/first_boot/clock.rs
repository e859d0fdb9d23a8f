//! Time that never runs backwards. A Pi has no clock that runs while it is off: without this it may start in 1970,
//! where certificates are not valid yet and logs are out of order. Done at every start.

use anyhow::Result;
use serde::Deserialize;

use super::markers::Markers;
use super::system::System;
use crate::paths::Paths;

/// What `image-builder` wrote into the image. Keys that a later one adds are none of our business.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ImageStamp {
    /// Seconds since 1970.
    pub(super) built: u64,
}

/// The stamp; `None` when this system was not made by `image-builder`. A damaged stamp is one that says nothing.
pub(super) fn image_stamp(paths: &Paths) -> Option<ImageStamp> {
    let text = std::fs::read_to_string(paths.image_stamp()).ok()?;
    Some(toml::from_str(&text).unwrap_or(ImageStamp { built: 0 }))
}

/// Sets the clock when it is behind the image or behind something that this node did. Returns the new time then.
pub(super) fn run(system: &mut dyn System, stamp: &ImageStamp, markers: &Markers) -> Result<Option<u64>> {
    let Some(seconds) = plan(system.now(), stamp, markers) else {
        return Ok(None);
    };
    system.set_clock(seconds)?;
    Ok(Some(seconds))
}

fn plan(now: u64, stamp: &ImageStamp, markers: &Markers) -> Option<u64> {
    let newest = markers.iter().map(|(_, marker)| marker.done_at).max();
    let earliest = stamp.built.max(newest.unwrap_or(0));
    (now < earliest).then_some(earliest)
}

#[cfg(test)]
mod tests {
    use super::super::markers::Marker;
    use super::super::step::Step;
    use super::*;

    #[test]
    fn the_clock_is_set_forward_only_and_not_behind_what_was_done() {
        let mut markers = Markers::default();
        let stamp = ImageStamp { built: 1000 };
        for (now, expected) in [(0, Some(1000)), (999, Some(1000)), (1000, None), (5000, None)] {
            assert_eq!(plan(now, &stamp, &markers), expected);
        }
        markers.insert(Step::User, Marker::new(2000, true, ""));
        markers.insert(Step::Hostname, Marker::new(1500, true, ""));
        assert_eq!(plan(1000, &stamp, &markers), Some(2000));
    }

    #[test]
    fn a_damaged_stamp_still_marks_one_of_our_images() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert_eq!(image_stamp(&paths), None);
        std::fs::create_dir_all(paths.image_stamp().parent().unwrap()).unwrap();
        for (text, built) in [
            ("version = 1\nrelease = \"0.1.0\"\nbuilt = 7\nnew = 1\n", 7),
            ("\0", 0),
        ] {
            std::fs::write(paths.image_stamp(), text).unwrap();
            assert_eq!(image_stamp(&paths), Some(ImageStamp { built }));
        }
    }
}
