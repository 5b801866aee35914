//! Views of one picture at test time, whose predictions are averaged.

use derm_core::View;
use serde::{Deserialize, Serialize};

use crate::error::setting;
use crate::{Error, Orientation, Resize, RgbPixels, Scratch};

/// Where a crop lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropPlace {
    /// The left upper corner.
    TopLeft,
    /// The right upper corner.
    TopRight,
    /// The left lower corner.
    BottomLeft,
    /// The right lower corner.
    BottomRight,
    /// The middle.
    Centre,
}

impl CropPlace {
    /// All five, in torchvision's order.
    pub const ALL: [Self; 5] =
        [Self::TopLeft, Self::TopRight, Self::BottomLeft, Self::BottomRight, Self::Centre];
}

/// One way to look at a picture at test time.
///
/// ```
/// use derm_core::Interpolation;
/// use derm_data::{Orientation, Resize, ResizeRule, RgbPixels, Scratch, TestView};
/// let picture = RgbPixels::new(20, 15, (0..900).map(|at| (at % 251) as u8).collect()).unwrap();
/// let resize = Resize::new(8, ResizeRule::Squash, Interpolation::Bilinear)?;
/// let mut scratch = Scratch::new();
/// let mut views = vec![TestView::Identity, TestView::HorizontalFlip];
/// views.extend(TestView::five_crops(0.8)?);
/// for view in views {
///     let (pixels, _turned_on_the_way) = view.apply(&picture, &resize, &mut scratch)?;
///     assert_eq!((pixels.width(), pixels.height()), (8, 8));
/// }
/// # Ok::<(), derm_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestView {
    /// As for evaluation.
    Identity,
    /// Left and right exchanged.
    HorizontalFlip,
    /// Top and bottom exchanged.
    VerticalFlip,
    /// Both: a half turn.
    BothFlips,
    /// A part: the picture is scaled so that its shorter side is S / `share` (by the rule
    /// [`ResizeRule::Squash`](crate::ResizeRule::Squash): both sides), and S by S pixels are cut out, as torchvision's
    /// `Resize` and `FiveCrop` do. It takes the place of the rule's own `crop_pct`.
    Crop {
        /// Where it lies.
        place: CropPlace,
        /// S over the side that it is cut out of, 0.05 to 1.
        share: f32,
    },
}

impl TestView {
    /// The four corners and the centre.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share outside [0.05, 1].
    pub fn five_crops(share: f32) -> Result<[Self; 5], Error> {
        let views = CropPlace::ALL.map(|place| Self::Crop { place, share });
        views[0].validate()?;
        Ok(views)
    }

    /// The pictures whose predictions are averaged (or taken as they are, where it is one) for `view`; none for a view
    /// that does not say how to look at a picture.
    ///
    /// ```
    /// use derm_core::View;
    /// use derm_data::TestView;
    /// assert_eq!(TestView::of(&View::HorizontalFlip), [TestView::HorizontalFlip]);
    /// assert_eq!(TestView::of(&View::Flips).len(), 4);
    /// assert!(TestView::of(&View::Mean).is_empty());
    /// ```
    pub fn of(view: &View) -> Vec<Self> {
        match view {
            View::Identity => vec![Self::Identity],
            View::HorizontalFlip => vec![Self::HorizontalFlip],
            View::VerticalFlip => vec![Self::VerticalFlip],
            View::Flips => {
                vec![Self::Identity, Self::HorizontalFlip, Self::VerticalFlip, Self::BothFlips]
            }
            View::Mean | View::Member(_) => Vec::new(),
        }
    }

    /// Checks the share of a crop.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share outside [0.05, 1].
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Crop { share, .. } if !(0.05..=1.0).contains(share) => {
                Err(setting("share of a crop", share, "0.05 to 1"))
            }
            _ => Ok(()),
        }
    }

    /// What [`Predictions`](derm_core::Predictions) call it; views that have no name there are members such as
    /// `crop_top_left_0.875`.
    pub fn view(&self) -> View {
        match self {
            Self::Identity => View::Identity,
            Self::HorizontalFlip => View::HorizontalFlip,
            Self::VerticalFlip => View::VerticalFlip,
            Self::BothFlips => View::Member("both_flips".to_owned()),
            Self::Crop { place, share } => {
                let place = match place {
                    CropPlace::TopLeft => "top_left",
                    CropPlace::TopRight => "top_right",
                    CropPlace::BottomLeft => "bottom_left",
                    CropPlace::BottomRight => "bottom_right",
                    CropPlace::Centre => "centre",
                };
                View::Member(format!("crop_{place}_{share}"))
            }
        }
    }

    /// How it turns a picture, where that is all it does.
    pub(crate) fn orientation(self) -> Option<Orientation> {
        match self {
            Self::Identity => Some(Orientation::UPRIGHT),
            Self::HorizontalFlip => Some(Orientation::MIRRORED),
            Self::VerticalFlip => Some(Orientation::FLIPPED),
            Self::BothFlips => Some(Orientation::HALF_TURN),
            Self::Crop { .. } => None,
        }
    }

    /// The view, S by S pixels, and how [`Normalizer::write_planes`](crate::Normalizer::write_planes) shall turn it. It
    /// lies in the scratch until its next use.
    ///
    /// # Errors
    /// [`Error::Setting`] as [`TestView::validate`], [`Error::Resize`] as [`Resize::apply`].
    pub fn apply<'a>(
        &self,
        picture: &RgbPixels,
        resize: &Resize,
        scratch: &'a mut Scratch,
    ) -> Result<(&'a RgbPixels, Orientation), Error> {
        self.validate()?;
        let orientation = self.orientation().unwrap_or(Orientation::UPRIGHT);
        if let Self::Crop { place, share } = *self {
            let place = match place {
                CropPlace::TopLeft => (0, 0),
                CropPlace::TopRight => (2, 0),
                CropPlace::BottomLeft => (0, 2),
                CropPlace::BottomRight => (2, 2),
                CropPlace::Centre => (1, 1),
            };
            resize.part_into(picture, share, place, &mut scratch.resize, &mut scratch.picture)?;
        } else {
            resize.apply_into(picture, &mut scratch.resize, &mut scratch.picture)?;
        }
        Ok((&scratch.picture, orientation))
    }
}
