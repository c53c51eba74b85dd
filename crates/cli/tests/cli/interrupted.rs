//! Runs that are killed, stopped, or run out of disk: none is lost.

use crate::place::{Place, Ran, rows};
use offshoot::core::Rng;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

const RUN: &str = "train rows.csv --model model --threads 1 --epochs 3 --lr 0.01 --save-every 1";

/// What a run leaves, apart from what it says of itself: names and bytes.
fn adapter(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    let told = |name: &String| name != "report.json" && name != "log.jsonl";
    named.filter(|(name, _)| told(name)).map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// What is in a folder, if it is there.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect()
}

/// Whether a state was being written, or an older one removed, when the run ended.
fn mid_write(output: &Path) -> bool {
    let states = names(&output.join("checkpoints/lora-8-seed0"));
    states.len() > 2 || states.iter().any(|name| name.ends_with(".tmp"))
}

/// A run that is killed at any moment and begun again with `--resume` ends with the adapter of one that is not.
#[test]
fn two_hundred_kills_lose_nothing() {
    let place = Place::new();
    let start = Instant::now();
    place.run(&format!("{RUN} --output whole")).ok();
    let (time, whole) = (start.elapsed().as_secs_f64(), adapter(&place.path("whole")));
    let (mut rng, mut kills, mut ended, mut mid_writes) = (Rng::new(5), 0, 0, 0);
    while kills < 200 {
        let mut child = place.start(&format!("{RUN} --resume --output out"));
        sleep(Duration::from_secs_f64(1.1 * time * rng.uniform()));
        if child.try_wait().unwrap().is_some() {
            Ran::of(child).ok();
            assert!(adapter(&place.path("out")) == whole, "other bytes after {kills} kills");
            assert!(!place.path("out/checkpoints").exists(), "a run that is done leaves no states");
            fs::remove_dir_all(place.path("out")).unwrap();
            ended += 1;
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        mid_writes += usize::from(mid_write(&place.path("out")));
    }
    place.run(&format!("{RUN} --resume --output out")).ok();
    assert!(adapter(&place.path("out")) == whole, "other bytes at the end");
    assert!(ended >= 3, "only {ended} runs came to their end");
    assert!(mid_writes >= 5, "only {mid_writes} of the kills met a state that was being written");
}

/// Asks a run to stop once it has taken a step, and waits for its end.
#[cfg(unix)]
pub(crate) fn stop(place: &Place, words: &str, signal: &str, states: &str) -> Ran {
    stop_child(place, place.start(words), signal, states)
}

#[cfg(unix)]
fn stop_child(place: &Place, child: Child, signal: &str, states: &str) -> Ran {
    wait(place, states);
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    Ran::of(child)
}

/// Waits until a run has taken two steps.
#[cfg(unix)]
pub(crate) fn wait(place: &Place, states: &str) {
    let begun = Instant::now();
    let step = |name: &str| name.strip_prefix("step-").and_then(|step| step.parse::<u32>().ok());
    while !names(&place.path(states)).iter().any(|name| step(name).is_some_and(|step| step >= 2)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no state in {states}");
        sleep(Duration::from_millis(2));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_stops_after_a_step_and_says_how_to_go_on() {
    let place = Place::new();
    let long = RUN.replace("--epochs 3", "--epochs 100");
    for (signal, output) in [("-INT", "one"), ("-TERM", "two")] {
        let ran = stop(
            &place,
            &format!("{long} --output {output}"),
            signal,
            &format!("{output}/checkpoints/lora-8-seed0"),
        );
        assert_eq!(ran.code, Some(130), "{ran:?}");
        for words in [
            "after the step at hand; once more stops at once",
            "stopped at step ",
            " of 300",
            "train --resume --output",
        ] {
            assert!(ran.stderr.contains(words), "`{words}` is not in {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    }
    // Begun anew by mistake, or with other arguments.
    place.run(&format!("{long} --output one")).fails(1, &["unfinished run", "--resume", "--restart"]);
    place.run(&format!("{RUN} --output one --resume")).fails(1, &["train.epochs was 100 and is 3"]);
    place.run("train --resume --output nowhere").fails(2, &["no unfinished run in nowhere"]);

    place.run(&format!("{long} --output whole")).ok();
    let ran = place.run("train --resume --output one").ok();
    assert!(ran.stderr.contains("going on from step "), "{}", ran.stderr);
    assert!(adapter(&place.path("one")) == adapter(&place.path("whole")), "other bytes");
    let again = place.run(&format!("{RUN} --output two --restart")).ok();
    assert!(!again.stderr.contains("going on from"), "{}", again.stderr);
}

#[cfg(unix)]
#[test]
fn a_run_on_standard_input_goes_on_with_the_same_rows_only() {
    let place = Place::new();
    let (text, run) = (rows(60), "train - --model model --threads 1 --epochs 100 --lr 0.01 --save-every 1");
    let mut child = place.start(&format!("{run} --output out"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let ran = stop_child(&place, child, "-INT", "out/checkpoints/lora-8-seed0");
    assert!(ran.stderr.contains("train --resume --output out < THE-SAME-ROWS"), "{}", ran.stderr);

    let resume = "train --resume --output out --threads 1";
    place.run_with(resume, "").fails(1, &["standard input holds no rows"]);
    let other = text.replace("good", "actor");
    place.run_with(resume, &other).fails(1, &["the unfinished run is another: the rows"]);
    let ran = place.run_with(resume, &text).ok();
    assert!(ran.stderr.contains("going on from step "), "{}", ran.stderr);
    place.run_with(&format!("{run} --output whole"), &text).ok();
    assert!(adapter(&place.path("out")) == adapter(&place.path("whole")), "other bytes");
}

#[cfg(unix)]
#[test]
fn a_stopped_comparison_goes_on_where_it_was() {
    let place = Place::new();
    let compare = "compare rows.csv --model model --threads 1 --methods ia3,lora,head --seeds 3,4 --epochs 40 \
                   --save-every 1";
    let ran = stop(&place, &format!("{compare} --output out"), "-INT", "out/checkpoints/lora-8-seed4");
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stdout.contains("ia3") && !ran.stdout.contains("head"), "what is done is shown: {ran:?}");
    assert!(ran.stderr.contains("before the end of lora, head"), "{}", ran.stderr);
    let done = |name: &str| fs::metadata(place.path(name)).unwrap().modified().unwrap();
    let adapters =
        ["out/adapters/ia3/adapter_model.safetensors", "out/adapters/lora/adapter_model.safetensors"];
    let before = adapters.map(done);

    let ran = place.run("compare --resume --output out --json").ok();
    assert_eq!(adapters.map(done), before, "a run that was done is not run again");
    assert!(ran.stderr.contains("going on from step "), "{}", ran.stderr);
    let (report, whole) = (ran.json(), place.run(&format!("{compare} --output whole --json")).ok().json());
    for (row, expected) in report["rows"].as_array().unwrap().iter().zip(whole["rows"].as_array().unwrap()) {
        for field in ["method", "test", "validation", "final_loss", "steps", "tokens", "adapter_bytes"] {
            assert_eq!(row[field], expected[field], "{field} of {row}");
        }
    }
    for name in ["ia3", "ia3-seed4", "lora", "lora-seed4", "head", "head-seed4"] {
        let [ours, whole] =
            ["out", "whole"].map(|run| adapter(&place.path(&format!("{run}/adapters/{name}"))));
        assert!(ours == whole, "other bytes in {name}");
    }
}

/// A tmpfs that is too small for a second state.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_leaves_the_last_state() {
    let place = Place::new();
    if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: no file system can be mounted here");
        return;
    }
    fs::create_dir(place.path("small")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=48k none small || exit 9
        {} {RUN} --output small/out
        code=$?
        cp -r small/out kept
        exit $code",
        env!("CARGO_BIN_EXE_offshoot")
    );
    let ran = place.shell(&["unshare", "-rm", "sh", "-c", &script]);
    let ran = ran.fails(1, &["No space left on device", "go on with offshoot train --resume"]);
    assert!(!place.path("kept/adapter_model.safetensors").exists(), "{ran:?}");
    assert!(!mid_write(&place.path("kept")), "what could not be written whole is gone");
    let ran = place.run(&format!("{RUN} --resume --output kept")).ok();
    assert!(ran.stderr.contains("going on from step "), "{}", ran.stderr);
    place.run(&format!("{RUN} --output whole")).ok();
    assert!(adapter(&place.path("kept")) == adapter(&place.path("whole")), "other bytes");
}

#[test]
fn a_run_that_can_not_go_on_is_not_waited_for() {
    let place = Place::new();
    fs::write(place.path("rows.csv"), rows(20)).unwrap();
    let ran = place.train("--lr 1e30 --epochs 40 --save-every 1 --output out");
    ran.fails(1, &["not finite"]);
    place.train("--epochs 1 --output out").ok();
}
