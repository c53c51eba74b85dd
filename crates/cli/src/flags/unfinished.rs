//! What becomes of a run that is interrupted.

use clap::Args;
use offshoot::train::Every;

/// How unfinished runs are kept and gone on with.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Interruptions")]
pub(crate) struct UnfinishedFlags {
    /// Go on with the unfinished run in --output, as if it had not been interrupted; without DATA with the
    /// arguments that it was begun with. Where there is none, begin one
    #[arg(long)]
    pub(crate) resume: bool,

    /// Begin anew where an unfinished run is
    #[arg(long, conflicts_with = "resume")]
    pub(crate) restart: bool,

    /// Keep the run's state after every so many steps, in --output [default: once a minute]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    save_every: Option<u64>,
}

impl UnfinishedFlags {
    pub(crate) fn every(&self) -> Every {
        self.save_every.map_or_else(Every::default, Every::Steps)
    }
}
