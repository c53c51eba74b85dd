//! Ctrl-C, and being asked to end: the first time a run stops after its step, the second time at once.

use crate::console::Console;
use anyhow::Result;
use offshoot::train::Stop;

/// Takes interrupts from here on.
///
/// # Errors
/// If the system does not let them be taken.
#[cfg(unix)]
pub(crate) fn listen(stop: &Stop, console: &Console) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (stop, console) = (stop.clone(), console.clone());
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if stop.asked() {
                std::process::exit(128 + signal);
            }
            stop.ask();
            console.say("stopping after the step at hand; once more stops at once");
        }
    });
    Ok(())
}

/// Elsewhere they end the program at once; what was kept of the run is on disk.
#[cfg(not(unix))]
pub(crate) fn listen(_: &Stop, _: &Console) -> Result<()> {
    Ok(())
}
