//! A program run once, and what it cost; two programs in turn, and the medians.
//!
//! Not `testkit::process`: that one keeps the output in memory and watches the program from a thread, which is right for a
//! test and wrong beside a program that runs for three milliseconds.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

/// What one run of a program cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From before it was started until it was waited for.
    pub(crate) wall: Duration,
    /// Processor time, user and system.
    pub(crate) processor: Duration,
    /// The most memory that it held at once, in bytes.
    pub(crate) memory: u64,
}

/// Runs `command` with standard input from `input` and standard output into `output`.
///
/// # Panics
/// If it cannot be run or fails: a figure of a program that failed is no figure.
pub(crate) fn run(command: Command, input: Option<&Path>, output: &Path) -> Cost {
    run_allowing(command, input, output, &[0])
}

/// [`run`] of a program that may end with one of these codes: one that says whether it found something does.
///
/// # Panics
/// If it cannot be run, or ends otherwise.
pub(crate) fn run_allowing(mut command: Command, input: Option<&Path>, output: &Path, codes: &[i32]) -> Cost {
    let name = format!("{command:?}");
    let errors = output.with_extension("stderr");
    let create = |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let stdin = input.map_or_else(Stdio::null, |path| {
        Stdio::from(File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    });
    command.stdin(stdin).stdout(create(output)).stderr(create(&errors));
    let started = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    let used = child.wait4().unwrap_or_else(|error| panic!("{name}: {error}"));
    let wall = started.elapsed();
    let is_allowed = used.status.code().is_some_and(|code| codes.contains(&code));
    assert!(is_allowed, "{name}: {}: {}", used.status, std::fs::read_to_string(&errors).unwrap_or_default());
    Cost { wall, processor: used.rusage.utime + used.rusage.stime, memory: used.rusage.maxrss }
}

/// Runs both in turn, `repetitions` times, after one run of each that is not counted when there are several: the first
/// reads the program from the disk. Returns the medians.
pub(crate) fn compare(
    repetitions: usize,
    mut peer: impl FnMut() -> Cost,
    mut bulla: impl FnMut() -> Cost,
) -> (Cost, Cost) {
    if repetitions > 1 {
        peer();
        bulla();
    }
    let (peers, bullas): (Vec<Cost>, Vec<Cost>) = (0..repetitions).map(|_| (peer(), bulla())).unzip();
    (median(&peers), median(&bullas))
}

/// What it costs to start a program that does nothing, as the median of many runs: what no program can go below.
pub(crate) fn floor(output: &Path) -> Cost {
    let costs: Vec<Cost> = (0..41).map(|_| run(Command::new("true"), None, output)).collect();
    median(&costs)
}

/// The median of each part.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    fn middle<T: Copy + Ord>(costs: &[Cost], part: impl Fn(&Cost) -> T) -> T {
        let mut parts: Vec<T> = costs.iter().map(part).collect();
        parts.sort_unstable();
        parts[parts.len() / 2]
    }
    Cost {
        wall: middle(costs, |cost| cost.wall),
        processor: middle(costs, |cost| cost.processor),
        memory: middle(costs, |cost| cost.memory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_for_each_part() {
        let cost = |wall, processor, memory| Cost {
            wall: Duration::from_secs(wall),
            processor: Duration::from_secs(processor),
            memory,
        };
        let middle = median(&[cost(9, 1, 5), cost(1, 2, 4), cost(2, 9, 6)]);
        assert_eq!((middle.wall.as_secs(), middle.processor.as_secs(), middle.memory), (2, 2, 5));
    }

    #[test]
    #[should_panic(expected = "no such thing")]
    fn a_program_that_fails_has_no_figure() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2; exit 1"]);
        run(command, None, &folder.path().join("out"));
    }
}
