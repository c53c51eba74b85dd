//! Flags that several commands share, and how they become a recipe. A flag that is not given leaves the
//! recipe as it is.

mod base;
mod data;
mod generation;
mod model;
mod run;
mod track;
mod training;
mod unfinished;
mod written;

pub(crate) use base::BaseFlags;
pub(crate) use data::{ColumnFlags, FormatFlag, LabelFlags, SplitFlags, formats, source};
pub(crate) use generation::GenerationFlags;
pub(crate) use model::{MachineFlags, ModelFlags, PickleFlags};
pub(crate) use run::{RunFlags, method_names, read_recipe};
pub(crate) use track::TrackFlags;
pub(crate) use training::{SizeFlags, TrainFlags};
pub(crate) use unfinished::UnfinishedFlags;
pub(crate) use written::WrittenFlags;

fn change<T: Clone>(setting: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        setting.clone_from(given);
    }
}
